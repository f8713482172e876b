"""Large answers: what they take together is bounded, until they have gone out.

A thousand results with the largest metadata take some 200 MB on their way from the table to the
client, and are 60 MB on the wire: a few dozen of them at once would end the worker.
"""

import weakref
from collections.abc import Awaitable, Callable

from starlette.responses import Response

from api.limits.memory import MemoryBudget
from api.telemetry.metrics import ANSWER_MEMORY, ANSWER_QUEUE

SMALL_ROWS = 32
"""An answer of so many rows waits for nobody: clients that do not read large ones hold up only each
other."""

_BYTES_PER_ROW = 1 << 18
_MEMORY_BYTES = 1 << 29


class LargeAnswers:
    """Makes answers of many rows, or of large files, few at a time."""

    def __init__(self) -> None:
        self._memory = MemoryBudget(_MEMORY_BYTES, ANSWER_MEMORY, ANSWER_QUEUE)

    async def made(self, rows: int, make: Callable[[], Awaitable[Response]]) -> Response:
        """Make an answer once there is room for it.

        Args:
            rows: how many it has at most.
            make: makes it.

        Returns:
            The answer. It holds what its body takes for as long as it is in use itself.
        """
        return await make() if rows <= SMALL_ROWS else await self.held(rows * _BYTES_PER_ROW, make)

    async def held(self, most_bytes: int, make: Callable[[], Awaitable[Response]]) -> Response:
        """Make an answer once there is room for so many bytes; as `made` does."""
        room = await self._memory.take(most_bytes)
        try:
            response = await make()
        except BaseException:
            room.shrink(0)
            raise
        room.shrink(len(response.body))
        weakref.finalize(response, room.shrink, 0)
        return response
