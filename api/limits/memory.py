"""Memory budgets: what pictures and large answers may take at once, and who waits for it."""

import asyncio
import weakref
from collections.abc import Awaitable, Callable, Iterator
from contextlib import contextmanager

from prometheus_client import Gauge
from starlette.responses import Response

from api.telemetry.metrics import ANSWER_MEMORY, ANSWER_QUEUE, Queue

SMALL_ROWS = 32
"""An answer of so many rows waits for no memory: clients that do not read large ones hold up only
each other."""

_BYTES_PER_ROW = 1 << 18
_ANSWERS_BYTES = 1 << 29


class Line:
    """Tasks that wait until there is enough of something: first come, first served.

    Args:
        returned: set whenever some of it is given back; lines may share one.
    """

    def __init__(self, returned: asyncio.Event) -> None:
        self._turn = asyncio.Lock()  # a large one is not overtaken for ever by small ones
        self._returned = returned

    async def wait(self, is_enough: Callable[[], bool]) -> None:
        """Wait for a turn, and then until there is enough; take it before anything else runs."""
        async with self._turn:
            while not is_enough():
                self._returned.clear()
                await self._returned.wait()


class Reservation:
    """A part of a memory budget; whoever reserved it gives it back with `shrink(0)`.

    Attributes:
        size_bytes: what is still reserved.
    """

    def __init__(self, budget: "MemoryBudget", size_bytes: int) -> None:
        self._budget = budget
        self.size_bytes = size_bytes
        self._pins = 0

    @contextmanager
    def pin(self) -> Iterator[None]:
        """Pins the reservation until the block exits; the last pin gives back what is left."""
        self._pins += 1
        try:
            yield
        finally:
            self._pins -= 1
            if self._pins == 0:
                self.shrink(0)

    def shrink(self, size_bytes: int) -> None:
        """Give back what is more than so much."""
        spare = max(0, self.size_bytes - max(0, size_bytes))
        self.size_bytes -= spare
        self._budget.give_back(spare)


class MemoryBudget:
    """Memory that pieces of work reserve before they begin.

    Counting pieces would not do: a photograph of 50 megapixels takes as much memory as a
    thousand thumbnails, of which many should be in flight for batches to form.

    Args:
        size_bytes: in all; a piece that takes more comes in alone.
        reserved: tells how much is reserved.
        queue: tells of those that wait.

    Attributes:
        free_bytes: what is left of it.
    """

    def __init__(self, size_bytes: int, reserved: Gauge, queue: Queue) -> None:
        self._size_bytes = self.free_bytes = size_bytes
        self._reserved = reserved
        self._queue = queue
        self._returned = asyncio.Event()
        self._line = Line(self._returned)

    async def reserve(self, size_bytes: int) -> Reservation:
        """Wait until so much is free, and reserve it."""
        size = min(size_bytes, self._size_bytes)
        with self._queue.wait():
            await self._line.wait(lambda: self.free_bytes >= size)
            self.free_bytes -= size
        self._reserved.inc(size)
        return Reservation(self, size)

    def give_back(self, spare_bytes: int) -> None:
        """Free part of the budget; `Reservation` calls this."""
        self._reserved.dec(spare_bytes)
        self.free_bytes += spare_bytes
        self._returned.set()


class LargeAnswers:
    """Makes answers of many rows, or of large files, few at a time.

    A thousand results with the largest metadata take some 200 MB on their way from the table to the
    client, and are 60 MB on the wire: a few dozen of them at once would end the worker.
    """

    def __init__(self) -> None:
        self._memory = MemoryBudget(_ANSWERS_BYTES, ANSWER_MEMORY, ANSWER_QUEUE)

    async def of_rows(self, rows: int, make: Callable[[], Awaitable[Response]]) -> Response:
        """Make an answer of at most so many rows, once there is memory for it."""
        if rows <= SMALL_ROWS:
            return await make()
        return await self.of_bytes(rows * _BYTES_PER_ROW, make)

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
