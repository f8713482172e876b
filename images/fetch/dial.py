"""Where a connection is made, and so where its address is judged.

A host name is resolved once, every answer is judged, and the socket is connected to a judged
address itself. Whatever the URL looked like, whoever redirected to it and whatever the name
resolves to a moment later, there is no other way to an address than through here.
"""

import errno
import socket
import ssl
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from ipaddress import ip_address
from typing import Any

from images.errors import FetchTimeoutError, UnreachableError
from images.fetch.addresses import Address, AllowList, forbidden_reason
from images.fetch.budget import Budget
from images.fetch.ports import Ports
from images.fetch.resolve import BoundedResolver, Resolver


class BudgetedSocket(socket.socket):
    """A TCP connection that obeys the budget of the download which has it.

    `http.client` reads headers and body through `recv_into` and writes through `sendall`. Without
    a budget the connection is at rest: nothing is read from it then, only what was read before.
    """

    budget: Budget | None = None

    def recv_into(self, *args: Any, **kwargs: Any) -> int:
        """Receive what is there, waiting no longer than the budget allows."""
        with self._in_time() as budget:
            received_bytes = super().recv_into(*args, **kwargs)
        budget.count(received_bytes)
        return received_bytes

    def sendall(self, *args: Any, **kwargs: Any) -> None:
        """Send everything, waiting no longer than the budget allows."""
        with self._in_time():
            super().sendall(*args, **kwargs)

    def acknowledge_at_once(self) -> None:
        """Have the kernel confirm what comes next without delay.

        A server that writes head and body one after the other, and leaves Nagle's algorithm on,
        holds the body back for that: 40 ms a picture, from the second one of a connection on.
        """
        if hasattr(socket, "TCP_QUICKACK"):  # Linux; tcp(7): not permanent, so for each answer
            self.setsockopt(socket.IPPROTO_TCP, socket.TCP_QUICKACK, 1)

    def interrupt(self) -> None:
        """Wake whoever waits for this connection in another thread; it is of no use afterwards.

        TLS's own `shutdown` would let go of its state under the other thread's feet.
        """
        with suppress(OSError):
            socket.socket.shutdown(self, socket.SHUT_RDWR)

    @contextmanager
    def _in_time(self) -> Iterator[Budget]:
        budget = self.budget
        if budget is None:
            raise BlockingIOError(errno.EAGAIN, "the connection is at rest")
        self.settimeout(budget.remaining_s())
        try:
            yield budget
        except TimeoutError:
            raise budget.timeout() from None


class BudgetedTlsSocket(BudgetedSocket, ssl.SSLSocket):
    """A TLS connection that obeys the budget."""

    def do_handshake(self, block: bool = False) -> None:
        """Shake hands; all of it together takes no longer than the budget allows."""
        with self._in_time() as budget, budget.interruptible(self.interrupt):
            super().do_handshake(block)


class Dialer:
    """Connects to hosts that may be connected to; may be used from many threads."""

    def __init__(self, allow: AllowList, ports: Ports, resolve: Resolver) -> None:
        self._allow = allow
        self._ports = ports
        self._resolve = BoundedResolver(resolve)

    def dial(self, host: str, port: int, budget: Budget) -> BudgetedSocket:
        """Open a TCP connection within the time that one may take.

        Raises:
            UnreachableError: the host has no address, one of them or the port is forbidden, or
                none answers.
        """
        try:
            with budget.connecting():
                return self._connect(self._judged_addresses(host, port, budget), port, budget)
        except FetchTimeoutError:
            raise UnreachableError(f"{host}: no connection before the deadline") from None

    def _judged_addresses(self, host: str, port: int, budget: Budget) -> list[Address]:
        """Resolve the host; a single forbidden answer condemns it.

        A name that mixes both kinds has no honest use, and trying only the good answers would
        leave the choice to whoever owns the name.
        """
        _refuse(host, self._ports.forbidden_reason(port))
        addresses = [ip_address(text) for text in self._resolve(host, budget)]
        if not self._allow.has_name(host):
            for address in addresses:
                _refuse(host, forbidden_reason(address, self._allow))
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


def _refuse(host: str, reason: str | None) -> None:
    if reason:
        raise UnreachableError(f"{host}: blocked: {reason}")


def _connected(address: Address, port: int, timeout_s: float, budget: Budget) -> BudgetedSocket:
    family = socket.AF_INET if address.version == 4 else socket.AF_INET6
    connection = BudgetedSocket(family, socket.SOCK_STREAM)
    try:
        connection.budget = budget
        connection.settimeout(timeout_s)
        with budget.interruptible(connection.interrupt):
            connection.connect((str(address), port))
        connection.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
    except BaseException:
        connection.close()
        raise
    return connection
