"""Long answers, encoded bit by bit.

Python's encoder holds the interpreter until it is done, in a thread too: a thousand results with
the largest metadata are 64 MB, and every other request would wait for them.
"""

import asyncio
import json
from collections.abc import Iterable, Iterator
from typing import Any

from starlette.responses import Response

_BYTES_AT_ONCE = 1 << 18


async def listed(name: str, items: Iterable[dict[str, Any]], **rest: Any) -> Response:
    """Answer `{name: [items], **rest}` as JSON, letting others run in between."""
    parts: list[bytes] = []
    since = 0
    for item in items:
        parts.append(_encoded(item))
        since += len(parts[-1])
        if since > _BYTES_AT_ONCE:
            since = 0
            await asyncio.sleep(0)
    tail = b"".join(b"," + _encoded(key) + b":" + _encoded(one) for key, one in rest.items())
    # Joined at once: each step on the way would copy it all.
    body = b"".join([b"{", _encoded(name), b":[", *_separated(parts), b"]", tail, b"}"])
    return Response(body, media_type="application/json")


def _separated(parts: Iterable[bytes]) -> Iterator[bytes]:
    for number, part in enumerate(parts):
        yield b"," if number else b""
        yield part


def _encoded(value: Any) -> bytes:
    """As Starlette's JSONResponse writes it."""
    return json.dumps(value, ensure_ascii=False, allow_nan=False, separators=(",", ":")).encode()
