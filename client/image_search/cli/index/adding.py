"""Adding images: retries, waiting for a service that is gone, and the number in flight."""

import asyncio
import random
import time
from collections.abc import Awaitable, Callable, Mapping, Sequence
from dataclasses import replace
from itertools import count
from typing import Any, cast

from image_search import (
    AccessError,
    AsyncClient,
    ColumnType,
    ImageSearchError,
    IndexStatus,
    MisdirectedError,
    NotImported,
    OverloadedError,
    RefusedError,
    Retries,
)
from image_search.cli.index.errors import UnavailableError, UploadBrokenError, attempts, is_away
from image_search.cli.tables.rows import Row
from image_search.cli.terminal import WANTS_KEY, shown

_REFUSED = 400
_OTHERS = frozenset({"other_model", "other_detector"})

_PAUSES = Retries(attempts=1 << 30, within_s=float("inf"), first_pause_s=0.5, longest_pause_s=4.0)


INITIAL_IN_FLIGHT = 8
MAX_IN_FLIGHT = 64
"""More than the 32 pictures that a service downloads at once by default, so that it never waits."""


class InFlight:
    """Limit of requests in flight: grows while they succeed, and halves when the service is full.

    A `fixed` one stays as it is.

    Attributes:
        halvings: how often it was halved; what was sent before is no reason to halve again.
    """

    def __init__(self, fixed: int | None = None) -> None:
        self._adapts = fixed is None
        self._limit = float(fixed or INITIAL_IN_FLIGHT)
        self._in_flight = 0
        self.halvings = 0
        self._released = asyncio.Event()

    @property
    def limit(self) -> int:
        """Requests that may be in flight now."""
        return int(self._limit)

    async def acquire(self) -> None:
        """Wait until one more request may be sent."""
        while self._in_flight >= self.limit:
            self._released.clear()
            await self._released.wait()
        self._in_flight += 1

    def release(self) -> None:
        """Count a request as answered."""
        self._in_flight -= 1
        self._released.set()

    def succeeded(self) -> None:
        """Raise the limit: by one for each request, and after overload for each round of them."""
        if self._adapts:
            step = 1.0 / self._limit if self.halvings else 1.0
            self._limit = min(MAX_IN_FLIGHT, self._limit + step)
            self._released.set()

    def overloaded(self, halvings: int) -> None:
        """Halve the limit, as the service was full for a request sent after so many halvings."""
        if self._adapts and halvings == self.halvings:
            self.halvings += 1
            self._limit = max(1.0, self._limit / 2)


