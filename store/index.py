"""The index of images: the store's front door."""

import asyncio
import logging
from functools import partial
from typing import TYPE_CHECKING, Self

from store.changes.log import ChangeLog
from store.history import History
from store.metadata.objects import FIRST
from store.objects.counts import objects_state
from store.objects.table import ObjectTable
from store.schemas import (
    Detector,
    IndexState,
    ModelIdentity,
    ObjectSet,
    ObjectsState,
    Observer,
    StoreStats,
    UpkeepReport,
)
from store.settings import StoreSettings
from store.snapshot.lagging import Lagging
from store.snapshot.latest import Snapshots
from store.table.connection import connect, opening
from store.table.disk.location import Location
from store.table.faults import OpenTable, retried
from store.table.open import open_table
from store.transfer.transfer import Transfer
from store.upkeep.scheduler import Upkeep
from store.upkeep.status import describe
from store.write.commit import Committer
from store.write.logged import LoggedTable
from store.write.writer import Writer

if TYPE_CHECKING:
    from lancedb import AsyncTable

ANSWER_S = 3.0
"""Seconds that an object store has to answer in, to count as there."""

logger = logging.getLogger(__name__)


class ImageIndex(History):
    """A table of images with their vectors and metadata, used from one event loop.

    Get one with `open`; several may be open on one table, in any processes. Every method raises a
    `StoreError` and nothing else, but for cancellation; a `StoreFault` where a read or a commit
    failed, or the index is closed. What changes the table returns after the commit: from then on
    every search finds it, and killing the process does not lose it.

    Attributes:
        transfer: takes whole rows out, and puts them in.
    """

    def __init__(
        self,
        opened: OpenTable,
        upkeep_table: "AsyncTable",
        settings: StoreSettings,
        observer: Observer,
        objects: ObjectTable | None = None,
    ) -> None:
        snapshots = Snapshots(
            opened.table,
            cache_bytes=settings.store_cache_mb << 20,
            memory_bytes=settings.store_memory_mb << 20,
            fill=True,
            finding=objects.detectors.finding if objects else FIRST,
        )
        of_objects = None
        if objects is not None:
            of_objects = Snapshots(
                objects.table,
                cache_bytes=settings.store_cache_mb << 20,
                memory_bytes=settings.store_memory_mb << 20,
                fill=True,
            )
        super().__init__(opened, snapshots, of_objects)
        self._upkeep_table = upkeep_table
        self._objects = objects
        self._upkeep = Upkeep(
            upkeep_table, settings, observer, objects.upkeep_table if objects else None
        )
        self._object_states = (
            Lagging(snapshots, partial(objects_state, detector=objects.detectors.now))
            if objects
            else None
        )
        self._observer = observer
        log = ChangeLog(opened.location.folder, opened.table.name)
        logged = LoggedTable(opened.table, log)
        self._writer = Writer(
            Committer(logged, snapshots, opened.location, objects, sync=settings.store_sync),
            opened.location.lock(f"{opened.table.name}.write"),
            settings,
            committed=self._committed,
        )
        detector = objects.detectors.now if objects else None
        self.transfer = Transfer(opened, snapshots, self.files, self._writer, detector)

    @classmethod
    async def open(
        cls,
        settings: StoreSettings,
        identity: ModelIdentity,
        observer: Observer | None = None,
        detector: Detector | None = None,
    ) -> Self:
        """Opens the table, or makes it where there is none.

        Args:
            settings: where it is, how it is written and how upkeep goes.
            identity: of the model that makes its vectors.
            observer: is told of commits and upkeep.
            detector: of the objects in the images; without it, none are stored.

        Raises:
            ModelMismatchError: the table's vectors come from another model.
            ObjectsMismatchError: its objects come from another detector.
            StoreFault: it could not be opened or made, or is damaged.
        """
        with opening(settings):
            connection = await connect(settings)
            try:
                # Machines that start at once give the new table its indexes at once.
                table = await retried(lambda: open_table(connection, identity))
                opened = OpenTable(connection, table, identity, Location(settings.store_uri))
                objects = None
                if detector is not None:
                    objects = await ObjectTable.open(connection, table.name, identity, detector)
                # Upkeep has a handle of its own: what it does to it, no request sees.
                upkeep_table = await connection.open_table(table.name)
                return cls(opened, upkeep_table, settings, observer or Observer(), objects)
            except BaseException:
                connection.close()
                raise

    async def state(self) -> IndexState:
        """The table as it is now."""
        with self.opened.reading():
            return await describe(
                self.opened.table, self.opened.identity, await self._upkeep.latest()
            )

    async def objects_state(self) -> ObjectsState | None:
        """The objects of the index, a moment ago; None where none are stored."""
        if self._object_states is None:
            return None
        with self.opened.reading():
            return (await self._object_states.latest())[0]

    def earlier_detector(self, found: ObjectSet) -> Detector | None:
        """The detector of before that has found these objects; None where it is that of now."""
        return self._objects.detectors.earlier(found.key) if self._objects else None

    async def run_upkeep(self) -> UpkeepReport | None:
        """Does a whole round of upkeep now, however little there is to do.

        Returns:
            How it went; None if another process is at it.
        """
        with self.opened.reading(), self.opened.writing():
            return await self._upkeep.run(everything=True)

    async def ended(self) -> None:
        """Waits until writes cannot go through any more, because the index was closed or is stuck.

        Where it was not closed, a commit did not end: only a new process helps.
        """
        await self._writer.ended()

    @property
    def healthy(self) -> bool:
        """Whether writes can go through; if not, only a new process helps."""
        return self._writer.healthy

    async def answers(self) -> bool:
        """Whether the store that the table is in answers now; a folder always does."""
        if self.opened.location.folder is not None:
            return True
        try:
            async with asyncio.timeout(ANSWER_S):
                await self.opened.table.version()
        except Exception as error:
            logger.warning("the object store does not answer: %r", error)
            return False
        return True

    def stats(self) -> StoreStats:
        """Counters of this process since the index was opened."""
        return StoreStats(
            commits=self._writer.commits,
            queued=self._writer.queued,
            conflicts=self._writer.conflicts,
            upkeep_runs=self._upkeep.runs,
            upkeep_failures=self._upkeep.failures,
        )

    def _committed(self, operations: int, seconds: float) -> None:
        self._upkeep.committed()
        self._observer.committed(operations, seconds)

    async def close(self) -> None:
        """Writes what waits and closes the table. A second call does nothing more."""
        try:
            await self._writer.close()
        finally:
            await self._upkeep.close()
        self.snapshots.close()
        self._upkeep_table.close()
        if self.object_snapshots is not None:
            self.object_snapshots.close()
        if self._objects is not None:
            self._objects.close()
        self.opened.close()
