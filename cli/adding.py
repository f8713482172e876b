"""One image to the service, as often as it takes, and how that ended."""

import asyncio
import random
import time

from cli.limit import InFlight
from cli.rows import Row
from image_search import (
    AsyncClient,
    ImageSearchError,
    OverloadedError,
    RefusedError,
    Retries,
    TimedOutError,
    UnauthorizedError,
    UnreachableError,
)
from image_search.calls import OnDuplicate

_PASSING = frozenset(
    {"host_busy", "deadline", "model_unavailable", "internal", "store_read", "store_write"}
)
"""What one image may meet and another not; the image has failed if it goes on."""

_STOPPED = frozenset(
    {"not_ready", "store_closed", "store_open", "store_moved", "disk_full", "disk_read_only"}
    | {"index_damaged", "model_mismatch"}
)
"""What every image meets: the service is to be waited for."""

_ATTEMPTS = 4
_PAUSES = Retries(attempts=1 << 30, within_s=float("inf"), first_pause_s=0.5, longest_pause_s=4.0)


class UnavailableError(Exception):
    """The service cannot be had; the message is one line."""


class Adder:
    """Adds images, and waits for a service that is gone.

    Args:
        client: without retries of its own.
        in_flight: is told of overload.
        patience_s: since the last answer; when it is over, the service cannot be had.
        on_duplicate: for each image.
    """

    def __init__(
        self,
        client: AsyncClient,
        in_flight: InFlight,
        patience_s: float,
        on_duplicate: OnDuplicate,
    ) -> None:
        self._client, self._in_flight = client, in_flight
        self._patience_s, self._on_duplicate = patience_s, on_duplicate
        self._heard = time.monotonic()

    async def add(self, row: Row) -> ImageSearchError | None:
        """Add an image; what it failed with for good.

        Raises:
            UnavailableError: there is no service, no longer, or not for us.
        """
        failed = passing = 0
        while True:
            era = self._in_flight.era
            try:
                await self._client.add(row.url, row.metadata, on_duplicate=self._on_duplicate)
            except ImageSearchError as error:
                failed += 1
                passing += self._counts(error, era)
                if _is_final(error) or passing >= _ATTEMPTS:
                    return error
                chance = random.random()  # noqa: S311
                pause = _PAUSES.pause_s(_passing(error), min(failed, 8), 0.0, chance)
            else:
                self._heard = time.monotonic()
                self._in_flight.succeeded()
                return None
            await asyncio.sleep(pause or 0.0)

    def _counts(self, error: ImageSearchError, era: int) -> bool:
        """Take note of an error; whether it is one of the image's own."""
        if isinstance(error, OverloadedError):
            self._in_flight.refused(era)
        if isinstance(error, UnauthorizedError):
            raise UnavailableError(f"{error.message} (--api-key, IMAGE_SEARCH_API_KEY)")
        if error.status in {404, 405, 415}:
            raise UnavailableError("what answers there is no image search service: see --server")
        if _is_away(error):
            if time.monotonic() - self._heard > self._patience_s:
                raise UnavailableError(error.message)
            return False
        self._heard = time.monotonic()
        return True


def _is_away(error: ImageSearchError) -> bool:
    if isinstance(error, TimedOutError):
        return False
    return isinstance(error, OverloadedError | UnreachableError) or error.code in _STOPPED


def _is_final(error: ImageSearchError) -> bool:
    if isinstance(error, RefusedError):
        return error.code not in _PASSING and error.code not in _STOPPED
    return False


def _passing(error: ImageSearchError) -> ImageSearchError:
    """The error as one after which there is a pause."""
    return error if isinstance(error, OverloadedError) else UnreachableError(error.message)
