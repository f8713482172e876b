"""Guarded transport: a `requests` session whose connections are made by the dialer alone.

requests and urllib3 speak HTTP. What would lead past the guard is switched off: environment,
cookies, decompression, retries, and redirects, which the fetcher follows one by one; the only proxy
is that of the settings. A picture of 4 KB takes 0.27 ms on loopback: 0.23 on bare http.client, 0.57
with a plain session.
"""

import logging
import socket
import threading
import time
from collections import deque
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from http.client import HTTPException, HTTPResponse
from http.cookiejar import DefaultCookiePolicy
from importlib.metadata import PackageNotFoundError, version
from typing import Any, cast

import requests
from requests.adapters import BaseAdapter
from requests.structures import CaseInsensitiveDict

from images.fetch.budget import Budget
from images.fetch.connection import Connection, TlsConnection, TlsContext
from images.fetch.dial import AnyDialer
from images.fetch.headers import HostHeaders
from images.fetch.urls import Origin, WebUrl
from images.settings import Proxy

# A server could fill the log with what urllib3 warns of, and its lines have URLs with their query.
logging.getLogger("urllib3").setLevel(logging.ERROR)

_IDLE_S = 4.0
"""Less than the 5 seconds after which common servers close an idle connection."""

_MAX_IDLE = 64


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


class _Adapter(BaseAdapter):
    """Sends a request through the connection that is given for it."""

    def send(self, request: requests.PreparedRequest, *_: Any, **options: Any) -> requests.Response:
        """Send a request and read the head of its answer."""
        connection, url, target = options["connection"], options["to"], options["target"]
        connection.request(
            "GET", target, headers=request.headers, preload_content=False, decode_content=False
        )
        if hasattr(socket, "TCP_QUICKACK"):
            # A server that writes head and body one after the other, with Nagle's algorithm on,
            # holds the body back until the head is acknowledged: 40 ms a picture, from the second
            # one of a connection on. Linux, and not permanent (tcp(7)), so for each answer.
            connection.sock.setsockopt(socket.IPPROTO_TCP, socket.TCP_QUICKACK, 1)
        response = requests.Response()
        response.request, response.url = request, url.text
        response.raw = connection.getresponse()
        response.status_code = response.raw.status
        connection.budget.head_end_bytes = None
        return response

    def close(self) -> None:
        """Connections belong to the session."""


