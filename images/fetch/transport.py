"""http.client, made to connect through the dialer only.

requests and urllib3 would stand in between with proxies, cookies, authentication, decompression,
retries and redirects of their own, all of which a guarded download has to switch off again.
"""

import ssl
from collections.abc import Iterator
from contextlib import ExitStack, closing, contextmanager, suppress
from http import HTTPStatus
from http.client import HTTPConnection, HTTPResponse, NotConnected
from importlib.metadata import PackageNotFoundError, version
from typing import Any, cast

import certifi
from urllib3.util import wait_for_read

from images.errors import TlsError
from images.fetch.budget import Budget
from images.fetch.dial import BudgetedSocket, BudgetedTlsSocket, Dialer
from images.fetch.urls import Origin


def _own_version() -> str:
    try:
        return version("image-search-engine")
    except PackageNotFoundError:  # run from its files, as in a Bento
        return "0"


_HEADERS = {
    "User-Agent": f"image-search-engine/{_own_version()}",
    "Accept": "image/*, */*;q=0.5",
    "Accept-Encoding": "identity",
}


def tls_context() -> ssl.SSLContext:
    """Build the TLS settings of all downloads.

    Trusts the system's certificate authorities (`SSL_CERT_FILE` names others) and certifi's, which
    a slim container has when the system has none. Expensive: built once and shared.
    """
    context = ssl.create_default_context()
    context.load_verify_locations(certifi.where())
    context.sslsocket_class = BudgetedTlsSocket
    context.set_alpn_protocols(["http/1.1"])
    return context


class Answer(HTTPResponse):
    """An answer that knows whether more came than belongs to it."""

    def __init__(self, sock: BudgetedSocket, *args: Any, **kwargs: Any) -> None:
        super().__init__(sock, *args, **kwargs)
        self._connection = sock
        self._has_leftover = False

    def _read_status(self) -> tuple[str, int, str]:
        """Skip every interim answer; http.client takes all but 100 for the final one.

        How many may come is bounded by what the head of an answer may have.
        """
        while True:
            found = cast(tuple[str, int, str], super()._read_status())  # type: ignore[misc]  # private
            if not HTTPStatus.PROCESSING <= found[1] < HTTPStatus.OK:
                return found
            while self.fp.readline().strip():
                pass

    def _close_conn(self) -> None:
        """Look at what was read beyond the answer's end before http.client throws it away."""
        self._connection.budget = None
        with suppress(OSError):
            self._has_leftover = bool(self.fp.peek(1))
        super()._close_conn()  # type: ignore[misc]  # private

    def is_over_and_clean(self) -> bool:
        """Was the body read to its end, and was it clear where that is?"""
        over = self.isclosed() and not self.will_close
        doubtful = self.chunked and "Content-Length" in self.headers
        return over and not doubtful and not self._has_leftover


class Connection(HTTPConnection):
    """A connection to one origin, used by one download after the other."""

    response_class = Answer
    sock: BudgetedSocket | None

    def __init__(self, origin: Origin, dialer: Dialer, context: ssl.SSLContext) -> None:
        super().__init__(origin.host, origin.port)
        self.origin = origin
        self._dialer = dialer
        self._context = context

    @contextmanager
    def asked(self, target: str, budget: Budget) -> Iterator[Answer]:
        """Send a request and read the head of its answer; connects where that is needed.

        The block reads the body, or leaves it. Whatever happens, afterwards the connection is
        either fit for another request (`is_open`) or closed.

        Raises:
            FetchError: no connection, or not in time.
            TooLargeError: the budget of bytes is used up.
            HTTPException, OSError, ValueError: the answer is none, or is malformed.
        """
        try:
            sock = self._ready(budget)
            with budget.interruptible(sock.interrupt):
                with budget.head():
                    self.request("GET", target, headers={"Host": self.origin.authority, **_HEADERS})
                    sock.acknowledge_at_once()
                    answer = cast(Answer, self.getresponse())
                with closing(answer):
                    yield answer
                    if not (answer.is_over_and_clean() and is_quiet(sock)):
                        self.close()
        except BaseException:
            self.close()
            raise

    def is_open(self) -> bool:
        """Can it be asked without connecting anew?"""
        return self.sock is not None

    def _ready(self, budget: Budget) -> BudgetedSocket:
        if self.sock is None:
            plain = self._dialer.dial(self.origin.host, self.origin.port, budget)
            self.sock = self._secured(plain) if self.origin.scheme == "https" else plain
        self.sock.budget = budget
        return self.sock

    def connect(self) -> None:
        """Refuse what http.client would do by itself: connect past the dialer."""
        raise NotConnected

    def _secured(self, plain: BudgetedSocket) -> BudgetedTlsSocket:
        """Speak TLS: SNI and certificate are for the name, the address is the judged one."""
        name = self.origin.host.rstrip(".")
        with ExitStack() as undone:
            undone.callback(plain.close)
            try:
                sock = cast(
                    BudgetedTlsSocket,
                    self._context.wrap_socket(
                        plain, server_hostname=name, do_handshake_on_connect=False
                    ),
                )
                undone.callback(sock.close)
                sock.budget = plain.budget
                sock.do_handshake()
            except (OSError, ValueError) as error:  # a ValueError: no name that can be asked for
                raise TlsError(str(error)) from error
            undone.pop_all()
        return sock


def is_quiet(sock: BudgetedSocket) -> bool:
    """Has nothing come, not even the end of the connection?

    What stands in an idle connection would be taken for the answer to the next request.
    """
    pending = isinstance(sock, BudgetedTlsSocket) and sock.pending() > 0
    return not pending and not wait_for_read(sock, timeout=0.0)
