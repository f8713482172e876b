"""Leases: locks between machines, in the configuration that each version of a table carries.

An object store has no locks. A lease is a key of the table's own configuration, which one commit
takes and another gives back: of two that take it at once Lance refuses the second. Who reads the
table has read who holds it, so that looking costs no request. A holder renews its lease while it
works; one whose value was seen not to change for long enough is over, by the watch of whoever
looks, so that no two machines' clocks have to agree.

A lease keeps work from being done twice, or for nothing. A holder counts on it for as long as
others do, by its own watch and from before it asked for it: one that stood still for longer knows
so at once, and begins nothing more. What was on its way is judged as every commit is, which
`store.table.fence` sees to.
"""

import asyncio
import contextlib
import logging
import math
import time
from collections.abc import AsyncIterator
from functools import partial
from typing import TYPE_CHECKING
from uuid import uuid4

from store.table.connection import in_dataset
from store.table.faults import is_conflict, retried

if TYPE_CHECKING:
    from lance import LanceDataset
    from lancedb import AsyncTable

UPKEEP, WRITERS_WAIT = "image_search:upkeep", "image_search:writers-wait"
REEMBED = "image_search:reembed"
"""Keys: of who does upkeep, of who has the writers wait, and of who re-embeds."""

UPKEEP_S = 60.0
WRITERS_WAIT_S = REEMBED_S = 20.0
"""Seconds after which a lease that is not renewed is over."""

_RENEWALS = 4
"""In the time after which it would be over."""

_LOOK_S = 0.2

logger = logging.getLogger(__name__)


class Watch:
    """Tells whether a lease is held, by how long its value has been seen to stay the same.

    Args:
        over_s: seconds after which it is not held any more.
    """

    def __init__(self, over_s: float) -> None:
        self._over_s = over_s
        self._value: str | None = None
        self._since = -math.inf

    def is_held(self, value: str | None) -> bool:
        """Whether it is, given its value now; None where nobody has taken it."""
        if value != self._value:
            self._value, self._since = value, time.monotonic()
        return value is not None and time.monotonic() - self._since < self._over_s


class Lease:
    """A lease of one table; as many as are made of one key are in each other's way.

    Args:
        table: any handle of it.
        key: of its configuration.
        over_s: seconds after which it is over if it is not renewed.
    """

    def __init__(self, table: "AsyncTable", key: str, over_s: float) -> None:
        self._table, self._key, self._over_s = table, key, over_s
        self._watch = Watch(over_s)
        self._until = -math.inf

    def is_ours(self) -> bool:
        """Whether nobody else can have taken it since; asks nothing of the store."""
        return time.monotonic() < self._until

    @contextlib.asynccontextmanager
    async def held(self) -> AsyncIterator[None]:
        """Holds the lease during the block, once it is free."""
        while (value := await self._taken()) is None:  # noqa: ASYNC110 - another machine's
            await asyncio.sleep(_LOOK_S)
        async with self._renewed(value):
            yield

    @contextlib.asynccontextmanager
    async def held_if_free(self, patience_s: float = 0.0) -> AsyncIterator[bool]:
        """Holds the lease during the block if it is free, or is so soon; the value says whether."""
        end = time.monotonic() + patience_s
        while (value := await self._taken()) is None:
            if time.monotonic() >= end:
                yield False
                return
            await asyncio.sleep(_LOOK_S)
        async with self._renewed(value):
            yield True

    async def _taken(self) -> str | None:
        value, began = f"{uuid4().hex}:0", time.monotonic()
        if not await in_dataset(self._table, partial(self._take, value=value)):
            return None
        self._until = began + self._over_s
        return value

    def is_held(self, dataset: "LanceDataset") -> bool:
        """Whether anybody holds it at a version of the table; asks nothing of the store."""
        return self._watch.is_held(dataset.config().get(self._key))

    async def clear(self, dataset: "LanceDataset") -> None:
        """Takes a lease away that is over, so that nobody else has to see that.

        Whoever has held it has gone, or its value is that of a version that was restored.
        """
        if (left := dataset.config().get(self._key)) is not None:
            await self._give_back(left)

    def _take(self, dataset: "LanceDataset", value: str) -> bool:
        if self.is_held(dataset):
            return False
        try:
            dataset.update_config({self._key: value})
        except OSError as error:
            if is_conflict(error):
                return False
            raise
        return True

    @contextlib.asynccontextmanager
    async def _renewed(self, value: str) -> AsyncIterator[None]:
        """Renews the lease until the block ends, then gives it back."""
        holder = value.partition(":")[0]
        renewing = asyncio.create_task(self._renew(holder), name="store-lease")
        try:
            yield
        finally:
            renewing.cancel()
            await asyncio.wait([renewing])
            await self._give_back(holder)

    async def _give_back(self, holder: str) -> None:
        try:
            await retried(lambda: self._set(holder, None))
        except Exception as error:
            logger.info("a lease could not be given back: %r", error)

    async def _renew(self, holder: str) -> None:
        renewals = 0
        while True:
            await asyncio.sleep(self._over_s / _RENEWALS)
            renewals, began = renewals + 1, time.monotonic()
            try:
                if await self._set(holder, f"{holder}:{renewals}"):
                    self._until = began + self._over_s
            except Exception as error:
                logger.info("a lease could not be renewed: %r", error)

    async def _set(self, holder: str, value: str | None) -> bool:
        """Changes the lease's value, unless another has taken it over; whether it did."""

        def change(dataset: "LanceDataset") -> bool:
            if not (dataset.config().get(self._key) or "").startswith(holder):
                return False
            dataset.update_config({self._key: value})
            return True

        return await in_dataset(self._table, change)
