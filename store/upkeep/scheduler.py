"""Upkeep of the table: beside the commits, in the background, by one process at a time.

A round looks at the table itself, so that it does not matter which process wrote what, and when it
was started. Small fragments are joined in every round, as each commit makes one; the rest takes
longer, and is looked at in thorough rounds only. A round begins after so many commits, or when
there have been some and no more come.
"""

import asyncio
import contextlib
import logging
import math
import time
from collections.abc import AsyncIterator
from contextlib import AbstractAsyncContextManager
from datetime import UTC, datetime
from typing import TYPE_CHECKING

from store.schemas import Observer, UpkeepReport
from store.settings import StoreSettings
from store.table.disk.location import Location
from store.table.disk.sync import has_space
from store.table.lease import UPKEEP, UPKEEP_S, Lease
from store.upkeep.compaction import FEW, FEW_AT_REST
from store.upkeep.objects import ObjectTasks
from store.upkeep.status import read_report, write_report
from store.upkeep.tasks import UpkeepTasks

if TYPE_CHECKING:
    from lancedb import AsyncTable

logger = logging.getLogger(__name__)

THOROUGH_EVERY_S = 4.0
"""Seconds between two thorough rounds, at the least."""

TASK_S = 3600.0
"""Seconds after which a task is given up: a panic in Lance leaves its caller waiting for ever."""

CLOSE_S = 30.0

REST_S = 3.0
"""Seconds without a commit after which the writers rest: what they left is joined at once, as
searches would pay for it until the next round."""


