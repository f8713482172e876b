"""Long answers, encoded bit by bit.

Python's encoder holds the interpreter until it is done, in a thread too: a thousand results with
the largest metadata are 64 MB, and every other request would wait for them.
"""

import asyncio
import json
from collections.abc import Iterable
from typing import Any

from starlette.responses import Response

_CHARS_AT_ONCE = 1 << 18


async def listed(name: str, items: Iterable[dict[str, Any]], **rest: Any) -> Response:
    """Answer `{name: [items], **rest}` as JSON, letting others run in between."""
    parts: list[str] = []
    since = 0
    for item in items:
        parts.append(_encoded(item))
        since += len(parts[-1])
        if since > _CHARS_AT_ONCE:
            since = 0
            await asyncio.sleep(0)
    body = f'{{"{name}":[{",".join(parts)}]'
    body += "".join(f',"{key}":{_encoded(value)}' for key, value in rest.items()) + "}"
    return Response(body.encode(), media_type="application/json")


def _encoded(value: Any) -> str:
    """As Starlette's JSONResponse writes it."""
    return json.dumps(value, ensure_ascii=False, allow_nan=False, separators=(",", ":"))
