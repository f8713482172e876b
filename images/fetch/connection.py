"""Guarded connections: urllib3's, made by the dialer, each download with its budget."""

import socket
import ssl
import time
from contextlib import closing
from http.client import HTTPException, HTTPResponse
from typing import Any, Self, cast

import certifi
from urllib3.connection import HTTPConnection, HTTPSConnection

from images.errors import (
    BadAnswerError,
    FetchTimeoutError,
    TlsError,
    UnreachableError,
    UrlError,
)
from images.fetch.budget import MAX_HEAD_BYTES, Budget, BudgetedSocket, BudgetedTlsSocket
from images.fetch.dial import AnyDialer
from images.fetch.urls import Origin
from images.settings import Proxy

_CONNECT_SHARE = 0.95
"""Part of the connect timeout that is spent on connecting: what used it up is then answered at the
same moment as what was refused at once."""


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
    dialer: AnyDialer
    tunnel: Proxy | None = None
    """The proxy that is asked to connect to the origin (CONNECT), once it was dialled."""
    budget: Budget

    def use(self, budget: Budget) -> None:
        """Keep to this download's budget from here on, for the head of an answer at first."""
        self.budget = budget
        budget.socket = self.sock
        self.timeout = budget.remaining_s()  # after the line before: no cancelling gets lost
        budget.head_end_bytes = budget.received_bytes + MAX_HEAD_BYTES
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
        if self.tunnel is not None:
            self._ask_for_tunnel(self.tunnel, end)
        return self.sock

    def _ask_for_tunnel(self, proxy: Proxy, end: float) -> None:
        """Let the proxy connect; http.client's own `_tunnel` keeps to no budget.

        Raises:
            UnreachableError: it does not, or not before the moment `end`.
        """
        budget, whole_end = self.budget, self.budget.end
        budget.end = min(whole_end, end)
        try:
            status = _tunnel_status(cast(BudgetedSocket, self.sock), self.origin, proxy)
        except (OSError, HTTPException, FetchTimeoutError, BadAnswerError) as error:
            reason = error.args[0] if error.args else type(error).__name__
            raise UnreachableError(f"no answer of the proxy to CONNECT: {reason}") from error
        finally:
            budget.end = whole_end
        if not 200 <= status < 300:
            raise UnreachableError(f"the proxy answered {status} to CONNECT")
        self.use(budget)

    def is_reusable(self, answer: HTTPResponse) -> bool:
        """Was the answer read to its end, and was it clear where that is?"""
        over = answer.isclosed() and not answer.will_close
        doubtful = answer.chunked and "Content-Length" in answer.headers
        clean = self.sock is not None and not self.sock.had_leftover
        return over and not doubtful and clean and self.is_connected


def _tunnel_status(sock: BudgetedSocket, origin: Origin, proxy: Proxy) -> int:
    host = f"[{origin.host}]" if ":" in origin.host else origin.host.rstrip(".")
    lines = [f"CONNECT {host}:{origin.port} HTTP/1.1", f"Host: {host}:{origin.port}"]
    if proxy.authorization:
        lines.append(f"Proxy-Authorization: {proxy.authorization}")
    sock.sendall("".join(f"{line}\r\n" for line in [*lines, ""]).encode())
    with closing(HTTPResponse(sock, method="CONNECT")) as answer:
        answer.begin()
        return answer.status


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
