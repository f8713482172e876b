"""Answers as JSON, and the memory of large ones until they have gone out.

A thousand results with the largest metadata take some 200 MB on their way from the table to the
client, and are 60 MB on the wire: a few dozen of them at once would end the worker.
"""

import asyncio
import json
import weakref
from collections.abc import Awaitable, Callable
from typing import Any

from pydantic import BaseModel
from starlette.responses import Response

from api.limits.memory import MemoryBudget
from api.telemetry.metrics import ANSWER_MEMORY, ANSWER_QUEUE

SMALL_ROWS = 32
"""An answer of so many rows waits for no memory: clients that do not read large ones hold up only
each other."""

_BYTES_PER_ROW = 1 << 18
_MEMORY_BYTES = 1 << 29
_ROWS_AT_ONCE = 16


async def json_response(answer: BaseModel) -> Response:
    """An answer as JSON: the bytes that Starlette's JSONResponse makes, of the fields that are set.

    Python's encoder holds the interpreter until it is done, in a thread too, and a thousand results
    are up to 64 MB: many rows are encoded a few at a time, and other requests run in between.
    """
    rows = next(iter(answer.__dict__.values()))  # where there are rows, they come first
    if not isinstance(rows, list) or len(rows) <= SMALL_ROWS:
        return _response(_encode(answer.model_dump(exclude_unset=True)))
    (rows_of, _), *rest = _set_fields(answer).items()
    parts = [f'{{"{rows_of}":[']
    for start in range(0, len(rows), _ROWS_AT_ONCE):
        parts += [_encode(rows[start : start + _ROWS_AT_ONCE])[1:-1], ","]
        await asyncio.sleep(0)
    parts[-1] = "]," + _encode(dict(rest))[1:] if rest else "]}"
    # Joined at once: each step on the way would copy it all.
    return _response("".join(parts))


def _set_fields(model: BaseModel) -> dict[str, Any]:
    values, given = model.__dict__, model.model_fields_set
    if len(given) == len(values):
        return values
    return {name: value for name, value in values.items() if name in given}


# Not pydantic's own: it writes floats such as 1e-05 in another way.
_encode = json.JSONEncoder(
    ensure_ascii=False, allow_nan=False, separators=(",", ":"), default=_set_fields
).encode


def _response(text: str) -> Response:
    return Response(text.encode(), media_type="application/json")


class LargeAnswers:
    """Makes answers of many rows, or of large files, few at a time."""

    def __init__(self) -> None:
        self._memory = MemoryBudget(_MEMORY_BYTES, ANSWER_MEMORY, ANSWER_QUEUE)

    async def of_rows(self, rows: int, make: Callable[[], Awaitable[BaseModel]]) -> Response:
        """Make an answer of at most so many rows, once there is memory for it."""
        if rows <= SMALL_ROWS:
            return await json_response(await make())

        async def encoded() -> Response:
            return await json_response(await make())

        return await self.of_bytes(rows * _BYTES_PER_ROW, encoded)

    async def of_bytes(self, most_bytes: int, make: Callable[[], Awaitable[Response]]) -> Response:
        """Make an answer that takes at most so many bytes, once there is memory for it.

        Returns:
            The answer. It holds the memory of its body for as long as it is in use itself.
        """
        reservation = await self._memory.reserve(most_bytes)
        try:
            response = await make()
        except BaseException:
            reservation.shrink(0)
            raise
        reservation.shrink(len(response.body))
        weakref.finalize(response, reservation.shrink, 0)
        return response
