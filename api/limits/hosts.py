"""Who may download next: so many at once in total, and no host at the cost of the others."""

import asyncio
import time
from collections import deque
from collections.abc import Hashable
from dataclasses import dataclass, field
from statistics import fmean

from api.errors import HostBusyError

# A line is as long as what its host serves in this time. A burst of hundreds to a host that
# answers at once has room; of a host that lets every download run into its deadline, few wait.
LONGEST_WAIT_S = 8.0
# A host that has not finished anything yet is not called slow before this.
PATIENCE_S = 1.0
_TICK_S = 0.25
_REMEMBERED = 32


@dataclass(eq=False)
class Slot:
    """What a download holds: a share of its host, and a place among all downloads.

    The place outlasts the share while the bytes wait for the decoder, which bounds their number.
    The share outlasts the place while nothing is left of a failed download but to answer it in
    its time: whether that download had to wait for the network is not to be seen from the next.
    """

    host: Hashable
    started: float = field(default_factory=time.monotonic)
    has_share: bool = True
    has_place: bool = True


@dataclass(eq=False)
class _Host:
    """What is known of a host while it is in use, and a little longer."""

    line: deque[asyncio.Future[Slot]] = field(default_factory=deque)
    shares: set[Slot] = field(default_factory=set)
    served: deque[tuple[float, float]] = field(default_factory=lambda: deque(maxlen=_REMEMBERED))
    """When downloads ended, and how long they took, in seconds."""

    def places(self) -> int:
        """How many places its downloads hold."""
        return sum(slot.has_place for slot in self.shares)

    def forget(self, now: float) -> bool:
        """Drop what is too old to tell; is nothing left?"""
        while self.served and self.served[0][0] < now - LONGEST_WAIT_S:
            self.served.popleft()
        return not (self.line or self.shares or self.served)

    def download_s(self, now: float) -> float:
        """How long a download takes, by those that ended and by those that do not end."""
        ended = fmean(took for _, took in self.served) if self.served else 0.0
        going = fmean(now - slot.started for slot in self.shares) if self.shares else 0.0
        return max(ended, going if going > PATIENCE_S else 0.0)


class Slots:
    """Gives out slots; lives in one event loop.

    A host may take another place only while its downloads hold fewer than are still free (dynamic
    thresholds: Choudhury and Hahne, IEEE/ACM Transactions on Networking 6(2), 1998). One slow host
    gets half of all, two end up with a third each, and what is left, or is given back first, goes
    to the host that has least. Hosts take turns. Who waits holds nothing but its place in the line.

    Args:
        places: downloads at once.
        per_host: of them from one host; 0 leaves it at what the thresholds give, half of all.
    """

    def __init__(self, places: int, per_host: int = 0) -> None:
        self._free = self._places = places
        self._per_host = min(per_host, places) or (places + 1) // 2
        self._hosts: dict[Hashable, _Host] = {}
        self._turns: dict[Hashable, _Host] = {}
        self._next_look: asyncio.TimerHandle | None = None

    @property
    def held(self) -> int:
        """Places that downloads hold, and files that wait for the decoder."""
        return self._places - self._free

    @property
    def waiting(self) -> int:
        """Downloads that wait for a slot."""
        return sum(len(host.line) for host in self._turns.values())

    async def take(self, name: Hashable) -> Slot:
        """Wait for a slot of the host with this name.

        Raises:
            HostBusyError: more wait for this host than it serves in a reasonable time.
        """
        host = self._hosts.setdefault(name, _Host())
        waiter: asyncio.Future[Slot] = asyncio.get_running_loop().create_future()
        host.line.append(waiter)
        self._turns.setdefault(name, host)
        self._admit()
        self._shorten(host, time.monotonic())
        self._look_later()
        try:
            return await waiter
        except asyncio.CancelledError:
            if waiter in host.line:
                host.line.remove(waiter)
            elif not waiter.cancelled() and waiter.exception() is None:  # got it just now
                self.end(waiter.result())
            raise

    def end_share(self, slot: Slot) -> None:
        """The host has done what was asked of it, or has not done it in time."""
        if slot.has_share:
            slot.has_share = False
            host = self._hosts[slot.host]
            host.shares.remove(slot)
            now = time.monotonic()
            host.served.append((now, now - slot.started))
            self._admit()

    def end_place(self, slot: Slot) -> None:
        """The download holds no thread any more, nor bytes."""
        if slot.has_place:
            slot.has_place = False
            self._free += 1
            self._admit()

    def end(self, slot: Slot) -> None:
        """All of the download is over."""
        self.end_share(slot)
        self.end_place(slot)

    def _admit(self) -> None:
        """Give out what is free, a slot for each host in turn."""
        while (name := next(filter(self._may_take, self._turns), None)) is not None:
            host = self._turns.pop(name)
            waiter = host.line.popleft()
            if host.line:
                self._turns[name] = host
            if not waiter.done():
                slot = Slot(name)
                host.shares.add(slot)
                self._free -= 1
                waiter.set_result(slot)

    def _may_take(self, name: Hashable) -> bool:
        host = self._turns[name]
        few = len(host.shares) < self._per_host and host.places() < self._free
        return few and bool(host.line)

    def _look_later(self) -> None:
        if self._next_look is None:
            self._next_look = asyncio.get_running_loop().call_later(_TICK_S, self._look)

    def _look(self) -> None:
        """Shorten the lines that have become too long, and look again while there are hosts."""
        self._next_look = None
        now = time.monotonic()
        for name, host in list(self._hosts.items()):
            if host.forget(now):
                del self._hosts[name]
                self._turns.pop(name, None)
            else:
                self._shorten(host, now)
        if self._hosts:
            self._look_later()

    def _shorten(self, host: _Host, now: float) -> None:
        """Refuse those that came last.

        As many downloads as there are places are never refused: a caller with no more than these
        under way, such as `image-search reembed`, is only slowed down.
        """
        download_s = host.download_s(now)
        room = self._per_host * LONGEST_WAIT_S / download_s if download_s else float("inf")
        while len(host.line) > max(room, self._places - self._per_host, 1):
            waiter = host.line.pop()
            if not waiter.done():
                waiter.set_exception(HostBusyError())
