"""Upkeep of the table: beside the commits, in the background, by one process at a time.

A round looks at the table itself, so that it does not matter which process wrote what, and when it
was started: it joins small fragments, keeps the indexes that the number of rows asks for, removes
old versions and measures the recall of the vector index. Reads and writes go on meanwhile. Where a
write came in between, the step is tried again; where that goes on, it is done under the lock of the
writers, which then wait.
"""

import asyncio
import contextlib
import logging
import time
from collections.abc import Awaitable, Callable
from datetime import UTC, datetime, timedelta
from typing import TYPE_CHECKING, Any

from store.compaction import compact, is_small
from store.engine import is_conflict
from store.folding import fold_in, stale_indexes
from store.lock import held_if_free, table_lock, write_lock
from store.metadata import Registry
from store.recall import estimate_recall
from store.reports import read_report, write_report
from store.retention import remove_versions, superfluous
from store.schemas import UpkeepReport
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

logger = logging.getLogger(__name__)

TRIES = 3
"""Of a step beside the writers, before it is done with the writers waiting."""

DRIFT = 0.05
"""Share of the rows by which the vector index may change before its recall is measured again."""

_Step = Callable[[], Awaitable[list[str]]]


class Upkeep:
    """The task that keeps a table, and how it went.

    Args:
        table: a handle of its own.
        settings: when and how.
    """

    def __init__(self, table: "AsyncTable", settings: StoreSettings) -> None:
        self._table = table
        self._settings = settings
        self._place = settings.store_uri, table.name
        self._lock = table_lock(settings.store_uri, f"{table.name}.upkeep")
        self._due = asyncio.Event()
        self._one_round = asyncio.Lock()
        self._commits = 0
        self._measured: VectorIndex | None = None
        self.runs = 0
        self.failures = 0
        self.last: UpkeepReport | None = None
        self._task = asyncio.create_task(self._run(), name="store-upkeep")

    def committed(self) -> None:
        """Says that a commit was made."""
        self._commits += 1
        if self._commits >= self._settings.store_upkeep_every:
            self._due.set()

    async def run(self, *, everything: bool = False) -> UpkeepReport | None:
        """Does a round now.

        Args:
            everything: join fragments and fold rows into the indexes however few there are.

        Returns:
            How it went; None if another process is at it.
        """
        async with self._one_round:
            with held_if_free(self._lock) as free:
                if not free:
                    return None
                self._commits = 0
                report = await self._round(everything=everything)
                await asyncio.to_thread(write_report, *self._place, report)
        self.last = report
        return report

    async def latest(self) -> UpkeepReport | None:
        """The last report, whichever process made it."""
        written = await asyncio.to_thread(read_report, *self._place)
        return written or self.last

    async def close(self) -> None:
        """Ends the task, at the next step of a round."""
        self._task.cancel()
        await asyncio.wait([self._task])
        self._lock.close()

    async def _run(self) -> None:
        while True:
            with contextlib.suppress(TimeoutError):
                async with asyncio.timeout(self._settings.store_upkeep_minutes * 60):
                    await self._due.wait()
            self._due.clear()
            try:
                await self.run()
            except OSError:
                logger.exception("upkeep of the index could not be done")

    async def _round(self, *, everything: bool) -> UpkeepReport:
        began = time.monotonic()
        did: list[str] = []
        result, recall = "ok", None
        try:
            for step in self._steps(everything=everything):
                did += await self._step(step)
            recall = await self._recall()
            self.runs += 1
        except asyncio.CancelledError:
            raise
        except BaseException as error:
            logger.exception("upkeep of the index failed")
            self.failures += 1
            # Lance's own words may name paths: they are in the log.
            result = f"failed: {type(error).__name__}; the log has the details"
        return UpkeepReport(datetime.now(UTC), time.monotonic() - began, result, did, recall)

    def _steps(self, *, everything: bool) -> list[_Step]:
        async def compaction() -> list[str]:
            done = await self._in_thread(lambda each: compact(each, everything=everything))
            return [done] if done else []

        async def small_compaction() -> list[str]:
            # So quick that the writers may wait for it: beside them, it would lose races and leave
            # the files of its attempts behind.
            if not await self._in_thread(is_small):
                return []
            async with write_lock(*self._place):
                return await compaction()

        async def vector_index() -> list[str]:
            rows = await self._table.count_rows()
            done = await ensure_vector_index(self._table, rows, self._vector_rows)
            return [done] if done else []

        async def scalar_indexes() -> list[str]:
            registry = Registry.from_schema(await self._table.schema())
            rows = await self._table.count_rows()
            return await ensure_scalar_indexes(self._table, registry, rows)

        async def new_rows() -> list[str]:
            stale = await stale_indexes(self._table, everything=everything)
            return [await self._in_thread(lambda each: fold_in(each, stale))] if stale else []

        async def cleanup() -> list[str]:
            keep = timedelta(minutes=self._settings.store_keep_versions_minutes)
            versions = await list_versions(self._table)
            numbers = superfluous(versions, datetime.now(UTC), keep)
            if not numbers:
                return []
            return [await self._in_thread(lambda each: remove_versions(each, numbers))]

        return [small_compaction, compaction, vector_index, scalar_indexes, new_rows, cleanup]

    @property
    def _vector_rows(self) -> int:
        return self._settings.store_vector_index_rows

    async def _step(self, step: _Step) -> list[str]:
        for _ in range(TRIES):
            try:
                return await self._unless_superseded(step)
            except Exception as error:
                if not is_conflict(error):
                    raise
        async with write_lock(*self._place):
            return await self._unless_superseded(step)

    async def _unless_superseded(self, step: _Step) -> list[str]:
        await self._table.checkout_latest()
        return [] if is_superseded(await self._table.schema()) else await step()

    async def _recall(self) -> float | None:
        """Measured again only for an index that became another: it reads all vectors."""
        index = await vector_index_of(self._table)
        before = await self.latest()
        if before is not None and before.recall is not None and self._is_measured(index):
            return before.recall
        recall = await estimate_recall(self._table)
        self._measured = index
        return recall

    def _is_measured(self, index: VectorIndex | None) -> bool:
        measured = self._measured
        if index is None or measured is None:
            return index is measured
        drift = abs(index.indexed_rows - measured.indexed_rows)
        return index.partitions == measured.partitions and drift < DRIFT * measured.indexed_rows

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
