"""How much memory work may take at once: pictures that are decoded, answers that are made."""

import asyncio
from collections.abc import AsyncIterator, Iterator
from contextlib import asynccontextmanager, contextmanager

from prometheus_client import Gauge

from api.telemetry.metrics import Queue


class Room:
    """Part of a budget that is held.

    Attributes:
        held_bytes: how much of it.
    """

    def __init__(self, budget: "MemoryBudget", held_bytes: int) -> None:
        self._budget = budget
        self.held_bytes = held_bytes
        self._users = 0

    @contextmanager
    def used(self) -> Iterator[None]:
        """Use it: what is left of it is given back when the last of such blocks ends."""
        self._users += 1
        try:
            yield
        finally:
            self._users -= 1
            if self._users == 0:
                self.shrink(0)

    def shrink(self, wanted_bytes: int) -> None:
        """Give back what is more than so much."""
        spare = max(0, self.held_bytes - max(0, wanted_bytes))
        self.held_bytes -= spare
        self._budget.give_back(spare)


class MemoryBudget:
    """Lets work in, first come, first served, while there is room for it.

    Counting pieces would not do: a photograph of 50 megapixels takes as much memory as a
    thousand thumbnails, of which many should be in flight for batches to form.

    Args:
        size_bytes: room in all; what is larger comes in alone.
        held: tells how much is in use.
        queue: tells of those that wait.

    Attributes:
        free_bytes: what is left of it.
    """

    def __init__(self, size_bytes: int, held: Gauge, queue: Queue) -> None:
        self._all = self.free_bytes = size_bytes
        self._held = held
        self._queue = queue
        self._line = asyncio.Lock()
        self._returned = asyncio.Event()

    @asynccontextmanager
    async def held(self, wanted_bytes: int) -> AsyncIterator[Room]:
        """Wait for room, and hold it until the block ends, and all that of `Room.used` have."""
        room = await self.take(wanted_bytes)
        with room.used():
            yield room

    async def take(self, wanted_bytes: int) -> Room:
        """Wait for room; whoever takes it gives it back with `Room.shrink(0)`."""
        wanted = min(wanted_bytes, self._all)
        with self._queue.wait():
            async with self._line:  # a large one is not overtaken for ever by small ones
                while self.free_bytes < wanted:
                    self._returned.clear()
                    await self._returned.wait()
                self.free_bytes -= wanted
        self._held.inc(wanted)
        return Room(self, wanted)

    def give_back(self, spare_bytes: int) -> None:
        """Make room for the next; `Room` calls this."""
        self._held.dec(spare_bytes)
        self.free_bytes += spare_bytes
        self._returned.set()
