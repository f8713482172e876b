"""An internet in a box: every address there is, on this machine alone.

A network namespace of Linux whose loopback holds all of IPv4 and IPv6 ("AnyIP"). A connection to
8.8.8.8, to 169.254.169.254 or to a tunnel's address arrives at a socket of these tests, which can
say where it was meant to go. So what is forbidden and what is permitted are told apart by what the
service really dials, and nothing leaves the machine. It needs the right to make namespaces
(CAP_SYS_ADMIN, as root has).
"""

import ctypes
import os
import socket
from collections.abc import Iterator
from contextlib import contextmanager

from pyroute2 import IPRoute

_NEW_NETWORK = 0x40000000  # CLONE_NEWNET
_LOCAL_TABLE = 255
_libc = ctypes.CDLL(None, use_errno=True)


class NoBoxError(Exception):
    """This process may not make namespaces; the message says why."""


class Box:
    """The namespace. Threads are inside or outside; sockets and processes stay where they began."""

    def __init__(self) -> None:
        self._outside = os.open("/proc/thread-self/ns/net", os.O_RDONLY)
        if _libc.unshare(_NEW_NETWORK):
            raise NoBoxError(os.strerror(ctypes.get_errno()))
        self._inside = os.open("/proc/thread-self/ns/net", os.O_RDONLY)
        try:
            _hold_every_address()
        finally:
            _move(self._outside)

    def enter(self) -> None:
        """Move this thread inside for good."""
        _move(self._inside)

    @contextmanager
    def entered(self) -> Iterator[None]:
        """Move this thread inside for a while."""
        _move(self._inside)
        try:
            yield
        finally:
            _move(self._outside)

    def close(self) -> None:
        """Let go of it; the kernel removes it with its last socket."""
        os.close(self._inside)
        os.close(self._outside)


def _move(namespace: int) -> None:
    if _libc.setns(namespace, _NEW_NETWORK):
        raise OSError(ctypes.get_errno(), "setns")


def _hold_every_address() -> None:
    with IPRoute() as route:
        loopback = route.link_lookup(ifname="lo")[0]
        route.link("set", index=loopback, state="up")
        for family, everything in ((socket.AF_INET, "0.0.0.0/0"), (socket.AF_INET6, "::/0")):
            route.route(
                "add",
                family=family,
                dst=everything,
                type="local",
                scope="host",
                oif=loopback,
                table=_LOCAL_TABLE,
            )
