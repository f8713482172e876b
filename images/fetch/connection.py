"""Guarded connections: urllib3's, made by the dialer, with one budget of time and bytes a download.

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
from http.client import HTTPResponse
from typing import Any, Self, cast

import certifi
from urllib3.connection import HTTPConnection, HTTPSConnection

from images.errors import BadAnswerError, FetchTimeoutError, TlsError, TooLargeError, UrlError
from images.fetch.dial import Dialer
from images.fetch.urls import Origin

OVERHEAD_BYTES = 2**20
"""Allowed beside the file for headers, chunk sizes and redirects."""

_MAX_HEAD_BYTES = 2**16
"""Head of one answer, interim answers (1xx) included: eight times what servers accept."""

_BUFFER_BYTES = 2**14
"""Read ahead of a socket: most thumbnails come with their head in one system call."""

_CONNECT_SHARE = 0.95
"""Part of the connect timeout that is spent on connecting: what used it up is then answered at the
same moment as what was refused at once."""


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


class _Answer(HTTPResponse):
    """Answer that skips all interim ones; http.client takes all but 100 for the final one."""

    def begin(self) -> None:
        """Read the head. How many may come is bounded by the budget for heads."""
        super().begin()
        while 102 <= self.status < 200:
            self.headers = self.msg = None  # type: ignore[assignment]  # as before the first head
            super().begin()
        if any("\n" in location for location in self.headers.get_all("Location", ())):
            raise UrlError("the server redirects to a malformed URL")  # urllib3 joins the lines


class Connection(HTTPConnection):
    """Connection to one origin, used by one download after the other."""

    response_class = _Answer
    sock: BudgetedSocket | None
    origin: Origin
    dialer: Dialer
    budget: Budget

    def use(self, budget: Budget) -> None:
        """Keep to this download's budget from here on, for the head of an answer at first."""
        self.budget = budget
        budget.socket = self.sock
        self.timeout = budget.remaining_s()  # after the line before: no cancelling gets lost
        budget.head_end_bytes = budget.received_bytes + _MAX_HEAD_BYTES
        if self.sock is not None:
            self.sock.budget = budget

    def _new_conn(self) -> socket.socket:
        """Connect; urllib3 calls it where there is no connection yet."""
        budget, start = self.budget, time.monotonic()
        window_s = min(budget.connect_s, budget.remaining_s())
        budget.connect_end = start + window_s
        end = start + _CONNECT_SHARE * window_s
        plain = self.dialer.dial(self.origin.host, self.origin.port, end)
        self.sock = BudgetedSocket(fileno=plain.detach())
        self.use(budget)
        self.sock.settimeout(self.timeout)
        return self.sock

    def is_reusable(self, answer: HTTPResponse) -> bool:
        """Was the answer read to its end, and was it clear where that is?"""
        over = answer.isclosed() and not answer.will_close
        doubtful = answer.chunked and "Content-Length" in answer.headers
        clean = self.sock is not None and not self.sock.had_leftover
        return over and not doubtful and clean and self.is_connected


class TlsConnection(Connection, HTTPSConnection):
    """The same over TLS: SNI and certificate are for the name, the address is the judged one."""

    def connect(self) -> None:
        """Connect and shake hands, within the time that the download has left."""
        try:
            super().connect()
        except TimeoutError:
            raise FetchTimeoutError(self.budget.limit_s) from None
        except (OSError, ValueError) as error:  # a ValueError: no name for SNI
            raise TlsError(str(error)) from error

    @property
    def is_connected(self) -> bool:
        """Is it open, and has nothing come, not even its end?"""
        pending = isinstance(self.sock, ssl.SSLSocket) and self.sock.pending() > 0
        return not pending and super().is_connected


class TlsContext(ssl.SSLContext):
    """TLS settings of all downloads. Expensive: built once and shared.

    Trusts the system's certificate authorities (`SSL_CERT_FILE` names others) and certifi's, which
    a slim container has when the system has none.
    """

    sslsocket_class = BudgetedTlsSocket

    @classmethod
    def create(cls) -> Self:
        """Build them; certificates and names are checked."""
        context = cls(ssl.PROTOCOL_TLS_CLIENT)
        context.load_default_certs()
        context.load_verify_locations(certifi.where())
        return context

    def wrap_socket(self, sock: socket.socket, *_: Any, **options: Any) -> BudgetedTlsSocket:
        """Shake hands, within the time that the download has left; `cancel` ends that, too."""
        budget = cast(Budget, cast(BudgetedSocket, sock).budget)
        options["do_handshake_on_connect"] = False
        tls = cast(BudgetedTlsSocket, super().wrap_socket(sock, **options))
        try:
            tls.budget, budget.socket = budget, tls
            tls.settimeout(budget.remaining_s())  # for the whole handshake
            tls.do_handshake()
        except BaseException:
            budget.leave_socket()
            tls.close()
            raise
        return tls
