"""The places of the requests that are worked on, and when they are all taken."""

import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from itertools import islice

MAX_WORKING_BYTES = 64 << 20
"""Bodies of all requests that are worked on; parsed JSON takes up to seven times as much."""

ALWAYS = 64
"""So many requests are let in however slow they are: a whole batch for a model."""

STANDING_S = 5.0
"""When half of the requests have been here for longer, they do not pass through but stand."""


class Places:
    """How many requests are worked on, and whether one more may come in.

    A number alone would be too many or too few. Two hundred requests at once are soon done where
    a hundred are done in a second; where five are, as with large models on a small machine, the
    last of them would be given up at its deadline, and all that was done for it in vain. A burst
    that has just come in has not been here for long, so it fits in either case; while it stands,
    no more come in. (That the age of a queue tells more than its length is the idea of CoDel, RFC
    8289.)

    Args:
        most: requests at once.
        clock: seconds that only go forward.
    """

    def __init__(self, most: int, clock: Callable[[], float] = time.monotonic) -> None:
        self._most = most
        self._clock = clock
        self._free_bytes = MAX_WORKING_BYTES
        self._since: dict[object, float] = {}  # the oldest first, as dicts keep their order

    def are_taken(self) -> bool:
        """Is there no place for one more?"""
        return len(self._since) >= self._most or self._free_bytes <= 0 or self._stand()

    @contextmanager
    def taken(self, body_bytes: int) -> Iterator[None]:
        """Hold a place until the block ends."""
        request = object()
        self._since[request] = self._clock()
        self._free_bytes -= body_bytes
        try:
            yield
        finally:
            del self._since[request]
            self._free_bytes += body_bytes

    def _stand(self) -> bool:
        there = len(self._since)
        if there < ALWAYS:
            return False
        middle = next(islice(self._since.values(), there // 2, None))
        return self._clock() - middle > STANDING_S
