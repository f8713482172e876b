"""Budget of a download, and the sockets that keep to it: time and bytes, for all of its hops.

A timeout per read would be no deadline: a byte every second keeps it from ever firing. And a limit
on the body does not bound what a server can make us read: header lines, redirects and chunk sizes
come on top. So both are checked where bytes arrive, in the socket.
"""

import errno
import io
import socket
import ssl
import threading
import time
from contextlib import suppress
from typing import Any

from images.errors import BadAnswerError, FetchTimeoutError, TooLargeError

OVERHEAD_BYTES = 2**20
"""Allowed beside the file for headers, chunk sizes and redirects."""

MAX_HEAD_BYTES = 2**16
"""Head of one answer, interim answers (1xx) included: eight times what servers accept."""

_BUFFER_BYTES = 2**14
"""Read ahead of a socket: most thumbnails come with their head in one system call."""


class Budget:
    """Time and bytes of one download, for all of its hops together.

    Belongs to the thread of the hop, but for `cancel`.

    Attributes:
        left_s: time that is left, while no hop runs: waiting for a turn at a host costs none.
        end: moment of `time.monotonic` when a hop that runs is out of time.
        received_bytes: from the network, in all hops.
        head_end_bytes: of those, where the head of the current answer must have ended; None while
            its body is read.
        connect_end: moment of `time.monotonic` until which a host that cannot be reached must not
            be answered: the time would tell whether an address is forbidden, unknown or silent.
        socket: that the hop reads from; None between hops. `lock` guards it.
    """

    def __init__(self, limit_s: float, limit_bytes: int, connect_s: float) -> None:
        self.limit_s = self.left_s = limit_s
        self.limit_bytes, self.connect_s = limit_bytes, connect_s
        self.end = self.connect_end = 0.0
        self.received_bytes = 0
        self.head_end_bytes: int | None = None
        self.socket: socket.socket | None = None
        self.lock = threading.Lock()
        self.is_cancelled = False

    def remaining_s(self) -> float:
        """Return the seconds that are left, always more than 0.

        Raises:
            FetchTimeoutError: none are left, or the download was cancelled.
        """
        remaining = self.end - time.monotonic()
        if remaining <= 0 or self.is_cancelled:
            raise FetchTimeoutError(self.limit_s)
        return remaining

    def cancel(self) -> None:
        """End the hop that another thread is at, and let none follow.

        What waits for the network ends at once, but for a name lookup or a TCP connection, which
        end at the connect timeout.
        """
        with self.lock, suppress(OSError):
            self.is_cancelled = True
            if self.socket is not None:  # TLS's own shutdown would free its state under the reader
                socket.socket.shutdown(self.socket, socket.SHUT_RDWR)

    def leave_socket(self) -> None:
        """From here on, to cancel this download must not hit another that uses its descriptor."""
        with self.lock:
            self.socket = None

    def overdrawn(self) -> Exception:
        """Build the error for more bytes than an acceptable download has."""
        if self.received_bytes > 2 * self.limit_bytes + OVERHEAD_BYTES:
            return TooLargeError(self.limit_bytes)
        return BadAnswerError("could not fetch the image: the answer's headers are too long")


class BudgetedSocket(socket.socket):
    """TCP connection whose reads keep to the budget of the download that uses it.

    Attributes:
        budget: of that download. None while the connection is idle: nothing is read then.
        had_leftover: whether bytes beyond the end of an answer came with it.
    """

    budget: Budget | None = None
    had_leftover = False

    def recv_into(self, *args: Any, **kwargs: Any) -> int:
        """Receive what is there, waiting no longer than the budget allows."""
        budget = self.budget
        if budget is None:
            raise BlockingIOError(errno.EAGAIN, "the connection is idle")
        remaining_s = budget.end - time.monotonic()
        if remaining_s <= 0:
            raise FetchTimeoutError(budget.limit_s)
        self.settimeout(remaining_s)
        try:
            received_bytes = super().recv_into(*args, **kwargs)
        except TimeoutError:
            raise FetchTimeoutError(budget.limit_s) from None
        budget.received_bytes += received_bytes
        most = budget.head_end_bytes or 2 * budget.limit_bytes + OVERHEAD_BYTES
        if budget.received_bytes > most:
            raise budget.overdrawn()
        return received_bytes

    def makefile(self, *_: object, **__: object) -> Any:
        """Return the buffered reader from which http.client reads one answer."""
        reader = _AnswerReader(super().makefile("rb", buffering=0), _BUFFER_BYTES)
        reader.connection = self
        return reader


class BudgetedTlsSocket(BudgetedSocket, ssl.SSLSocket):
    """TLS connection that keeps to a budget."""


class _AnswerReader(io.BufferedReader):
    """Buffered reader of one answer; notes on its socket if bytes came beyond the answer's end.

    http.client closes it at that end. Read-ahead bytes would be lost with it: who sends two
    answers to one request must not get the connection's next request.
    """

    connection: BudgetedSocket

    def close(self) -> None:
        """Look for what was read ahead, and close."""
        if not self.closed:
            self.connection.budget = None  # what has not come yet is not waited for
            with suppress(OSError):
                self.connection.had_leftover |= bool(self.peek(1))
        super().close()
