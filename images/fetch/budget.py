"""What one download may still use: one deadline and one number of bytes for all of its hops."""

import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager

from images.errors import BadAnswerError, FetchTimeoutError, TooLargeError

# Headers, chunk sizes and records are not the file's, but have to end as well.
_OVERHEAD_BYTES = 2**20
# The heads of one answer, interim ones (1xx) included: eight times what servers themselves accept.
_HEAD_BYTES = 2**16
# What takes all of its time to connect is done a little before the answer is due, so that it is
# not later than what was refused at once: both then wait for the same moment.
_CONNECT_SHARE = 0.95


class Budget:
    """Time and bytes of one download; used by one thread at a time, but for `cancel`.

    A timeout per read would be no deadline: a byte every second keeps it from ever firing. And
    the body's length is no limit for what a server can make us read: header lines, redirects and
    chunk sizes come on top of it. The clock runs while a hop does: what a redirect waits for its
    turn at another host is not the download's.

    Args:
        limit_s: for all hops.
        limit_bytes: of the file.
        connect_s: for one hop's name lookup and TCP connection.
    """

    def __init__(self, limit_s: float, limit_bytes: int, connect_s: float) -> None:
        self._limit_s = self._left_s = limit_s
        self._limit_bytes = limit_bytes
        self._connect_s = connect_s
        self._end = time.monotonic() + limit_s
        self._in_head = False
        self._head_bytes = 0
        self._lock = threading.Lock()
        self._cancelled = False
        self._interrupt: Callable[[], None] | None = None
        self.received_bytes = 0
        self.connect_end = 0.0
        """When a failed connection is to be told, by `time.monotonic`."""

    @contextmanager
    def hop(self) -> Iterator[None]:
        """Let the clock run."""
        self._end = time.monotonic() + self._left_s
        try:
            yield
        finally:
            self._left_s = self._end - time.monotonic()

    @contextmanager
    def connecting(self) -> Iterator[None]:
        """Leave no more time than a connection may take, from now on."""
        end, start = self._end, time.monotonic()
        window_s = max(0.0, min(self._connect_s, end - start))
        self.connect_end = start + window_s
        self._end = start + _CONNECT_SHARE * window_s
        try:
            yield
        finally:
            self._end = end

    def remaining_s(self) -> float:
        """Return the seconds that are left, always more than 0.

        Raises:
            FetchTimeoutError: none are left, or the download was cancelled.
        """
        remaining = self._end - time.monotonic()
        if remaining <= 0 or self._cancelled:
            raise self.timeout()
        return remaining

    def timeout(self) -> FetchTimeoutError:
        """Build the error for a wait that took all the time there was."""
        return FetchTimeoutError(self._limit_s)

    @contextmanager
    def interruptible(self, interrupt: Callable[[], None]) -> Iterator[None]:
        """Name what ends the wait of this block at once; called from another thread.

        Raises:
            FetchTimeoutError: the download was cancelled before.
        """
        with self._lock:
            if self._cancelled:
                raise self.timeout()
            self._interrupt = interrupt
        try:
            yield
        finally:
            with self._lock:
                self._interrupt = None

    def cancel(self) -> None:
        """End the download, from another thread: it has no time left, and stops waiting."""
        with self._lock:
            self._cancelled = True
            if self._interrupt is not None:
                self._interrupt()

    @contextmanager
    def head(self) -> Iterator[None]:
        """Count what comes as an answer's head, whose size has a limit of its own."""
        self._in_head, self._head_bytes = True, 0
        try:
            yield
        finally:
            self._in_head = False

    def has_begun(self) -> bool:
        """Has any byte of the current answer come?"""
        return self._head_bytes > 0

    def count(self, received_bytes: int) -> None:
        """Take note of bytes that came from the network.

        Raises:
            BadAnswerError: more came than the head of an answer may have.
            TooLargeError: more came than any acceptable answer has.
        """
        self.received_bytes += received_bytes
        if self.received_bytes > 2 * self._limit_bytes + _OVERHEAD_BYTES:
            raise TooLargeError(self._limit_bytes)
        if self._in_head:
            self._head_bytes += received_bytes
            if self._head_bytes > _HEAD_BYTES:
                raise BadAnswerError("could not fetch the image: the answer's headers are too long")

    def check_overhead(self, body_bytes: int) -> None:
        """Compare what came with what of it was the file.

        Chunks of one byte each would keep a core busy for as long as the deadline allows.

        Raises:
            BadAnswerError: most of it is chunk sizes.
        """
        if self.received_bytes > 2 * body_bytes + _OVERHEAD_BYTES:
            raise BadAnswerError("could not fetch the image: the answer comes in too small chunks")
