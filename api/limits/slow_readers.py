"""Slow readers: clients that take their answers more slowly than these are made.

From its first byte on an answer has no place among the requests in flight. It costs the memory
that its client has not taken yet, which is bounded here: who takes nothing for five seconds is
disconnected, and where memory is short, those who take little give way to others.

What counts is what the client's machine has acknowledged. That a write returns tells little: the
kernel takes megabytes for a client that reads nothing, and for one that reads 20 kB a second it
asks for more only every half a minute. The client's kernel takes some as well, 128 KiB on the same
machine, and opens its window again when most of that is read: so bytes that were taken buy time.
"""

import asyncio
import logging
import socket
import struct
import termios
from collections import Counter
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from fcntl import ioctl
from typing import Any

from api.access.caller import CALLER
from api.telemetry.log_limit import RateLimitedLog
from api.telemetry.metrics import SENDING_BYTES, SLOW_READERS_ENDED

LOOK_S = 1.0
STALL_S, LONGEST_STALL_S = 5.0, 15.0
LEAST_BYTES_S = 10 << 10
"""Who takes nothing goes after `STALL_S`. What was taken buys the time in which it would have been
taken at this rate, up to `LONGEST_STALL_S`: a slow phone takes twice as much in a second."""

SLOW_BYTES_S = 256 << 10
"""A client that takes less in a second gives way where an answer waits for memory."""

SLOW_SHARE_BYTES = 128 << 20
"""What clients that take little may keep, whoever waits: a hundred phones' photographs."""

MAX_ANSWERS = 1024
MAX_BYTES = 512 << 20
"""Of the large answers that are being sent, and of all that clients have not taken."""

KERNEL_BYTES = 128 << 10
"""What the kernel takes for a connection beyond what is on its way, in place of megabytes."""

_NOTSENT_LOWAT = getattr(socket, "TCP_NOTSENT_LOWAT", 25)
_RESET = struct.pack("ii", 1, 0)

_log = RateLimitedLog()


class Backlog:
    """What was written to a connection and its client has not taken yet.

    Attributes:
        owner: as whose its bytes count.
        answer_bytes: of the large answer that is being sent; in memory until its end.
        rate: bytes that were taken in the last second or so; None until two looks.
        buffered: tells how much of it is in this process.
        is_behind: whether there was some when it was last looked at.
        is_over: whether the connection is gone.
    """

    def __init__(self, transport: asyncio.Transport) -> None:
        self.owner: object = (transport.get_extra_info("peername") or (None,))[0]
        self.answer_bytes = 0
        self.rate: float | None = None
        self.buffered = transport.get_write_buffer_size
        self.is_behind = self.is_over = False
        self._transport = transport
        self._socket = transport.get_extra_info("socket")
        self._patience_s = STALL_S
        self._looked = 0.0
        self._left = self._written = 0
        with suppress(OSError, AttributeError):  # a Unix socket, another system
            self._socket.setsockopt(socket.IPPROTO_TCP, _NOTSENT_LOWAT, KERNEL_BYTES)

    @property
    def size_bytes(self) -> int:
        """Memory that it takes of this process."""
        return self.answer_bytes + self.buffered()

    def wrote(self, size: int) -> None:
        """Count what was written of a large answer."""
        self._written += size

    def look(self, now: float) -> bool:
        """Whether the client is to be disconnected, as it took too little; look once a second."""
        if not (left := self.buffered()):
            self.is_behind, self.rate, self._patience_s = False, None, STALL_S
            self._left = self._written = 0
            return False
        left += _in_kernel(self._socket)
        taken = max(0, self._left + self._written - left)
        if self.is_behind:
            # Where this process stood still, that was not the client's fault.
            self._patience_s -= min(now - self._looked, 2 * LOOK_S)
            self.rate = taken if self.rate is None else (self.rate + taken) / 2
        bought_s = taken / LEAST_BYTES_S
        self._patience_s = min(self._patience_s + bought_s, LONGEST_STALL_S)
        self.is_behind, self._looked, self._left, self._written = True, now, left, 0
        return self._patience_s <= 0

    def end(self) -> None:
        """Disconnect the client; nothing of what was written stays, in the kernel neither."""
        with suppress(OSError, AttributeError):
            self._socket.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, _RESET)
        self._transport.abort()


