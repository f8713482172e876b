"""In-flight limit: how many requests are worked on at once; one more is answered 429."""

from collections.abc import Awaitable, Callable, Iterable, Iterator, Sequence
from contextlib import contextmanager
from contextvars import ContextVar
from dataclasses import dataclass
from functools import partial
from time import monotonic
from typing import TypeVar

from api.limits.turns import Turns
from api.telemetry.metrics import REQUESTS_IN_FLIGHT

MAX_BODY_BYTES = 64 << 20
"""Bodies of all requests in flight; parsed JSON takes up to seven times as much."""

ALWAYS = 64
"""So many requests are let in however slow they are: a whole batch for a model."""

SATURATED_S = 5.0
"""Saturated: over half of the in-flight requests are older than this."""


Item = TypeVar("Item")
Result = TypeVar("Result")


@dataclass(eq=False)
class _Request:
    """A request in flight.

    Attributes:
        since: when it began to wait for this service alone.
        turns: of the service.
        waits: for others, now.
        gives_way: whether others go before it.
        is_counted: whether it is one of those that others give way to, now.
    """

    since: float
    body_bytes: int
    turns: Turns
    waits: int = 0
    gives_way: bool = False
    is_over: bool = False
    is_counted: bool = False

    def count(self) -> None:
        """Tell the turns whether others give way to it."""
        counts = not (self.waits or self.gives_way or self.is_over)
        if counts != self.is_counted:
            self.is_counted = counts
            self.turns.count(1 if counts else -1)
        if self.is_over and not self.gives_way:
            self.turns.answered()


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
        self._turns = Turns()

    def is_full(self) -> bool:
        """Whether one more request is to be refused."""
        if len(self._requests) >= self._most or self._free_bytes <= 0:
            return True
        return len(self._requests) >= ALWAYS and self._is_saturated()

    @contextmanager
    def entered(self, body_bytes: int) -> Iterator[Callable[[], None]]:
        """Counts a request until the block exits, or until what it gives is called before."""
        request = _Request(monotonic(), body_bytes, self._turns)
        self._requests.add(request)
        request.count()
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
            request.is_over = True
            request.count()

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
    request.count()
    try:
        yield
    finally:
        request.waits -= 1
        request.since = monotonic()
        request.count()


def give_way() -> None:
    """From now on the bulk work of the current request gives way to others' requests."""
    if (request := _CURRENT.get()) is not None:
        request.gives_way = True
        request.count()


async def in_turns(
    items: Sequence[Item], most: int, work: Callable[[Sequence[Item]], Awaitable[Iterable[Result]]]
) -> list[Result]:
    """The results of bulk work on items: in turns, if the current request gives way, else at once.

    Args:
        items: to work on.
        most: of them at a time, where nobody else is there.
        work: makes the results of some.
    """
    request, results = _CURRENT.get(), list[Result]()
    if request is None or not request.gives_way:
        return list(await work(items))
    while len(results) < len(items):
        async with request.turns.next(most) as count:
            results.extend(await work(items[len(results) : len(results) + count]))
    return results
