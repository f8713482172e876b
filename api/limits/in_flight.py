"""The places of the requests that are worked on, and when they are all taken."""

import time
from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager, contextmanager, nullcontext
from contextvars import ContextVar

MAX_WORKING_BYTES = 64 << 20
"""Bodies of all requests that are worked on; parsed JSON takes up to seven times as much."""

ALWAYS = 64
"""So many requests are let in however slow they are: a whole batch for a model."""

STANDING_S = 5.0
"""When half of the requests have been here for longer, they do not pass through but stand."""


class Place:
    """What a request holds, and for how long it has been here.

    Args:
        clock: seconds that only go forward.
    """

    def __init__(self, clock: Callable[[], float]) -> None:
        self.since = clock()
        self.away = 0
        """How many of its downloads wait for the network now."""
        self._clock = clock
        self._left = self.since

    @contextmanager
    def left(self) -> Iterator[None]:
        """Around a wait elsewhere, by which the time here is not longer."""
        if not self.away:
            self._left = self._clock()
        self.away += 1
        try:
            yield
        finally:
            self.away -= 1
            if not self.away:
                self.since += self._clock() - self._left


class Places:
    """How many requests are worked on, and whether one more may come in.

    A number alone would be too many or too few. Two hundred requests at once are soon done where
    a hundred are done in a second; where five are, as with large models on a small machine, the
    last of them would be given up at its deadline, and all that was done for it in vain. A burst
    that has just come in has not been here for long, so it fits in either case; while it stands,
    no more come in. (That the age of a queue tells more than its length is the idea of CoDel, RFC
    8289.) Requests that wait for hosts elsewhere are no queue here: slow hosts would close the
    service for everybody.

    Args:
        most: requests at once.
        clock: seconds that only go forward.
    """

    def __init__(self, most: int, clock: Callable[[], float] = time.monotonic) -> None:
        self._most = most
        self._clock = clock
        self._free_bytes = MAX_WORKING_BYTES
        self._held: set[Place] = set()

    def are_taken(self) -> bool:
        """Is there no place for one more?"""
        return len(self._held) >= self._most or self._free_bytes <= 0 or self._stand()

    @contextmanager
    def taken(self, body_bytes: int) -> Iterator[None]:
        """Hold a place until the block ends."""
        place = Place(self._clock)
        self._held.add(place)
        self._free_bytes -= body_bytes
        token = _HELD.set(place)
        try:
            yield
        finally:
            _HELD.reset(token)
            self._held.remove(place)
            self._free_bytes += body_bytes

    def _stand(self) -> bool:
        if len(self._held) < ALWAYS:
            return False
        here = [place.since for place in self._held if not place.away]
        old = self._clock() - STANDING_S
        return len(here) >= ALWAYS and sum(since < old for since in here) * 2 > len(here)


_HELD: ContextVar[Place | None] = ContextVar("place", default=None)


def waiting_for_others() -> AbstractContextManager[None]:
    """Around a wait for the network: it does not count as standing here."""
    place = _HELD.get()
    return place.left() if place is not None else nullcontext()  # `reembed` is no request
