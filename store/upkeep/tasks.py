"""Upkeep tasks: joining fragments, building indexes, removing versions and pictures.

Reads and writes go on meanwhile. Where a write came in between, a task is tried again; where that
goes on, it is done under the lock of the writers, which then wait.
"""

import asyncio
import contextlib
import math
import time
from collections.abc import AsyncIterator, Awaitable, Callable
from datetime import timedelta
from functools import partial
from typing import TYPE_CHECKING, TypeVar

from store.changes.log import remove_old
from store.metadata.columns import Registry
from store.metadata.words import WORDS
from store.pictures.bucket_sweep import sweep_bucket
from store.pictures.sweep import sweep_pictures
from store.settings import StoreSettings
from store.table.connection import in_dataset
from store.table.disk.location import Location
from store.table.faults import is_conflict, retried
from store.table.fence import raise_fence
from store.table.kept import forget_kept
from store.table.lease import WRITERS_WAIT, WRITERS_WAIT_S, Lease
from store.table.names import MARK_STALE_WORDS, is_superseded, mark, stale_words
from store.table.open import ensure_ready
from store.table.remote.bucket import SCHEME
from store.table.versions import AT_ONCE, Superfluous, remove_versions
from store.upkeep.compaction import TIERS, compact, rows_to_join
from store.upkeep.indexes import (
    VectorIndex,
    ensure_scalar_indexes,
    ensure_vector_index,
    estimate_recall,
    stale_indexes,
    text_index_of,
    update_indexes,
    vector_index_of,
)
from store.upkeep.words import fragments_to_write, write_words

if TYPE_CHECKING:
    from lance import LanceDataset
    from lancedb import AsyncTable

TRIES = 3
"""Of a task beside the writers, before it is done with the writers waiting."""

LOCKED_S = 120.0
"""Seconds after which writers do not wait any longer."""

RECALL_EVERY_S = 600.0
"""Seconds between two measurements of the recall, at the least."""

SWEEP_EVERY_S = 600.0
"""Seconds between two looks for pictures that nothing needs, at the least."""

SWEEP_BUCKET_EVERY_S = 3600.0
"""The same in an object store, where a look is a request for each thousand pictures."""

DRIFT = 0.05
"""Share of the rows by which the vector index may change before its recall is measured again."""

_T = TypeVar("_T")


Task = Callable[[], Awaitable[list[str]]]
"""Does what there is to do, and says what it did."""


