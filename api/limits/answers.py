"""Large answers: few are made at a time, and their memory stays reserved until they are sent."""

import weakref
from collections.abc import Awaitable, Callable

from starlette.responses import Response

from api.errors import OverloadedError
from api.limits.in_flight import waiting_for_others
from api.limits.memory import MemoryBudget
from api.limits.slow_readers import SlowReaders
from api.telemetry.metrics import ANSWER_MEMORY, ANSWER_QUEUE

SMALL_ROWS = 32
"""An answer of so many rows waits for no memory: clients that do not read large ones hold up only
each other."""

MAX_WAITING = 128
"""Answers that wait for memory, half of the places in flight: the others are for small ones."""

_BYTES_PER_ROW = 1 << 18
_ANSWERS_BYTES = 1 << 29


class LargeAnswers:
    """Makes answers of many rows, or of large files, few at a time.

    A thousand results with the largest metadata take some 200 MB on their way from the table to the
    client, and are 60 MB on the wire: a few dozen of them at once would end the worker.

    Args:
        readers: those who take their answers slowly give way where memory is short.
    """

    def __init__(self, readers: SlowReaders) -> None:
        self._memory = MemoryBudget(_ANSWERS_BYTES, ANSWER_MEMORY, ANSWER_QUEUE)
        readers.missing_bytes = self._memory.missing_bytes

    async def of_rows(self, rows: int, make: Callable[[], Awaitable[Response]]) -> Response:
        """Make an answer of at most so many rows, once there is memory for it."""
        if rows <= SMALL_ROWS:
            return await make()
        return await self.of_bytes(rows * _BYTES_PER_ROW, make)

    async def of_bytes(self, most_bytes: int, make: Callable[[], Awaitable[Response]]) -> Response:
        """Make an answer that takes at most so many bytes, once there is memory for it.

        Returns:
            The answer. It holds the memory of its body for as long as it is in use itself.

        Raises:
            OverloadedError: too many wait for memory.
        """
        if self._memory.waiting >= MAX_WAITING:
            raise OverloadedError
        with waiting_for_others():  # clients, to take their answers
            reservation = await self._memory.reserve(most_bytes)
        try:
            response = await make()
        except BaseException:
            reservation.shrink(0)
            raise
        reservation.shrink(len(response.body))
        weakref.finalize(response, reservation.shrink, 0)
        return response