class Upkeep:
    """The background rounds of upkeep of one table, and how they went.

    Args:
        table: a handle of its own.
        settings: when and how.
        observer: is told of each round, for metrics.
        objects: a handle of the table of objects, where there is one.

    Attributes:
        objects: its tasks.
    """

    def __init__(
        self,
        table: "AsyncTable",
        settings: StoreSettings,
        observer: Observer | None = None,
        objects: "AsyncTable | None" = None,
    ) -> None:
        self.objects = None if objects is None else ObjectTasks(objects, table, settings)
        self._settings = settings
        self._table = table
        self._observer = observer or Observer()
        self._tasks = UpkeepTasks(table, settings)
        self._location = Location(settings.store_uri)
        self._report_of = settings.store_uri, table.name
        lock = self._location.lock(f"{table.name}.upkeep")
        self._lock = lock if self._location.folder else Lease(table, UPKEEP, UPKEEP_S)
        self._woken = asyncio.Event()
        self._one_round = asyncio.Lock()
        self._is_due = False
        self._commits = 0
        self._due_at, self._rest_at = self._next_at(), math.inf
        self._thorough_at = -math.inf
        self.runs = 0
        self.failures = 0
        self.last: UpkeepReport | None = None
        self._task = asyncio.create_task(self._run(), name="store-upkeep")

    def committed(self) -> None:
        """Says that a commit was made."""
        self._commits += 1
        self._is_due |= self._commits >= self._settings.store_upkeep_every
        if self._is_due or self._rest_at == math.inf:
            self._woken.set()
        self._rest_at = time.monotonic() + REST_S

    async def run(self, *, at_rest: bool = False, everything: bool = False) -> UpkeepReport | None:
        """Does a round now.

        Args:
            at_rest: do no more than join fragments, and leave fewer of them.
            everything: join fragments and fold rows into the indexes however few there are.

        Returns:
            How it went; None if another process is at it.
        """
        if at_rest and not await self._is_worth_a_lease():
            return None
        async with self._one_round, self._turn() as free:
            if not free:
                return None
            if not at_rest:
                self._commits = 0
            report = await self._round(at_rest=at_rest, everything=everything)
            await asyncio.to_thread(write_report, *self._report_of, report)
        self.last = report
        return report

    @contextlib.asynccontextmanager
    async def _turn(self) -> AsyncIterator[bool]:
        """Keeps the upkeep of other processes away, if none is at it; whether that is so."""
        if isinstance(self._lock, Lease):
            async with self._lock.held_if_free() as free:
                yield free
        else:
            with self._lock.held_if_free() as free:
                yield free

    async def _is_worth_a_lease(self) -> bool:
        """Whether all writers rest, those of other machines too, and there is something to join.

        In a folder looking costs nothing, and a round that finds nothing does not either.
        """
        if self._location.folder is not None:
            return True
        before = await self._table.version()
        await asyncio.sleep(REST_S)
        if await self._table.version() != before:
            return False  # whoever was last sees to it
        return await self._tasks.is_joining_due(FEW_AT_REST)

    def paused(self) -> AbstractAsyncContextManager[None]:
        """Keeps upkeep away during the block, of whichever process, once it has ended a round."""
        return self._lock.held()

    async def latest(self) -> UpkeepReport | None:
        """The last report, whichever process made it."""
        written = await asyncio.to_thread(read_report, *self._report_of)
        return written or self.last

    def hurry(self) -> None:
        """Asks for a thorough round at once: the table has become another."""
        self._thorough_at = -math.inf
        self._tasks.hurry()
        self._is_due = True
        self._woken.set()

    async def close(self) -> None:
        """Ends the task, at the next step of a round, and waits for a round that goes on."""
        self._task.cancel()
        await asyncio.wait([self._task])
        with contextlib.suppress(TimeoutError):
            async with asyncio.timeout(CLOSE_S), self._one_round:
                pass

    async def _run(self) -> None:
        while True:
            at_rest = await self._is_due_at_rest()
            self._is_due, self._rest_at = False, math.inf
            if not at_rest:  # which puts none of the others off
                self._due_at = self._next_at()
            try:
                await self.run(at_rest=at_rest)
            except Exception:  # of the disk, or an object store that is away; the next may succeed
                logger.exception("upkeep of the index could not be done")

    async def _is_due_at_rest(self) -> bool:
        """Waits until a round is due; whether it is for no other reason than that writers rest."""
        while not self._is_due:
            left = min(self._due_at, self._rest_at) - time.monotonic()
            if left <= 0:
                return self._rest_at < self._due_at
            self._woken.clear()
            with contextlib.suppress(TimeoutError):
                async with asyncio.timeout(left):
                    await self._woken.wait()
        return False

    def _next_at(self) -> float:
        return time.monotonic() + self._settings.store_upkeep_minutes * 60

    async def _round(self, *, at_rest: bool, everything: bool) -> UpkeepReport:
        began = time.monotonic()
        did: list[str] = []
        failed: list[str] = []
        is_time = not at_rest and began - self._thorough_at >= THOROUGH_EVERY_S
        thorough = everything or is_time
        few = 0 if everything else FEW_AT_REST if at_rest else FEW
        tasks = self._tasks.all(few, thorough=thorough, everything=everything)
        if self.objects is not None:
            tasks += self.objects.all(few, thorough=thorough, everything=everything)
        if not await asyncio.to_thread(has_space, self._location.folder):
            # What runs out of space half-way takes more of it than it frees.
            tasks = self._tasks.freeing() + (self.objects.freeing() if self.objects else [])
            failed.append("all but removing old versions (the disk is full)")
        for name, task in tasks:
            if isinstance(self._lock, Lease) and not self._lock.is_ours():
                failed.append(f"{name}, and what follows (it stood still; another may do it now)")
                break
            try:
                async with asyncio.timeout(TASK_S):
                    did += await task()
            except asyncio.CancelledError:
                raise
            except BaseException as error:  # a panic in Lance is no Exception
                logger.exception("upkeep of the index: %s failed", name)
                # Lance's own words may name paths: they are in the log.
                failed.append(f"{name} ({type(error).__name__})")
        if thorough:
            self._thorough_at = time.monotonic()
        return await self._report(began, did, failed)

    async def _report(self, began: float, did: list[str], failed: list[str]) -> UpkeepReport:
        seconds = time.monotonic() - began
        self.runs += not failed
        self.failures += bool(failed)
        self._observer.upkeep_done(seconds)
        before = await self.latest()
        recall = self._tasks.recall
        if recall is None and before is not None:
            recall = before.recall
        result = f"failed: {', '.join(failed)}; the log has the details" if failed else "ok"
        return UpkeepReport(datetime.now(UTC), seconds, result, did, recall)
