"""requests and urllib3, made to connect through the dialer only."""

import ssl
from http.cookiejar import DefaultCookiePolicy
from importlib.metadata import PackageNotFoundError, version
from typing import Any, cast

import certifi
import requests
from requests.adapters import HTTPAdapter
from urllib3 import HTTPConnectionPool, HTTPSConnectionPool
from urllib3.connection import HTTPConnection, HTTPSConnection
from urllib3.util.url import parse_url

from images.budget import Budget
from images.dial import BudgetedSocket, BudgetedTlsSocket, Dialer


def _own_version() -> str:
    try:
        return version("image-search-engine")
    except PackageNotFoundError:  # run from its files, as in a Bento
        return "0"


_HEADERS = {
    "User-Agent": f"image-search-engine/{_own_version()}",
    "Accept": "image/*, */*;q=0.5",
    "Accept-Encoding": "identity",
    "Connection": "close",
}


def tls_context() -> ssl.SSLContext:
    """Build the TLS settings of all downloads.

    Trusts the system's certificate authorities (`SSL_CERT_FILE` names others) and certifi's, which
    a slim container has when the system has none. Expensive: built once and shared.
    """
    context = ssl.create_default_context()
    context.load_verify_locations(certifi.where())
    context.sslsocket_class = BudgetedTlsSocket
    return context


class _GuardedConnection(HTTPConnection):
    """A plain connection whose socket comes from the dialer."""

    def __init__(self, *args: Any, dialer: Dialer, budget: Budget, **kwargs: Any) -> None:
        super().__init__(*args, **kwargs)
        self._dialer = dialer
        self._budget = budget

    def _new_conn(self) -> BudgetedSocket:
        # The one place where urllib3 opens sockets. `_dns_host` is the host as the URL names it.
        return self._dialer.dial(self._dns_host, self.port, self._budget)


class _GuardedTlsConnection(_GuardedConnection, HTTPSConnection):
    """A TLS connection: SNI and certificate are for the name, the address is the judged one."""

    def connect(self) -> None:
        super().connect()
        cast(BudgetedTlsSocket, self.sock).budget = self._budget


class _GuardedPool(HTTPConnectionPool):
    ConnectionCls = _GuardedConnection


class _GuardedTlsPool(HTTPSConnectionPool):
    ConnectionCls = _GuardedTlsConnection


class _GuardedAdapter(HTTPAdapter):
    """Sends the requests of one download, each over a connection of its own.

    No connection outlives its download or serves two requests: each hop's address is judged when
    it is made, nothing of one download can reach into another, and there is no shared pool whose
    key could be confused. What this costs is a handshake per picture.
    """

    def __init__(self, dialer: Dialer, budget: Budget, context: ssl.SSLContext) -> None:
        self._bound: dict[str, Any] = {"dialer": dialer, "budget": budget}
        self._context = context
        self._pools: list[HTTPConnectionPool] = []
        super().__init__()

    def get_connection_with_tls_context(
        self, request: requests.PreparedRequest, *_args: object, **_kwargs: object
    ) -> HTTPConnectionPool:
        """Return a new pool for one guarded connection, whatever proxy is asked for."""
        url = parse_url(str(request.url))
        host = str(url.host)
        # Without a port, http.client would take the end of an IPv6 address for one.
        pool = (
            _GuardedTlsPool(host, url.port or 443, ssl_context=self._context, **self._bound)
            if url.scheme == "https"
            else _GuardedPool(host, url.port or 80, **self._bound)
        )
        self._pools.append(pool)
        return pool

    def cert_verify(self, *_args: object) -> None:
        """Leave the pool as it is: the shared context holds the authorities and the rules.

        requests would load its bundle into the context again for every connection.
        """

    def close(self) -> None:
        """Close what a server that keeps connections alive has left open."""
        for pool in self._pools:
            pool.close()


class GuardedSession(requests.Session):
    """The session of one download: no proxies, no .netrc, no cookies, no compression."""

    def __init__(self, dialer: Dialer, budget: Budget, context: ssl.SSLContext) -> None:
        super().__init__()
        self.trust_env = False
        self.cookies.set_policy(DefaultCookiePolicy(allowed_domains=[]))
        self.headers.clear()
        self.headers.update(_HEADERS)
        self.adapters.clear()
        adapter = _GuardedAdapter(dialer, budget, context)
        self.mount("http://", adapter)
        self.mount("https://", adapter)

    def get_redirect_target(self, _response: requests.Response) -> None:
        """Deny that any answer is a redirect; the fetcher follows them itself.

        Even when told not to follow a redirect, requests reads its whole body to prepare the next
        request, unpacked and without a limit.
        """
