"""What upkeep does to a table: joining fragments, keeping indexes, removing versions.

Reads and writes go on meanwhile. Where a write came in between, a chore is tried again; where that
goes on, it is done under the lock of the writers, which then wait.
"""

import asyncio
from collections.abc import Awaitable, Callable
from datetime import UTC, datetime, timedelta
from typing import TYPE_CHECKING, Any

from store.compaction import compact, is_small
from store.engine import is_conflict
from store.folding import fold_in, stale_indexes
from store.lock import write_lock
from store.metadata import Registry
from store.recall import estimate_recall
from store.retention import remove_versions, superfluous
from store.settings import StoreSettings
from store.tables import is_superseded
from store.vector_index import (
    VectorIndex,
    ensure_scalar_indexes,
    ensure_vector_index,
    vector_index_of,
)
from store.versions import list_versions

if TYPE_CHECKING:
    from lancedb import AsyncTable

TRIES = 3
"""Of a chore beside the writers, before it is done with the writers waiting."""

DRIFT = 0.05
"""Share of the rows by which the vector index may change before its recall is measured again."""

_Done = list[str]


class Chores:
    """The chores of one table; each says what it did.

    Args:
        table: a handle that nobody else uses.
        settings: how the table is kept.
    """

    def __init__(self, table: "AsyncTable", settings: StoreSettings) -> None:
        self._table = table
        self._settings = settings
        self._measured: VectorIndex | None = None

    async def join_fragments(self, *, everything: bool) -> _Done:
        """Joins small fragments.

        Little is joined with the writers waiting, for tenths of a second: beside them it would
        lose races, and leave the files of its attempts behind.
        """

        async def join() -> _Done:
            done = await self._in_thread(lambda each: compact(each, everything=everything))
            return [done] if done else []

        tries = 0 if await self._in_thread(is_small) else TRIES
        return await self._beside_writers(join, tries)

    async def keep_vector_index(self) -> _Done:
        """Builds the vector index where the table is large enough for one, or has outgrown it."""

        async def build() -> _Done:
            rows = int(await self._table.count_rows())
            least = self._settings.store_vector_index_rows
            done = await ensure_vector_index(self._table, rows, least)
            return [done] if done else []

        return await self._beside_writers(build)

    async def keep_scalar_indexes(self) -> _Done:
        """Builds the indexes that filters and lookups go by, where they are missing."""

        async def build() -> _Done:
            registry = Registry.from_schema(await self._table.schema())
            rows = int(await self._table.count_rows())
            return await ensure_scalar_indexes(self._table, registry, rows)

        return await self._beside_writers(build)

    async def fold_in_new_rows(self, *, everything: bool) -> _Done:
        """Takes rows that indexes lack into them."""

        async def fold() -> _Done:
            stale = await stale_indexes(self._table, everything=everything)
            return [await self._in_thread(lambda each: fold_in(each, stale))] if stale else []

        return await self._beside_writers(fold)

    async def remove_old_versions(self) -> _Done:
        """Removes the versions that need not be kept."""
        keep = timedelta(minutes=self._settings.store_keep_versions_minutes)
        numbers = superfluous(await list_versions(self._table), datetime.now(UTC), keep)
        if not numbers:
            return []
        return [await self._in_thread(lambda each: remove_versions(each, numbers))]

    async def recall(self, before: float | None) -> float | None:
        """The recall of the vector index.

        Args:
            before: as it was measured last. It is measured again only for an index that has become
                another, because that reads every vector.
        """
        index = await vector_index_of(self._table)
        if before is not None and self._is_measured(index):
            return before
        measured = await estimate_recall(self._table)
        self._measured = index
        return measured

    def _is_measured(self, index: VectorIndex | None) -> bool:
        measured = self._measured
        if index is None or measured is None:
            return index is measured
        drift = abs(index.indexed_rows - measured.indexed_rows)
        return index.partitions == measured.partitions and drift < DRIFT * measured.indexed_rows

    async def _beside_writers(
        self, chore: Callable[[], Awaitable[_Done]], tries: int = TRIES
    ) -> _Done:
        for _ in range(tries):
            try:
                return await self._unless_superseded(chore)
            except Exception as error:
                if not is_conflict(error):
                    raise
        async with write_lock(self._settings.store_uri, self._table.name):
            return await self._unless_superseded(chore)

    async def _unless_superseded(self, chore: Callable[[], Awaitable[_Done]]) -> _Done:
        await self._table.checkout_latest()
        return [] if is_superseded(await self._table.schema()) else await chore()

    async def _in_thread(self, work: Callable[[Any], Any]) -> Any:
        """Does blocking work on the table's latest version, as pylance sees it."""
        uri, options = await self._table.uri(), await self._table.latest_storage_options()
        cache = self._settings.store_cache_mb << 20

        def opened() -> Any:
            import lance  # noqa: PLC0415 - heavy, see store.engine

            return work(
                lance.dataset(
                    uri,
                    storage_options=options,
                    index_cache_size_bytes=cache,
                    metadata_cache_size_bytes=cache,
                )
            )

        return await asyncio.to_thread(opened)
