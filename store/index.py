"""The index of images: the store's front door."""

import asyncio
import hashlib
import logging
from collections.abc import Iterable, Mapping
from dataclasses import replace
from datetime import datetime
from functools import partial
from typing import TYPE_CHECKING, Any, Self

from store.changes.change import Change, LogQuery, Undone
from store.changes.log import ChangeLog
from store.changes.reading import listed
from store.changes.story import Span
from store.errors import NoChangeLogError, QueryError
from store.metadata.filters import refuse_broad
from store.metadata.given import check_key
from store.metadata.objects import FIRST
from store.metadata.rows import check_id, check_objects, check_url, check_vector
from store.metadata.values import ColumnType, is_unicode
from store.objects.counts import objects_state
from store.objects.table import ObjectTable
from store.schemas import (
    NOBODY,
    Author,
    Detector,
    IndexState,
    ModelIdentity,
    NewImage,
    NewObjects,
    ObjectSet,
    ObjectsState,
    Observer,
    StoredImage,
    StoreStats,
    TableVersion,
    UpkeepReport,
    Upserted,
)
from store.search.reader import Reader, refuse_empty
from store.settings import StoreSettings
from store.snapshot.lagging import Lagging
from store.snapshot.latest import Snapshots
from store.table.connection import connect, opening
from store.table.disk.location import Location
from store.table.faults import OpenTable, retried
from store.table.open import open_table
from store.table.versions import pick_version, restorable
from store.transfer.transfer import Transfer
from store.upkeep.scheduler import Upkeep
from store.upkeep.status import describe
from store.write.commit import Committer
from store.write.logged import LoggedTable
from store.write.operations import (
    DeclareColumn,
    Delete,
    DeleteMatching,
    DeleteUrls,
    DropColumn,
    Patch,
    PatchMatching,
    PutObjects,
    Restore,
    Undo,
    Upsert,
)
from store.write.writer import Writer

if TYPE_CHECKING:
    from lancedb import AsyncTable

ANSWER_S = 3.0
"""Seconds that an object store has to answer in, to count as there."""

PATCHED_AT_ONCE = 2000
"""Images of one operation: other writes wait for it."""

logger = logging.getLogger(__name__)


