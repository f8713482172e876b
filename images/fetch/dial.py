"""Dialer: makes TCP connections, and judges the address of each.

A host name is resolved once, every answer is judged, and the socket is connected to a judged
address itself. Whatever the URL looked like, whatever redirected to it and whatever the name
resolves to a moment later, there is no other way to an address than through here.
"""

import socket
import threading
import time
from collections.abc import Callable, Sequence
from concurrent.futures import Future
from ipaddress import ip_address
from typing import Protocol

from images.errors import UnreachableError
from images.fetch.destinations import Address, AllowList, Ports, forbidden_reason

Resolver = Callable[[str], Sequence[str]]
"""Takes a host as a URL names it, returns its addresses as text; raises OSError for none."""

# A lookup cannot be interrupted, so each one that hangs keeps its thread until the system's
# resolver gives up: 10 seconds for each name server by default, while its download has long ended.
# With the default settings, downloads of names that hang start about 16 of them a second.
_MAX_LOOKUPS = 512


class AnyDialer(Protocol):
    """Opens connections to hosts that may be connected to."""

    def dial(self, host: str, port: int, end: float) -> socket.socket:
        """See `Dialer.dial`."""


class Dialer:
    """Connects to hosts that may be connected to; may be used from many threads."""

    def __init__(self, allow: AllowList, ports: Ports, resolve: Resolver) -> None:
        self._allow = allow
        self._ports = ports
        self._resolve = BoundedResolver(resolve)

    def dial(self, host: str, port: int, end: float) -> socket.socket:
        """Open a TCP connection before a moment of `time.monotonic`.

        Raises:
            UnreachableError: the host has no address, one of them or the port is forbidden, or
                none answers.
        """
        return connected(host, self._judged_addresses(host, port, end), port, end)

    def _judged_addresses(self, host: str, port: int, end: float) -> list[Address]:
        """Resolve the host; a single forbidden answer condemns it.

        A name that mixes both kinds has no honest use, and trying only the good answers would
        leave the choice to whoever owns the name.
        """
        refuse(host, self._ports.forbidden_reason(port))
        addresses = [ip_address(text) for text in self._resolve(host, end)]
        if not self._allow.has_name(host):
            for address in addresses:
                refuse(host, forbidden_reason(address, self._allow))
        return addresses


def refuse(host: str, reason: str | None) -> None:
    """Raise `UnreachableError` where there is a reason to."""
    if reason:
        raise UnreachableError(f"{host}: blocked: {reason}")


def _left_s(host: str, end: float) -> float:
    left_s = end - time.monotonic()
    if left_s <= 0:
        raise UnreachableError(f"{host}: no connection before the deadline")
    return left_s


def connected(host: str, addresses: Sequence[Address], port: int, end: float) -> socket.socket:
    """Connect to the first of a host's addresses that answers.

    Raises:
        UnreachableError: none does in time.
    """
    failures = []
    for index, address in enumerate(addresses):
        timeout_s = _left_s(host, end) / (len(addresses) - index)
        try:
            return _connected(address, port, timeout_s)
        except OSError as error:
            failures.append(f"{address} port {port}: {error}")
    raise UnreachableError("; ".join(failures))


def _connected(address: Address, port: int, timeout_s: float) -> socket.socket:
    family = socket.AF_INET if address.version == 4 else socket.AF_INET6
    connection = socket.socket(family, socket.SOCK_STREAM)
    try:
        connection.settimeout(timeout_s)
        connection.connect((str(address), port))
        connection.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
    except BaseException:
        connection.close()
        raise
    return connection


def system_resolver(host: str) -> list[str]:
    """Ask the system.

    Raises:
        OSError: the name is unknown, or no name server answers.
        UnicodeError: the name cannot be one.
    """
    answers = socket.getaddrinfo(host, None, type=socket.SOCK_STREAM)
    return list(dict.fromkeys(str(answer[4][0]) for answer in answers))


def literal_addresses(host: str) -> Sequence[str]:
    """The address that a host spells itself; reads 127.1, 0x7f.1 and 2130706433 as ones, too.

    Empty for a name. Asks nobody, so that it needs no thread.
    """
    try:
        answers = socket.getaddrinfo(
            host, None, type=socket.SOCK_STREAM, flags=socket.AI_NUMERICHOST
        )
    except (OSError, UnicodeError):
        return ()
    return [str(answer[4][0]) for answer in answers]


class BoundedResolver:
    """Resolver with a time limit, which getaddrinfo has not; may be called from many threads."""

    def __init__(self, resolve: Resolver) -> None:
        self._resolve = resolve
        self._free = threading.BoundedSemaphore(_MAX_LOOKUPS)

    def __call__(self, host: str, end: float) -> Sequence[str]:
        """Return the host's addresses.

        Raises:
            UnreachableError: it has none, or they were not known in time.
        """
        literal = literal_addresses(host)
        if literal:
            return literal
        if not self._free.acquire(timeout=_left_s(host, end)):
            raise UnreachableError(f"{host}: too many name lookups hang")
        answer = self._start(host)
        try:
            addresses = answer.result(timeout=_left_s(host, end))
        except TimeoutError:
            raise UnreachableError(f"{host}: the name lookup took too long") from None
        except Exception as error:  # whatever a resolver makes of a name that is none
            raise UnreachableError(f"{host}: {error}") from error
        if not addresses:
            raise UnreachableError(f"{host}: the name has no address")
        return addresses

    def _start(self, host: str) -> "Future[Sequence[str]]":
        answer: Future[Sequence[str]] = Future()
        # A daemon, so that a hanging lookup does not keep the process from ending.
        thread = threading.Thread(target=self._look_up, args=(host, answer), daemon=True)
        try:
            thread.start()
        except RuntimeError as error:  # the system has no thread to spare
            self._free.release()
            raise UnreachableError(f"{host}: {error}") from error
        return answer

    def _look_up(self, host: str, answer: "Future[Sequence[str]]") -> None:
        try:
            answer.set_result(self._resolve(host))
        except Exception as error:  # someone waits for it in another thread
            answer.set_exception(error)
        finally:
            self._free.release()
