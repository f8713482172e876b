"""Memory budgets: what pictures and large answers reserve before they are made."""

import asyncio
from collections.abc import Callable, Iterator
from contextlib import contextmanager

from prometheus_client import Gauge

from api.telemetry.metrics import Queue


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
        self._wanted: list[int] = []

    @property
    def waiting(self) -> int:
        """How many pieces of work wait."""
        return len(self._wanted)

    def missing_bytes(self) -> int:
        """What the waiting pieces of work lack; 0 where none waits."""
        return max(0, sum(self._wanted) - self.free_bytes)

    async def reserve(self, size_bytes: int) -> Reservation:
        """Wait until so much is free, and reserve it."""
        size = min(size_bytes, self._size_bytes)
        self._wanted.append(size)
        try:
            with self._queue.wait():
                await self._line.wait(lambda: self.free_bytes >= size)
                self.free_bytes -= size
        finally:
            self._wanted.remove(size)
        self._reserved.inc(size)
        return Reservation(self, size)

    def give_back(self, spare_bytes: int) -> None:
        """Free part of the budget; `Reservation` calls this."""
        self._reserved.dec(spare_bytes)
        self.free_bytes += spare_bytes
        self._returned.set()
