"""Whether and when a call that failed is sent again: the decisions of both clients."""

import random
import time
from dataclasses import dataclass

from image_search.errors import ImageSearchError, OverloadedError, TimedOutError, UnreachableError

_MOST_DOUBLINGS = 32
"""Beyond every longest pause that makes sense, and far from a float's end."""


@dataclass(frozen=True)
class Retries:
    """How often a call is sent again, and how long that may go on.

    Every route can be sent again safely: an add replaces the row of its url, and what is deleted
    stays deleted (so that a delete whose answer was lost may count nothing the second time).

    Attributes:
        attempts: in all, the first one included; 1 sends nothing again.
        within_s: since the first attempt; none begins later.
        first_pause_s: the longest first pause; each further one may be twice as long.
        longest_pause_s: that any pause may be, unless the service asks for a longer one.
    """

    attempts: int = 5
    within_s: float = 30.0
    first_pause_s: float = 0.25
    longest_pause_s: float = 8.0

    def pause_s(
        self, error: ImageSearchError, failed: int, elapsed_s: float, chance: float
    ) -> float | None:
        """Seconds to wait until the next attempt, or None where there is to be none.

        Args:
            error: what the last attempt ended with.
            failed: attempts that have failed.
            elapsed_s: since the first attempt began.
            chance: drawn evenly from 0 to 1. The whole pause is drawn ("full jitter"), so that
                many clients that failed together do not come back together.
        """
        if failed >= self.attempts or not may_pass(error):
            return None
        pause = self.drawn_pause_s(error, failed, chance)
        return pause if elapsed_s + pause <= self.within_s else None

    def drawn_pause_s(self, error: ImageSearchError, failed: int, chance: float) -> float:
        """Seconds of the pause after so many failures; the arguments are those of `pause_s`."""
        doublings = min(failed - 1, _MOST_DOUBLINGS)
        pause = chance * min(self.longest_pause_s, self.first_pause_s * 2.0**doublings)
        return pause + error.retry_after_s if isinstance(error, OverloadedError) else pause


class Attempts:
    """The attempts of one call."""

    def __init__(self, retries: Retries) -> None:
        self._retries = retries
        self._began, self._failed = time.monotonic(), 0

    def pause_s(self, error: ImageSearchError) -> float:
        """Seconds until the next attempt, after one that ended with an error.

        Raises:
            ImageSearchError: this one, where there is to be no further attempt.
        """
        self._failed += 1
        elapsed, chance = time.monotonic() - self._began, random.random()  # noqa: S311
        pause = self._retries.pause_s(error, self._failed, elapsed, chance)
        if pause is None:
            raise error
        return pause


def may_pass(error: ImageSearchError) -> bool:
    """Whether the same call can succeed soon: overload, no connection, a proxy's 502 to 504.

    A call that timed out is not sent again: the service may still be at work on it.
    """
    if isinstance(error, TimedOutError):
        return False
    return isinstance(error, OverloadedError | UnreachableError)