class Adder:
    """Adds images, and waits for a service that is gone.

    Args:
        client: of the service.
        in_flight: how many at once.
        patience_s: how long to wait, in seconds.
        told: what `AsyncClient.add` is told of every image.
        say: is given lines for the person who waits.
    """

    def __init__(
        self,
        client: AsyncClient,
        in_flight: InFlight,
        patience_s: float,
        told: Mapping[str, Any],
        say: Callable[[str], None],
    ) -> None:
        self._client, self._in_flight = client, in_flight
        self._patience_s, self._told = patience_s, told
        self._say, self._waiting = say, False
        self._heard = time.monotonic()
        self._began: float | None = None

    @property
    def seconds(self) -> float:
        """Time from the first request that was sent to the last answer."""
        return 0.0 if self._began is None else max(0.0, self._heard - self._began)

    async def add(self, row: Row) -> ImageSearchError | None:
        """Add an image; returns the error that it finally failed with, or None.

        Raises:
            UnavailableError: there is no service, no longer, or it refuses the key.
        """
        return await self._until_final(lambda: self._attempt(row))

    async def put(self, rows: Sequence[Row]) -> list[ImageSearchError | None]:
        """Put whole rows of one model in; returns what each finally failed with, or None.

        Raises:
            UnavailableError: as for `add`; or the service takes no such rows.
        """
        became: list[ImageSearchError | None] = []
        error = await self._until_final(lambda: self._attempt_whole(rows, became))
        if error is not None:
            if len(rows) == 1 or attempts(error) > 1:
                return [error] * len(rows)
            # One of them may be what all are refused for, or they are too much for one request.
            half = len(rows) // 2
            return [*await self.put(rows[:half]), *await self.put(rows[half:])]
        return became

    async def declare(self, key: str, kind: str) -> None:
        """Give a metadata key its type before there are values; one that cannot be stays as it is.

        Raises:
            UnavailableError: as for `add`.
        """
        await self._until_final(lambda: self._attempt_to_declare(key, kind))

    async def status(self) -> IndexStatus | None:
        """State of the index; None where the service does not tell.

        Raises:
            UnavailableError: as for `add`.
        """
        for failed in count(1):
            try:
                status = await self._client.status()
            except ImageSearchError as error:
                self._refuse_if_hopeless(error)
                if self._is_own(error):
                    break
                chance = random.random()  # noqa: S311
                await asyncio.sleep(_PAUSES.drawn_pause_s(error, failed, chance))
            else:
                self._hear()
                return status
        return None

    async def _until_final(
        self, attempt: Callable[[], Awaitable[ImageSearchError | None]]
    ) -> ImageSearchError | None:
        failed = passing = 0
        while True:
            halvings = self._in_flight.halvings
            error = await attempt()
            if error is None:
                self._hear()
                self._in_flight.succeeded()
                return None
            self._refuse_if_hopeless(error)
            if isinstance(error, OverloadedError):
                self._in_flight.overloaded(halvings)
            failed += 1
            passing += self._is_own(error)
            if 0 < passing >= attempts(error):
                return error
            chance = random.random()  # noqa: S311
            await asyncio.sleep(_PAUSES.drawn_pause_s(error, failed, chance))

    async def _attempt(self, row: Row) -> ImageSearchError | None:
        self._began = self._began or time.monotonic()
        url = None if row.data is not None else row.url
        try:
            await self._client.add(
                url,
                row.metadata,
                id=row.id or None,
                image=row.data,
                **self._told,
            )
        except ImageSearchError as error:
            broke = row.data is not None and await self._broke_alone(error)
            return UploadBrokenError() if broke else error
        return None

    async def _attempt_to_declare(self, key: str, kind: str) -> ImageSearchError | None:
        try:
            await self._client.declare_column(key, cast(ColumnType, kind))
        except ImageSearchError as error:
            return error
        return None

    async def _attempt_whole(
        self, rows: Sequence[Row], became: list[ImageSearchError | None]
    ) -> ImageSearchError | None:
        self._began = self._began or time.monotonic()
        wholes = [row.whole for row in rows if row.whole is not None]
        # With what was said on the command line about every image's metadata.
        images = [
            replace(whole.image, metadata=row.metadata)
            for row, whole in zip(rows, wholes, strict=True)
        ]
        try:
            results = await self._client.import_rows(
                images,
                wholes[0].model,
                detector=wholes[0].detector,
                skip_duplicates=self._told["on_duplicate"] == "skip",
            )
        except ImageSearchError as error:
            if error.code in _OTHERS or error.status in {404, 405}:
                why = f"it does not take exported rows as they are: {error.message}"
                raise UnavailableError(why) from error
            return error
        became[:] = [
            RefusedError(one.message, one.code, _REFUSED) if isinstance(one, NotImported) else None
            for one in results
        ]
        return None

    def _refuse_if_hopeless(self, error: ImageSearchError) -> None:
        if isinstance(error, MisdirectedError):
            raise UnavailableError(error.message)
        if isinstance(error, AccessError):
            raise UnavailableError(f"{error.message} {WANTS_KEY}")
        if error.status in {404, 405, 415}:
            raise UnavailableError("what answers there is no image search service: see --server")

    async def _broke_alone(self, error: ImageSearchError) -> bool:
        """Whether a connection broke although the service is there."""
        if error.status is not None or not is_away(error):
            return False
        try:
            await self._client.heartbeat()
        except ImageSearchError:
            return False
        return True

    def _is_own(self, error: ImageSearchError) -> bool:
        """Whether an error is the image's own; else the service is waited for."""
        if isinstance(error, OverloadedError) or is_away(error):
            self._wait(error)
            return False
        self._hear()
        return True

    def _wait(self, error: ImageSearchError) -> None:
        if time.monotonic() - self._heard > self._patience_s:
            raise UnavailableError(error.message)
        if not self._waiting and not isinstance(error, OverloadedError):
            self._waiting = True
            self._say(f"Waiting for the service ({shown(error.message)}).")

    def _hear(self) -> None:
        self._heard = time.monotonic()
        if self._waiting:
            self._waiting = False
            self._say("The service answers again.")
