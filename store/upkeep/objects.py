"""Upkeep of the table of objects: as that of the images', and the sweep of what none names."""

import asyncio
import math
import time
from collections.abc import Callable
from datetime import timedelta
from functools import partial
from typing import TYPE_CHECKING, TypeVar

from store.metadata.objects import KEY
from store.metadata.values import text_in
from store.objects.sweep import SETTLED_S, unnamed
from store.settings import StoreSettings
from store.table.connection import in_dataset, open_dataset
from store.table.disk.location import Location
from store.table.faults import retried
from store.table.versions import AT_ONCE, Superfluous, list_versions, remove_versions
from store.upkeep.compaction import compact, rows_to_join
from store.upkeep.indexes import (
    ensure_object_indexes,
    ensure_vector_index,
    stale_indexes,
    update_indexes,
)
from store.upkeep.tasks import SWEEP_EVERY_S, Task

if TYPE_CHECKING:
    from lance import LanceDataset
    from lancedb import AsyncTable

_T = TypeVar("_T")
_DELETED_AT_ONCE = 1000


class ObjectTasks:
    """The upkeep tasks of a table of objects, which writers add to beside them.

    Adding collides with none of them, so that nobody has to wait. No version of it is ever
    restored: what is needed of a version of the images is in the table as it is.

    Args:
        objects: a handle that nobody else uses.
        images: the table whose rows name them; likewise.
        settings: how the table is maintained.

    Attributes:
        settled_s: age from which objects that no image names are removed.
    """

    def __init__(
        self, objects: "AsyncTable", images: "AsyncTable", settings: StoreSettings
    ) -> None:
        self.settled_s = SETTLED_S
        self._objects, self._images, self._settings = objects, images, settings
        self._location = Location(settings.store_uri)
        self._swept_at = -math.inf
        self._superfluous = Superfluous(shared=self._location.folder is None)

    def freeing(self, *, everything: bool = False) -> list[tuple[str, Task]]:
        """The tasks for a full disk: those that make room."""
        return [
            ("removing unused objects", partial(self.sweep, everything=everything)),
            ("removing old versions of the objects", self.remove_old_versions),
        ]

    def all(self, few: int, *, thorough: bool, everything: bool) -> list[tuple[str, Task]]:
        """The tasks of a round in their order, each with its name."""
        joining = ("joining objects", partial(self.join_fragments, few))
        if not thorough:
            return [joining]
        return [
            joining,
            ("the indexes of the objects", partial(self.build_indexes, everything=everything)),
            *self.freeing(everything=everything),
        ]

    async def join_fragments(self, few: int) -> list[str]:
        """Joins small fragments."""
        rows = await self._in_objects(lambda each: rows_to_join(each, few))
        if rows is None:
            return []
        done = await retried(lambda: self._in_objects(partial(compact, rows=rows)))
        return [f"{each} of objects" for each in done]

    async def build_indexes(self, *, everything: bool) -> list[str]:
        """Builds the indexes that the table lacks, and takes in rows that they lack."""
        await self._objects.checkout_latest()
        rows = int(await self._objects.count_rows())
        least = self._settings.store_vector_index_rows
        built = await ensure_vector_index(self._objects, rows, least)
        done = [*([built] if built else []), *await ensure_object_indexes(self._objects, rows)]
        await self._objects.checkout_latest()
        if stale := await stale_indexes(self._objects, everything=everything):
            done.append(await self._in_objects(lambda each: update_indexes(each, stale)))
        return [f"{each} of objects" for each in done]

    async def sweep(self, *, everything: bool) -> list[str]:
        """Removes the objects that no kept version of the images names. Now and then."""
        if time.monotonic() - self._swept_at < SWEEP_EVERY_S and not everything:
            return []
        versions = [each.version for each in await list_versions(self._images)]
        uri, options = await self._objects.uri(), await self._objects.latest_storage_options()

        def found(images: "LanceDataset") -> list[str]:
            return unnamed(images, versions, open_dataset(uri, options), self.settled_s)

        left = await in_dataset(self._images, found)
        await self._objects.checkout_latest()
        for first in range(0, len(left), _DELETED_AT_ONCE):
            where = text_in(KEY, left[first : first + _DELETED_AT_ONCE])
            await retried(partial(self._objects.delete, where))
        self._swept_at = time.monotonic()
        return [f"removed the objects of {len(left)} images"] if left else []

    async def remove_old_versions(self) -> list[str]:
        """Removes the versions that nobody reads any more."""
        numbers = await self._superfluous.now(self._objects, timedelta(0))
        if numbers and self._settings.store_sync:
            await asyncio.to_thread(self._location.sync)
        removed = 0
        while numbers:
            some, numbers = numbers[-AT_ONCE:], numbers[:-AT_ONCE]
            removed += await self._in_objects(partial(remove_versions, numbers=some))
        return [f"removed {removed} versions of the objects"] if removed else []

    async def _in_objects(self, work: Callable[["LanceDataset"], _T]) -> _T:
        cache_bytes = self._settings.store_cache_mb << 20
        return await in_dataset(self._objects, work, cache_bytes=cache_bytes)
