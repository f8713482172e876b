"""In-flight limit: how many requests are worked on at once; one more is answered 429."""

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from contextvars import ContextVar
from dataclasses import dataclass
from functools import partial
from time import monotonic

from api.telemetry.metrics import REQUESTS_IN_FLIGHT

MAX_BODY_BYTES = 64 << 20
"""Bodies of all requests in flight; parsed JSON takes up to seven times as much."""

ALWAYS = 64
"""So many requests are let in however slow they are: a whole batch for a model."""

SATURATED_S = 5.0
"""Saturated: over half of the in-flight requests are older than this."""


@dataclass(eq=False)
class _Request:
    """A request in flight: since when it waits for this service alone, its waits for others now."""

    since: float
    body_bytes: int
    waits: int = 0


_CURRENT: ContextVar[_Request | None] = ContextVar("request", default=None)


class InFlight:
    """The requests in flight, and whether there may be one more.

    A number alone would be too many or too few. Two hundred requests at once are soon done where
    a hundred are done in a second; where five are, as with large models on a small machine, the
    last of them would be given up at its deadline, and all that was done for it in vain. A burst
    that has just come in is young, so it fits in either case; when it grows old, no more come in.
    (That the age of a queue tells more than its length is the idea of CoDel, RFC 8289.) Requests
    that wait for others, such as a host that is slow, are not counted: they would close the
    service for everybody.

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
    def entered(self, body_bytes: int) -> Iterator[Callable[[], None]]:
        """Counts a request until the block exits, or until what it gives is called before."""
        request = _Request(monotonic(), body_bytes)
        self._requests.add(request)
        self._free_bytes -= body_bytes
        REQUESTS_IN_FLIGHT.inc()
        leave = partial(self._leave, request)
        token = _CURRENT.set(request)
        try:
            yield leave
        finally:
            _CURRENT.reset(token)
            leave()

    def _leave(self, request: _Request) -> None:
        if request in self._requests:
            self._requests.remove(request)
            self._free_bytes += request.body_bytes
            REQUESTS_IN_FLIGHT.dec()

    def _is_saturated(self) -> bool:
        begun = [request.since for request in self._requests if not request.waits]
        old = monotonic() - SATURATED_S
        return len(begun) >= ALWAYS and sum(since < old for since in begun) * 2 > len(begun)


@contextmanager
def waiting_for_others() -> Iterator[None]:
    """Around a wait for what is not this service's own: the request's age begins anew after it."""
    request = _CURRENT.get()
    if request is None:  # `reembed` is no request
        yield
        return
    request.waits += 1
    try:
        yield
    finally:
        request.waits -= 1
        request.since = monotonic()
