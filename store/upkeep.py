"""Upkeep of the table: beside the commits, in the background, by one process at a time.

A round looks at the table itself, so that it does not matter which process wrote what, and when it
was started. Small fragments are joined in every round, as each commit makes one; the rest takes
longer, and is looked at in thorough rounds only.
"""

import asyncio
import contextlib
import logging
import math
import time
from datetime import UTC, datetime
from typing import TYPE_CHECKING

from store.chores import Chores
from store.lock import held_if_free, table_lock
from store.reports import read_report, write_report
from store.schemas import UpkeepReport
from store.settings import StoreSettings

if TYPE_CHECKING:
    from lancedb import AsyncTable

logger = logging.getLogger(__name__)

THOROUGH_EVERY_S = 4.0
RECALL_EVERY_S = 600.0
"""Seconds between two thorough rounds, and two measurements of the recall, at the least."""


class Upkeep:
    """The task that keeps a table, and how it went.

    Args:
        table: a handle of its own.
        settings: when and how.
    """

    def __init__(self, table: "AsyncTable", settings: StoreSettings) -> None:
        self._settings = settings
        self._chores = Chores(table, settings)
        self._place = settings.store_uri, table.name
        self._lock = table_lock(settings.store_uri, f"{table.name}.upkeep")
        self._due = asyncio.Event()
        self._one_round = asyncio.Lock()
        self._commits = 0
        self._thorough_at = self._recall_at = -math.inf
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
        before = await self.latest()
        did: list[str] = []
        result, recall = "ok", before.recall if before else None
        try:
            did += await self._chores.join_fragments(everything=everything)
            if everything or began - self._thorough_at >= THOROUGH_EVERY_S:
                did += await self._thorough(everything=everything)
                recall = await self._recall(recall, everything=everything)
            self.runs += 1
        except asyncio.CancelledError:
            raise
        except BaseException as error:  # a panic in Lance is no Exception
            logger.exception("upkeep of the index failed")
            self.failures += 1
            # Lance's own words may name paths: they are in the log.
            result = f"failed: {type(error).__name__}; the log has the details"
        return UpkeepReport(datetime.now(UTC), time.monotonic() - began, result, did, recall)

    async def _thorough(self, *, everything: bool) -> list[str]:
        did = await self._chores.keep_vector_index()
        did += await self._chores.keep_scalar_indexes()
        did += await self._chores.fold_in_new_rows(everything=everything)
        did += await self._chores.remove_old_versions()
        self._thorough_at = time.monotonic()
        return did

    async def _recall(self, before: float | None, *, everything: bool) -> float | None:
        measured_lately = time.monotonic() - self._recall_at < RECALL_EVERY_S
        if before is not None and measured_lately and not everything:
            return before
        recall = await self._chores.recall(before)
        self._recall_at = time.monotonic()
        return recall
