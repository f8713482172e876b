"""One limit per host over all workers: slots that are lent to them, and returned.

Without it, each machine more would be as many downloads more from one and the same host.
"""

import asyncio
from collections import Counter, defaultdict, deque
from collections.abc import Hashable
from typing import Protocol

from api.pipeline.downloads import HostLimits, Slot


class HostSlots:
    """The slots of all hosts, as one place gives them out; lives in one event loop.

    Args:
        per_host: downloads of one host at once.

    Attributes:
        most: of one host that were out at once.
    """

    def __init__(self, per_host: int) -> None:
        self._per_host = per_host
        self._out: dict[Hashable, Counter[str]] = defaultdict(Counter)
        self._waiting: dict[Hashable, deque[tuple[str, asyncio.Future[None]]]] = defaultdict(deque)
        self.most = 0

    async def take(self, holder: str, host: Hashable) -> None:
        """Wait for a slot of a host; first come, first served."""
        future: asyncio.Future[None] = asyncio.get_running_loop().create_future()
        self._waiting[host].append((holder, future))
        self._lend(host)
        await future

    async def give(self, holder: str, host: Hashable) -> None:
        """Take a slot back; one that this has not lent, as it was begun anew, is nothing to it."""
        if self._out[host][holder] > 0:
            self._out[host][holder] -= 1
        self._lend(host)

    async def gone(self, holder: str) -> None:
        """Take all slots back of a worker that was lost, and serve its waits no more."""
        for host, out in list(self._out.items()):
            out.pop(holder, None)
            line = self._waiting[host]
            self._waiting[host] = deque(one for one in line if one[0] != holder)
            self._lend(host)

    def _lend(self, host: Hashable) -> None:
        out, line = self._out[host], self._waiting[host]
        while line and out.total() < self._per_host:
            holder, future = line.popleft()
            if not future.done():
                out[holder] += 1
                self.most = max(self.most, out.total())
                future.set_result(None)
        if not line and not out.total():  # a table of pictures may have a million hosts
            del self._out[host], self._waiting[host]


class Lender(Protocol):
    """The slots of all workers, as one of these reaches them."""

    async def take(self, host: Hashable) -> None:
        """Wait for a slot."""

    def give(self, host: Hashable) -> None:
        """Return a slot, without a wait."""


class LentHostLimits(HostLimits):
    """Limits of one worker's downloads, each of which needs a slot of all workers' as well.

    A slot goes on to the next download of the same host, a few times, before it is returned: a
    worker asks once for some tens of pictures, and the others' turn still comes.

    Args:
        places: downloads at once.
        per_host: of them from one host.
        lender: of the slots.
    """

    _IN_A_ROW = 32

    def __init__(self, places: int, per_host: int, lender: Lender) -> None:
        super().__init__(places, per_host)
        self._lender = lender
        self._in_a_row: Counter[Hashable] = Counter()
        self._lines: dict[Hashable, deque[asyncio.Future[None]]] = defaultdict(deque)
        self._asked: Counter[Hashable] = Counter()
        self._asking: set[asyncio.Task[None]] = set()

    async def take(self, name: Hashable) -> Slot:
        """Wait for a slot of the host, here and among all.

        Raises:
            HostBusyError: as `HostLimits` says.
        """
        slot = await super().take(name)
        try:
            await self._borrow(name)
        except BaseException:
            super().end(slot)
            raise
        return slot

    def end_share(self, slot: Slot) -> None:
        """The host has done what it was to do: its slot goes on, or back."""
        if slot.has_share:
            self._return(slot.name)
        super().end_share(slot)

    async def _borrow(self, name: Hashable) -> None:
        given: asyncio.Future[None] = asyncio.get_running_loop().create_future()
        line = self._lines[name]
        line.append(given)
        if self._asked[name] < len(line):
            self._asked[name] += 1
            asking = asyncio.create_task(self._ask(name))
            self._asking.add(asking)
            asking.add_done_callback(self._asking.discard)
        try:
            await given
        except asyncio.CancelledError:
            if not given.cancelled():  # it had just come
                self._return(name)
            raise

    async def _ask(self, name: Hashable) -> None:
        await self._lender.take(name)
        self._asked[name] -= 1
        if not self._asked[name]:
            del self._asked[name]
        if not self._passed_on(name):
            self._lender.give(name)

    def _return(self, name: Hashable) -> None:
        self._in_a_row[name] += 1
        if self._in_a_row[name] >= self._IN_A_ROW or not self._passed_on(name):
            del self._in_a_row[name]
            self._lender.give(name)

    def _passed_on(self, name: Hashable) -> bool:
        """Give a slot to the first that waits here; False where nobody does."""
        line = self._lines[name]
        while line:
            given = line.popleft()
            if not given.done():
                given.set_result(None)
                return True
        del self._lines[name]
        return False