class UpkeepTasks:
    """The upkeep tasks of one table.

    Args:
        table: a handle that nobody else uses.
        settings: how the table is maintained.

    Attributes:
        recall: of the vector index, when it was measured last; None before.
    """

    def __init__(self, table: "AsyncTable", settings: StoreSettings) -> None:
        self._table = table
        self._settings = settings
        self._location = Location(settings.store_uri)
        self._measured: VectorIndex | None = None
        self._recall_at = self._swept_at = -math.inf
        self.recall: float | None = None
        self._superfluous = Superfluous(shared=self._location.folder is None)

    def freeing(self, *, everything: bool = False) -> list[tuple[str, Task]]:
        """The tasks for a full disk: those that make room."""
        return [
            ("removing old versions", self.remove_old_versions),
            ("removing unused pictures", partial(self.remove_pictures, everything=everything)),
            ("removing old changes from the log", self.remove_old_changes),
        ]

    def all(self, few: int, *, thorough: bool, everything: bool) -> list[tuple[str, Task]]:
        """The tasks of a round in their order, each with its name.

        Args:
            few: small fragments that are left as they are.
            thorough: those, too, that take longer.
            everything: do them however little there is to do.
        """
        joining = ("joining fragments", partial(self.join_fragments, few))
        if not thorough:
            return [joining]
        beside, update = self._beside_writers, partial(self.update_indexes, everything=everything)
        return [
            joining,
            ("the text index", partial(beside, self.build_text_index)),
            ("the words", self.write_words),
            ("the vector index", partial(beside, self.build_vector_index, locked=False)),
            ("the scalar indexes", partial(beside, self.build_scalar_indexes, locked=False)),
            ("folding in new rows", partial(beside, update)),
            *self.freeing(everything=everything),
            ("measuring the recall", partial(self.measure_recall, everything=everything)),
        ]

    async def join_fragments(self, few: int) -> list[str]:
        """Joins small fragments.

        Little is joined with the writers waiting, for tenths of a second: beside them it would
        lose races, and leave the files of its attempts behind.
        """
        rows = await self._in_thread(lambda each: rows_to_join(each, few))
        if rows is None:
            return []
        join = partial(self._in_thread, partial(compact, rows=rows))
        return await self._beside_writers(join, 0 if rows <= TIERS[1] else TRIES)

    async def is_joining_due(self, few: int) -> bool:
        """Whether there are more small fragments than a few."""
        return await self._in_thread(lambda each: rows_to_join(each, few)) is not None

    async def build_text_index(self) -> list[str]:
        """Gives the table what every table has; a restored version may lack it."""
        await ensure_ready(self._table)
        return []

    async def write_words(self) -> list[str]:
        """Writes the words of rows that lack them, or have those of a dropped key.

        Files of rows are done one by one; what a search by text finds meanwhile is as before.
        """
        await self._table.checkout_latest()
        schema = await self._table.schema()
        stale, own = stale_words(schema), await text_index_of(self._table)
        if is_superseded(schema) or (stale is None and own is None):
            return []
        for number in await self._in_thread(fragments_to_write):
            one = partial(self._in_thread, partial(write_words, number=number))
            await self._beside_writers(one)
        await self._beside_writers(self.update_words_index)
        async with self._writers_waiting():
            await self._table.checkout_latest()
            if stale is not None and stale_words(await self._table.schema()) == stale:
                await mark(self._table, MARK_STALE_WORDS, None)
            if own is not None:
                await self._table.drop_index(own)
        return ["wrote the words of all images"]

    async def update_words_index(self) -> list[str]:
        """Takes all rows into the index of the words."""
        names = [each.name for each in await self._table.list_indices() if each.columns == [WORDS]]
        return [await self._in_thread(lambda each: update_indexes(each, names))]

    async def build_vector_index(self) -> list[str]:
        """Builds the vector index where the table is large enough for one, or has outgrown it."""
        rows = int(await self._table.count_rows())
        least = self._settings.store_vector_index_rows
        done = await ensure_vector_index(self._table, rows, least)
        return [done] if done else []

    async def build_scalar_indexes(self) -> list[str]:
        """Builds the indexes that filters and lookups go by, where they are missing."""
        registry = Registry.from_schema(await self._table.schema())
        rows = int(await self._table.count_rows())
        return await ensure_scalar_indexes(self._table, registry, rows)

    async def update_indexes(self, *, everything: bool) -> list[str]:
        """Takes rows that indexes lack into them."""
        stale = await stale_indexes(self._table, everything=everything)
        return [await self._in_thread(lambda each: update_indexes(each, stale))] if stale else []

    async def remove_old_versions(self) -> list[str]:
        """Removes the versions that need not stay.

        With the writers waiting, some at a time: what a restore brings back at this moment must not
        be taken for superfluous. And after the disk has everything: what joining wrote takes the
        place of files that are deleted here.
        """
        await self._in_thread(forget_kept)
        age = timedelta(minutes=self._settings.store_keep_versions_minutes)
        numbers = await self._superfluous.now(self._table, age)
        if numbers and self._settings.store_sync:
            await asyncio.to_thread(self._location.sync)
        removed = 0
        while numbers:
            some, numbers = numbers[-AT_ONCE:], numbers[:-AT_ONCE]
            async with self._writers_waiting():
                if self._location.folder is None:
                    await retried(lambda: self._in_thread(raise_fence))
                removed += await self._in_thread(partial(remove_versions, numbers=some))
        return [f"removed {removed} versions"] if removed else []

    def hurry(self) -> None:
        """The table has become another: what was not needed may be needed again."""
        self._swept_at = -math.inf

    async def remove_pictures(self, *, everything: bool) -> list[str]:
        """Removes the files of pictures that neither the table nor a version of it needs.

        Now and then: it looks at the name of every file.
        """
        folder, uri = self._location.folder, self._location.uri
        every_s = SWEEP_BUCKET_EVERY_S if folder is None else SWEEP_EVERY_S
        lately = time.monotonic() - self._swept_at < every_s
        if not (folder or uri.startswith(SCHEME)) or (lately and not everything):
            return []
        age = timedelta(minutes=self._settings.store_keep_versions_minutes)
        if folder is not None:
            removed = await asyncio.to_thread(sweep_pictures, folder, age)
        else:
            options = await self._table.latest_storage_options()
            removed = await asyncio.to_thread(sweep_bucket, uri, options, age)
        self._swept_at = time.monotonic()
        return [f"removed the files of {removed} pictures"] if removed else []

    async def remove_old_changes(self) -> list[str]:
        """Removes what is too old, or too much, from the log of changes."""
        if (folder := self._location.folder) is None:
            return []
        age = timedelta(days=self._settings.store_log_days)
        removed = await asyncio.to_thread(remove_old, folder, age)
        return [f"removed {removed} files of the log of changes"] if removed else []

    async def measure_recall(self, *, everything: bool) -> list[str]:
        """Measures the recall of the vector index: `recall` has it.

        Only now and then, and for an index that has become another: it reads every vector.
        """
        index = await vector_index_of(self._table)
        lately = time.monotonic() - self._recall_at < RECALL_EVERY_S
        if self.recall is None or not (self._is_measured(index) or (lately and not everything)):
            self.recall = await estimate_recall(self._table)
            self._measured, self._recall_at = index, time.monotonic()
        return []

    def _is_measured(self, index: VectorIndex | None) -> bool:
        measured = self._measured
        if index is None or measured is None:
            return index is measured
        drift = abs(index.indexed_rows - measured.indexed_rows)
        return index.partitions == measured.partitions and drift < DRIFT * measured.indexed_rows

    async def _beside_writers(
        self, work: Task, tries: int = TRIES, *, locked: bool = True
    ) -> list[str]:
        """Does some work; where it loses each race, with the writers waiting if that is allowed."""
        for left in reversed(range(tries)):
            try:
                return await self._unless_superseded(work)
            except Exception as error:
                if not is_conflict(error) or not (left or locked):
                    raise
        async with self._writers_waiting():
            # Without a lock, what the writers had begun before may still come first.
            return await retried(lambda: self._unless_superseded(work))

    @contextlib.asynccontextmanager
    async def _writers_waiting(self) -> AsyncIterator[None]:
        lock = self._location.write_lock(self._table.name)
        if self._location.folder is None:
            lock = Lease(self._table, WRITERS_WAIT, WRITERS_WAIT_S).held()
        async with lock, asyncio.timeout(LOCKED_S):
            yield

    async def _unless_superseded(self, work: Task) -> list[str]:
        await self._table.checkout_latest()
        return [] if is_superseded(await self._table.schema()) else await work()

    async def _in_thread(self, work: Callable[["LanceDataset"], _T]) -> _T:
        cache_bytes = self._settings.store_cache_mb << 20
        return await in_dataset(self._table, work, cache_bytes=cache_bytes)