class GuardedSession(requests.Session):
    """Session that connects through the dialer, for many threads.

    An idle connection serves the very origin that it was made for: scheme, host as the URL names
    it, and port. So it leads to an address that was judged for this host, and cannot be had by
    another name. A new connection is judged anew.

    Args:
        dialer: makes the connections, those to the proxy too.
        user_agent: what servers are told; empty for the service's name and version.
        host_headers: what single hosts are sent besides.
        proxy: that the dialer connects to.
    """

    def __init__(
        self,
        dialer: AnyDialer,
        user_agent: str = "",
        host_headers: HostHeaders | None = None,
        proxy: Proxy | None = None,
    ) -> None:
        super().__init__()
        self.trust_env = False
        self.cookies.set_policy(DefaultCookiePolicy(netscape=False))  # takes none
        self.adapters.clear()
        for scheme in ("http://", "https://"):
            self.mount(scheme, _Adapter())
        self._dialer, self._proxy = dialer, proxy
        self._headers = {**_HEADERS, "User-Agent": user_agent or _HEADERS["User-Agent"]}
        self._host_headers = host_headers or HostHeaders()
        self._tls_context = TlsContext.create()
        self._idle: deque[tuple[float, Connection]] = deque()
        self._lock = threading.Lock()
        self._sweep: threading.Timer | None = None

    def get_redirect_target(self, resp: requests.Response) -> str | None:  # noqa: ARG002
        """Follow none: requests would read and unpack the body of each."""
        return None

    @contextmanager
    def answer(self, url: WebUrl, budget: Budget) -> Iterator[requests.Response]:
        """Request a URL; the block reads the body, or leaves it.

        Raises:
            FetchError: no connection, or not in time.
            TooLargeError: the budget of bytes is used up.
            HTTPException, HTTPError, OSError, ValueError: the answer is none, or is malformed.
        """
        connection, response = self._send(url, budget)
        is_reusable = False
        try:
            yield response
            is_reusable = connection.is_reusable(
                cast(HTTPResponse, response.raw._original_response)
            )
        finally:
            budget.leave_socket()
            if is_reusable:
                self._put(connection)
            else:
                response.raw.close()
                connection.close()

    def close_idle(self, older_than_s: float = 0.0) -> int:
        """Close connections that were idle for so long, and say how many are left."""
        latest = time.monotonic() - older_than_s
        old = []
        with self._lock:
            while self._idle and self._idle[0][0] <= latest:
                old.append(self._idle.popleft()[1])
            left = len(self._idle)
        for connection in old:
            connection.close()
        return left

    def _send(self, url: WebUrl, budget: Budget) -> tuple[Connection, requests.Response]:
        request = requests.PreparedRequest()
        request.method, request.url = "GET", url.text
        request.headers = CaseInsensitiveDict({"Host": url.authority, **self._headers})
        request.headers.update(self._host_headers.of(url.origin))  # anew for each hop
        target = url.target
        if self._proxy is not None and url.origin.scheme == "http":
            target = f"http://{url.authority}{url.target}"
            if self._proxy.authorization:
                request.headers["Proxy-Authorization"] = self._proxy.authorization
        while True:
            idle = self._take(url.origin)
            connection = idle or self._new(url.origin)
            received_bytes = budget.received_bytes
            try:
                connection.use(budget)
                return connection, self.send(
                    request,
                    stream=True,
                    allow_redirects=False,
                    connection=connection,
                    to=url,
                    target=target,
                )
            except BaseException as error:
                budget.leave_socket()
                connection.close()
                was_closed = idle and budget.received_bytes == received_bytes
                if not (was_closed and isinstance(error, HTTPException | OSError)):
                    raise  # else the server closed it just now, and another one may stand

    def _new(self, origin: Origin) -> Connection:
        connection = (
            TlsConnection(origin.host, origin.port, ssl_context=self._tls_context)
            if origin.scheme == "https"
            else Connection(origin.host, origin.port)
        )
        connection.origin, connection.dialer = origin, self._dialer
        connection.tunnel = self._proxy if origin.scheme == "https" else None
        return connection

    def _take(self, origin: Origin) -> Connection | None:
        """Take the idle connection to this origin that was used last, if it still stands.

        One where something has come is closed: it would be taken for the answer to this request.
        """
        while True:
            with self._lock:
                mine = [pair for pair in self._idle if pair[1].origin == origin]
                if not mine:
                    return None
                self._idle.remove(mine[-1])
            since, connection = mine[-1]
            if time.monotonic() - since < _IDLE_S and connection.is_connected:
                return connection
            connection.close()

    def _put(self, connection: Connection) -> None:
        """Keep an idle connection; the oldest gives way where there are many."""
        oldest = None
        with self._lock:
            self._idle.append((time.monotonic(), connection))
            if len(self._idle) > _MAX_IDLE:
                oldest = self._idle.popleft()[1]
            if self._sweep is None:
                self._start_sweep()
        if oldest is not None:
            oldest.close()

    def _start_sweep(self) -> None:
        """Close old idle connections in a while, and again as long as some are left."""
        sweep = threading.Timer(_IDLE_S, self._swept)
        sweep.daemon = True
        with suppress(RuntimeError):  # the system has no thread to spare: the next one may
            sweep.start()
            self._sweep = sweep

    def _swept(self) -> None:
        left = self.close_idle(_IDLE_S)
        with self._lock:
            self._sweep = None
            if left:
                self._start_sweep()
