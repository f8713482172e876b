"""Limits of a worker under load: requests in flight (429 beyond), memory of pictures, answers."""

import asyncio
import weakref
from collections.abc import Awaitable, Callable, Iterator
from contextlib import contextmanager
from contextvars import ContextVar
from dataclasses import dataclass
from time import monotonic

from prometheus_client import Gauge
from starlette.responses import Response

from api.telemetry.metrics import ANSWER_MEMORY, ANSWER_QUEUE, Queue

MAX_BODY_BYTES = 64 << 20
"""Bodies of all requests in flight; parsed JSON takes up to seven times as much."""

ALWAYS = 64
"""So many requests are let in however slow they are: a whole batch for a model."""

SATURATED_S = 5.0
"""Saturated: over half of the in-flight requests are older than this."""

SMALL_ROWS = 32
"""An answer of so many rows waits for no memory: clients that do not read large ones hold up only
each other."""

_BYTES_PER_ROW = 1 << 18
_ANSWERS_BYTES = 1 << 29


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


class Line:
    """Tasks that wait until there is enough of something: first come, first served.

    Args:
        returned: set whenever some of it is given back; lines may share one.
    """

    def __init__(self, returned: asyncio.Event) -> None:
        self._turn = asyncio.Lock()  # a large one is not overtaken for ever by small ones
        self._returned = returned

    async def wait(self, is_enough: Callable[[], bool]) -> None:
        """Wait for a turn, and then until there is enough; take it before anything else runs."""
        async with self._turn:
            while not is_enough():
                self._returned.clear()
                await self._returned.wait()


class Reservation:
    """A part of a memory budget; whoever reserved it gives it back with `shrink(0)`.

    Attributes:
        size_bytes: what is still reserved.
    """

    def __init__(self, budget: "MemoryBudget", size_bytes: int) -> None:
        self._budget = budget
        self.size_bytes = size_bytes
        self._pins = 0

    @contextmanager
    def pin(self) -> Iterator[None]:
        """Pins the reservation until the block exits; the last pin gives back what is left."""
        self._pins += 1
        try:
            yield
        finally:
            self._pins -= 1
            if self._pins == 0:
                self.shrink(0)

    def shrink(self, size_bytes: int) -> None:
        """Give back what is more than so much."""
        spare = max(0, self.size_bytes - max(0, size_bytes))
        self.size_bytes -= spare
        self._budget.give_back(spare)


class MemoryBudget:
    """Memory that pieces of work reserve before they begin.

    Counting pieces would not do: a photograph of 50 megapixels takes as much memory as a
    thousand thumbnails, of which many should be in flight for batches to form.

    Args:
        size_bytes: in all; a piece that takes more comes in alone.
        reserved: tells how much is reserved.
        queue: tells of those that wait.

    Attributes:
        free_bytes: what is left of it.
    """

    def __init__(self, size_bytes: int, reserved: Gauge, queue: Queue) -> None:
        self._size_bytes = self.free_bytes = size_bytes
        self._reserved = reserved
        self._queue = queue
        self._returned = asyncio.Event()
        self._line = Line(self._returned)

    async def reserve(self, size_bytes: int) -> Reservation:
        """Wait until so much is free, and reserve it."""
        size = min(size_bytes, self._size_bytes)
        with self._queue.wait():
            await self._line.wait(lambda: self.free_bytes >= size)
            self.free_bytes -= size
        self._reserved.inc(size)
        return Reservation(self, size)

    def give_back(self, spare_bytes: int) -> None:
        """Free part of the budget; `Reservation` calls this."""
        self._reserved.dec(spare_bytes)
        self.free_bytes += spare_bytes
        self._returned.set()


class LargeAnswers:
    """Makes answers of many rows, or of large files, few at a time.

    A thousand results with the largest metadata take some 200 MB on their way from the table to the
    client, and are 60 MB on the wire: a few dozen of them at once would end the worker.
    """

    def __init__(self) -> None:
        self._memory = MemoryBudget(_ANSWERS_BYTES, ANSWER_MEMORY, ANSWER_QUEUE)

    async def of_rows(self, rows: int, make: Callable[[], Awaitable[Response]]) -> Response:
        """Make an answer of at most so many rows, once there is memory for it."""
        if rows <= SMALL_ROWS:
            return await make()
        return await self.of_bytes(rows * _BYTES_PER_ROW, make)

    async def of_bytes(self, most_bytes: int, make: Callable[[], Awaitable[Response]]) -> Response:
        """Make an answer that takes at most so many bytes, once there is memory for it.

        Returns:
            The answer. It holds the memory of its body for as long as it is in use itself.
        """
        reservation = await self._memory.reserve(most_bytes)
        try:
            response = await make()
        except BaseException:
            reservation.shrink(0)
            raise
        reservation.shrink(len(response.body))
        weakref.finalize(response, reservation.shrink, 0)
        return response
