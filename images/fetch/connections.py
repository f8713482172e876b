"""Connections that are kept for a few seconds, for the next picture of the same host."""

import ssl
import threading
import time
from collections import deque

from images.fetch.dial import Dialer
from images.fetch.transport import Connection, is_quiet
from images.fetch.urls import Origin

# Less than the 5 seconds after which common servers close an idle connection.
KEEP_S = 4.0
_MAX_IDLE = 64
_MAX_IDLE_PER_ORIGIN = 16


class Connections:
    """Hands out connections, idle ones first; may be used from many threads.

    An idle connection serves the very origin that it was made for: scheme, host as the URL names
    it, and port. So it leads to an address that was judged for this host, and cannot be had by
    another name. A new connection is judged anew.
    """

    def __init__(self, dialer: Dialer, context: ssl.SSLContext) -> None:
        self._dialer = dialer
        self._context = context
        self._idle: deque[tuple[float, Connection]] = deque()
        self._lock = threading.Lock()

    def idle(self, origin: Origin) -> Connection | None:
        """Take the connection to this origin that was used last, if it still stands."""
        while connection := self._taken(origin):
            if connection.sock is not None and is_quiet(connection.sock):
                return connection
            connection.close()
        return None

    def fresh(self, origin: Origin) -> Connection:
        """Make one, which connects when it is asked."""
        return Connection(origin, self._dialer, self._context)

    def keep(self, connection: Connection) -> None:
        """Keep a connection that can be asked again; the oldest gives way where there are many."""
        with self._lock:
            self._idle.append((time.monotonic(), connection))
            own = [pair for pair in self._idle if pair[1].origin == connection.origin]
            surplus = own[:1] if len(own) > _MAX_IDLE_PER_ORIGIN else list(self._idle)[:-_MAX_IDLE]
            for pair in surplus:
                self._idle.remove(pair)
        for _, old in surplus:
            old.close()

    def close_idle(self, older_than_s: float = 0.0) -> int:
        """Close those that were not used for so long, and say how many are left."""
        latest = time.monotonic() - older_than_s
        with self._lock:
            old = [pair for pair in self._idle if pair[0] <= latest]
            for pair in old:
                self._idle.remove(pair)
            left = len(self._idle)
        for _, connection in old:
            connection.close()
        return left

    def _taken(self, origin: Origin) -> Connection | None:
        self.close_idle(KEEP_S)
        with self._lock:
            for pair in reversed(self._idle):
                if pair[1].origin == origin:
                    self._idle.remove(pair)
                    return pair[1]
        return None
