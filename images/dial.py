"""Where a connection is made, and so where its address is judged.

A host name is resolved once, every answer is judged, and the socket is connected to a judged
address itself. Whatever the URL looked like, whoever redirected to it and whatever the name
resolves to a moment later, there is no other way to an address than through here.
"""

import socket
import ssl
from collections.abc import Iterator
from contextlib import contextmanager
from ipaddress import ip_address
from typing import Any

from images.addresses import Address, AllowList, forbidden_reason
from images.budget import Budget
from images.errors import FetchTimeoutError, UnreachableError
from images.resolve import BoundedResolver, Resolver


class BudgetedSocket(socket.socket):
    """A TCP connection that obeys the budget of its download.

    `http.client` reads headers and body through `recv_into` and writes through `sendall`.
    """

    budget: Budget

    def recv_into(self, *args: Any, **kwargs: Any) -> int:
        """Receive what is there, waiting no longer than the budget allows."""
        with self._in_time():
            received_bytes = super().recv_into(*args, **kwargs)
        self.budget.count(received_bytes)
        return received_bytes

    def sendall(self, *args: Any, **kwargs: Any) -> None:
        """Send everything, waiting no longer than the budget allows."""
        with self._in_time():
            super().sendall(*args, **kwargs)

    @contextmanager
    def _in_time(self) -> Iterator[None]:
        self.settimeout(self.budget.remaining_s())
        try:
            yield
        except TimeoutError:
            raise self.budget.timeout() from None


class BudgetedTlsSocket(BudgetedSocket, ssl.SSLSocket):
    """A TLS connection that obeys the budget, which it gets once the handshake is done.

    The handshake as a whole runs under one timeout: the one its TCP socket had.
    """


class Dialer:
    """Connects to hosts that may be connected to; may be used from many threads."""

    def __init__(self, allow: AllowList, resolve: Resolver) -> None:
        self._allow = allow
        self._resolve = BoundedResolver(resolve)

    def dial(self, host: str, port: int, budget: Budget) -> BudgetedSocket:
        """Open a TCP connection, its timeout set to what is left of the budget.

        Raises:
            UnreachableError: the host has no address, one of them is forbidden, or none answers.
        """
        try:
            return self._connect(self._judged_addresses(host, port, budget), port, budget)
        except FetchTimeoutError:
            raise UnreachableError(f"{host}: no connection before the deadline") from None

    def _judged_addresses(self, host: str, port: int, budget: Budget) -> list[Address]:
        """Resolve the host; a single forbidden answer condemns it.

        A name that mixes both kinds has no honest use, and trying only the good answers would
        leave the choice to whoever owns the name.
        """
        addresses = [ip_address(text) for text in self._resolve(host, budget)]
        if not self._allow.has_name(host):
            for address in addresses:
                reason = forbidden_reason(address, port, self._allow)
                if reason:
                    raise UnreachableError(f"{host}: blocked: {reason}")
        return addresses

    def _connect(self, addresses: list[Address], port: int, budget: Budget) -> BudgetedSocket:
        """Try the addresses in turn, each with its share of the time that is left."""
        failures = []
        for index, address in enumerate(addresses):
            timeout_s = budget.remaining_s() / (len(addresses) - index)
            try:
                return _connected(address, port, timeout_s, budget)
            except OSError as error:
                failures.append(f"{address} port {port}: {error}")
        raise UnreachableError("; ".join(failures))


def _connected(address: Address, port: int, timeout_s: float, budget: Budget) -> BudgetedSocket:
    family = socket.AF_INET if address.version == 4 else socket.AF_INET6
    connection = BudgetedSocket(family, socket.SOCK_STREAM)
    try:
        connection.budget = budget
        connection.settimeout(timeout_s)
        connection.connect((str(address), port))
        connection.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        connection.settimeout(budget.remaining_s())
    except BaseException:
        connection.close()
        raise
    return connection