def _in_kernel(of: Any) -> int:
    """Bytes that the kernel has of a socket: not sent, or not acknowledged yet."""
    try:
        return int(struct.unpack("i", ioctl(of.fileno(), termios.TIOCOUTQ, bytes(4)))[0])
    except (OSError, ValueError):  # a system that does not tell, or a closed socket
        return 0


class SlowReaders:
    """Watches the backlogs of a worker's connections, and ends those that it must.

    Attributes:
        missing_bytes: tells how much memory is missing for answers that wait to be made.
    """

    def __init__(self) -> None:
        self.missing_bytes: Callable[[], int] = lambda: 0
        self._backlogs: set[Backlog] = set()
        self._sending: set[Backlog] = set()
        self._looking: asyncio.AbstractEventLoop | None = None

    def connected(self, transport: asyncio.Transport) -> Backlog:
        """Watch a connection until it is `lost`."""
        loop = asyncio.get_running_loop()
        if self._looking is not loop:
            self._looking = loop
            loop.call_later(LOOK_S, self._look)
        backlog = Backlog(transport)
        self._backlogs.add(backlog)
        return backlog

    def lost(self, backlog: Backlog) -> None:
        """Watch a connection no more."""
        backlog.is_over = True
        self._backlogs.discard(backlog)

    @contextmanager
    def sending(self, backlog: Backlog, size_bytes: int) -> Iterator[None]:
        """Counts a large answer until the block exits; others may have to give way to it."""
        caller = CALLER.get()
        if caller.address is not None:
            backlog.owner = (caller.key, caller.address)
        backlog.answer_bytes = size_bytes
        self._sending.add(backlog)
        SENDING_BYTES.inc(size_bytes)
        try:
            self._make_way(self._sending)
            yield
        finally:
            SENDING_BYTES.dec(size_bytes)
            self._sending.discard(backlog)
            backlog.answer_bytes = 0

    def _look(self) -> None:
        loop = asyncio.get_running_loop()
        if not self._backlogs:
            self._looking = None
            return
        loop.call_later(LOOK_S, self._look)
        behind = {one for one in self._backlogs if one.is_behind or one.buffered()}
        stalled = {one for one in behind if one.look(loop.time())}
        for backlog in stalled:
            self._end(backlog, "stalled")
        self._make_way((behind | self._sending) - stalled)
        self._make_way_for_answers()

    def _make_way(self, backlogs: set[Backlog]) -> None:
        """Where the bounds are passed, end those that take least."""
        count, size = len(backlogs), sum(each.size_bytes for each in backlogs)
        if count <= MAX_ANSWERS and size <= MAX_BYTES:
            return
        for backlog in _slowest_first(backlogs)[:-1]:
            if count <= MAX_ANSWERS and size <= MAX_BYTES:
                return
            count, size = count - 1, size - backlog.size_bytes
            self._end(backlog, "memory")

    def _make_way_for_answers(self) -> None:
        """Where answers wait for memory, end those who take little until there is enough."""
        if (missing := self.missing_bytes()) <= 0:
            return
        slow = {one for one in self._sending if one.rate is not None and one.rate < SLOW_BYTES_S}
        spare = min(missing, sum(one.answer_bytes for one in slow) - SLOW_SHARE_BYTES)
        for backlog in _slowest_first(slow):
            if spare <= 0:
                return
            spare -= backlog.answer_bytes
            self._end(backlog, "memory")

    def _end(self, backlog: Backlog, reason: str) -> None:
        SLOW_READERS_ENDED.labels(reason).inc()
        about = "a client was disconnected: it took its answer too slowly"
        _log.log(logging.INFO, about, about)
        self._backlogs.discard(backlog)
        self._sending.discard(backlog)
        backlog.end()


def _slowest_first(backlogs: set[Backlog]) -> list[Backlog]:
    """Those of the owner with the most bytes first; of one owner, those who take least.

    One client with a thousand connections makes way for others then, and not they for it.
    """
    owned = Counter[object]()
    for each in backlogs:
        owned[each.owner] += each.size_bytes
    never = float("inf")
    return sorted(
        backlogs, key=lambda one: (-owned[one.owner], never if one.rate is None else one.rate)
    )


SLOW_READERS = SlowReaders()
"""Those of this process."""
