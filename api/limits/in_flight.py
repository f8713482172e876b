"""The in-flight limit: how many requests a worker takes, and when it refuses one more (429)."""

from collections.abc import Iterator
from contextlib import contextmanager
from contextvars import ContextVar
from dataclasses import dataclass
from time import monotonic

MAX_BODY_BYTES = 64 << 20
"""Bodies of all requests in flight; parsed JSON takes up to seven times as much."""

ALWAYS = 64
"""So many requests are let in however slow they are: a whole batch for a model."""

SATURATED_S = 5.0
"""Saturated: over half of the in-flight requests are older than this."""


@dataclass(eq=False)
class _Request:
    """A request in flight: since when it waits for this service alone, and its downloads now."""

    since: float
    downloads: int = 0


_CURRENT: ContextVar[_Request | None] = ContextVar("request", default=None)


class InFlight:
    """The requests in flight, and whether there may be one more.

    A number alone would be too many or too few. Two hundred requests at once are soon done where
    a hundred are done in a second; where five are, as with large models on a small machine, the
    last of them would be given up at its deadline, and all that was done for it in vain. A burst
    that has just come in is young, so it fits in either case; when it grows old, no more come in.
    (That the age of a queue tells more than its length is the idea of CoDel, RFC 8289.) Requests
    that download are not counted: slow hosts would close the service for everybody.

    Args:
        most: requests at once.
    """

    def __init__(self, most: int) -> None:
        self._most = most
        self._free_bytes = MAX_BODY_BYTES
        self._requests: set[_Request] = set()

    def is_full(self) -> bool:
        """Whether one more request is to be refused."""
        if len(self._requests) >= self._most or self._free_bytes <= 0:
            return True
        return len(self._requests) >= ALWAYS and self._is_saturated()

    @contextmanager
    def entered(self, body_bytes: int) -> Iterator[None]:
        """Counts a request until the block exits."""
        request = _Request(monotonic())
        self._requests.add(request)
        self._free_bytes -= body_bytes
        token = _CURRENT.set(request)
        try:
            yield
        finally:
            _CURRENT.reset(token)
            self._requests.remove(request)
            self._free_bytes += body_bytes

    def _is_saturated(self) -> bool:
        begun = [request.since for request in self._requests if not request.downloads]
        old = monotonic() - SATURATED_S
        return len(begun) >= ALWAYS and sum(since < old for since in begun) * 2 > len(begun)


@contextmanager
def downloading() -> Iterator[None]:
    """Around a download: the age of its request begins anew when it ends."""
    request = _CURRENT.get()
    if request is None:  # `reembed` is no request
        yield
        return
    request.downloads += 1
    try:
        yield
    finally:
        request.downloads -= 1
        request.since = monotonic()