class ImageIndex(Reader):
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

    async def upsert(self, image: NewImage, by: Author = NOBODY) -> Upserted:
        """Adds an image; the row of the same id is replaced whole, its metadata and date too.

        Args:
            image: to add.
            by: who adds it, for the change log; as for all that changes the table.

        Raises:
            InvalidRowError: the url is empty, the id is none, or a vector is not [dim], finite and
                of unit length.
            MetadataTypeError: no column can hold one of the values.
            MetadataConflictError: a value is not of its key's type.
            MetadataLimitError: too many keys in the table, or one that is too long.
        """
        check_url(image.url)
        check_id(image.id)
        vector = check_vector(image.vector, self.opened.identity.dim)
        if image.objects is not None:
            check_objects(image.objects, self.opened.identity.dim)
            image = image if self._objects else replace(image, objects=None)
        if self.files is not None and image.thumbnail is not None and image.pixels is not None:
            with self.opened.writing():
                await asyncio.to_thread(
                    self.files.write, "thumbnails", image.pixels, image.thumbnail
                )
        upserted: Upserted = await self._writer.write(Upsert(image, vector, by))
        return upserted

    async def keep_original(self, data: bytes) -> str | None:
        """Stores a picture's own file, for an image that is added next.

        Returns:
            What `NewImage.file` is to be; None on an object store other than S3.

        Raises:
            StoreFault: it cannot be written.
        """
        if self.files is None:
            return None
        key = hashlib.sha256(data).hexdigest()
        with self.opened.writing():
            await asyncio.to_thread(self.files.write, "originals", key, data)
        return key

    async def patch(self, image_id: str, metadata: Any, by: Author = NOBODY) -> StoredImage | None:
        """Changes an image's metadata by RFC 7396: keys given are set, null removes one.

        A text replaces the metadata, and so does an object where there was a text; null removes it
        all. The date stays.

        Returns:
            The image as it is after the commit, or None where there is none.

        Raises:
            MetadataError: as for `upsert`.
        """
        if not is_unicode(image_id):
            return None
        image: StoredImage | None = await self._writer.write(Patch(image_id, metadata, by))
        return image

    async def put_objects(
        self, image_id: str, pixels: str | None, objects: NewObjects, by: Author = NOBODY
    ) -> StoredImage | None:
        """Gives an image the objects that were found in its picture; all else of it stays.

        Args:
            image_id: of the image.
            pixels: digest of the picture that was looked into.
            objects: that are in it.
            by: who had it looked into.

        Returns:
            The image, or None where there is none.

        Raises:
            InvalidRowError: it has another picture, or a vector is not [dim], finite and of unit
                length.
            QueryError: the index has no objects.
        """
        if self._objects is None:
            raise QueryError("this index has no objects")
        check_objects(objects, self.opened.identity.dim)
        if not is_unicode(image_id):
            return None
        image: StoredImage | None = await self._writer.write(
            PutObjects(image_id, pixels, objects, by)
        )
        return image

    async def delete(self, ids: Iterable[str], by: Author = NOBODY) -> int:
        """Deletes images by id, after the commit; tells how many there were."""
        known = frozenset(each for each in ids if is_unicode(each))
        return int(await self._writer.write(Delete(known, by))) if known else 0

    async def delete_urls(self, urls: Iterable[str], by: Author = NOBODY) -> int:
        """Deletes all images of urls, after the commit; tells how many there were."""
        known = frozenset(each for each in urls if is_unicode(each))
        return int(await self._writer.write(DeleteUrls(known, by))) if known else 0

    async def patch_matching(
        self, filter: Mapping[str, Any] | None, metadata: Any, by: Author = NOBODY
    ) -> int:
        """Changes the metadata of the images that match a filter, as `patch` does one's.

        Some thousand images are one commit, so that other writes need not wait for long. An image
        that does not match any more when its turn comes is left as it is.

        Args:
            filter: None for all images.
            metadata: the changes.
            by: who makes them.

        Returns:
            How many were changed.

        Raises:
            FilterError: as for `delete_matching`.
            MetadataError: the changes do not fit an image; those before it may be made.
        """
        if filter is not None:
            refuse_empty(filter)
        ids, rows = await self.matching(filter)
        refuse_broad(filter, "change", len(ids), rows)
        changed = 0
        for at in range(0, len(ids), PATCHED_AT_ONCE):
            part = ids[at : at + PATCHED_AT_ONCE]
            changed += int(await self._writer.write(PatchMatching(part, filter, metadata, by)))
        return changed

    async def delete_matching(self, filter: Mapping[str, Any] | None, by: Author = NOBODY) -> int:
        """Deletes the images that match a filter, after the commit; tells how many there were.

        Args:
            filter: None for all images.
            by: who wants it.

        Raises:
            FilterError: the filter is empty, not in the language or does not fit the columns; or it
                keeps every image, and names nothing that only these have.
        """
        if filter is not None:
            refuse_empty(filter)
        return int(await self._writer.write(DeleteMatching(filter, by)))

    async def drop_column(self, key: str, by: Author = NOBODY) -> int:
        """Takes a metadata key and its values away, after the commit; its name is free again.

        A restore of a version before brings both back. It waits for a round of upkeep to end: an
        index that was made of the column meanwhile, and committed after, would leave a table that
        nothing can be read from any more (LanceDB 0.40).

        Returns:
            How many images had a value.

        Raises:
            UnknownKeyError: there is no such key.
        """
        with self.opened.writing():
            async with self._upkeep.paused():
                return int(await self._writer.write(DropColumn(key, by)))

    async def declare_column(self, key: str, kind: ColumnType, by: Author = NOBODY) -> bool:
        """Gives a metadata key a type before its first value, or a wider one; after the commit.

        Returns:
            Whether the table has changed: not where the key had the type.

        Raises:
            MetadataError: the key is none, or has another type; or there are too many keys.
        """
        check_key(key)
        return bool(await self._writer.write(DeclareColumn(key, kind, by)))

    async def versions(self) -> list[TableVersion]:
        """The versions that can be restored, newest first."""
        with self.opened.reading():
            return await restorable(self.opened.table)

    async def restore(
        self,
        *,
        version: int | None = None,
        before: datetime | None = None,
        by: Author = NOBODY,
    ) -> TableVersion:
        """Makes the table as it was: at a version, or at the last one committed before a moment.

        The old content becomes a new version, so that this can be undone too.

        Returns:
            The version that was restored.

        Raises:
            VersionError: there is no such version (any more), or both or neither were given.
        """
        chosen = pick_version(await self.versions(), version=version, before=before)
        await self._writer.write(Restore(chosen.version, by))
        self._upkeep.hurry()
        return chosen

    async def changes(self, query: LogQuery) -> tuple[list[Change], bool]:
        """The changes of the table that a query takes, newest first, and whether there are more.

        Raises:
            NoChangeLogError: the index is on an object store.
        """
        folder = self.opened.location.folder
        if folder is None:
            raise NoChangeLogError
        with self.opened.reading():
            return await asyncio.to_thread(listed, folder, query)

    async def undo(self, span: Span, *, dry_run: bool = False, by: Author = NOBODY) -> Undone:
        """Undoes the changes that a key has made: `store.changes.undo` says what of them.

        A second time changes nothing more. What it does are changes, too: a restore takes it back.

        Args:
            span: whose changes, and of which time.
            dry_run: tell what would be done, and do nothing.
            by: who undoes it.

        Raises:
            NoChangeLogError: the index is on an object store.
        """
        removed = restored = 0
        while True:
            part: Undone = await self._writer.write(Undo(span, dry_run, by))
            removed += part.removed
            restored += part.restored
            if not part.more:
                self._upkeep.hurry()
                return replace(part, removed=removed, restored=restored)

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
