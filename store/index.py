"""The index of images: the store's front door."""

import asyncio
import hashlib
from collections.abc import Iterable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import replace
from datetime import datetime
from typing import TYPE_CHECKING, Any, Self

from store.errors import StoreWriteError
from store.metadata.rows import check_url, check_vector
from store.metadata.values import is_unicode
from store.pictures.files import Kind
from store.schemas import (
    IndexState,
    ModelIdentity,
    NewImage,
    Observer,
    StoredImage,
    StoreStats,
    TableVersion,
    UpkeepReport,
    Upserted,
)
from store.search.reader import Reader, refuse_empty
from store.settings import StoreSettings
from store.snapshot.latest import Snapshots
from store.table.connection import connect, opening
from store.table.disk.location import Location
from store.table.disk.sync import Acknowledged
from store.table.open import open_table
from store.table.versions import pick_version, restorable
from store.upkeep.scheduler import Upkeep
from store.upkeep.status import describe
from store.write.commit import Committer
from store.write.operations import Delete, DeleteMatching, Patch, Restore, Upsert
from store.write.writer import Writer

if TYPE_CHECKING:
    from lancedb import AsyncConnection, AsyncTable


class ImageIndex(Reader):
    """A table of images with their vectors and metadata, used from one event loop.

    Get one with `open`; several may be open on one table, in any processes. Every method raises a
    `StoreError` and nothing else, but for cancellation.
    """

    def __init__(
        self,
        connection: "AsyncConnection",
        tables: tuple["AsyncTable", "AsyncTable"],
        identity: ModelIdentity,
        settings: StoreSettings,
        observer: Observer | None,
    ) -> None:
        table, kept = tables
        snapshots = Snapshots(
            table,
            cache_bytes=settings.store_cache_mb << 20,
            memory_bytes=settings.store_memory_mb << 20,
            fill=True,
        )
        super().__init__(table, snapshots, identity, settings.store_uri)
        self._connection = connection
        self._kept = kept
        location = Location(settings.store_uri)
        folder = location.folder
        acknowledged = None
        if folder is not None and settings.store_sync:  # else a power cut may lose what it says
            acknowledged = Acknowledged(folder, table.name)
        self._upkeep = Upkeep(kept, settings, observer)
        self._writer = Writer(
            Committer(table, snapshots, locked=folder is not None, acknowledged=acknowledged),
            location.lock(f"{table.name}.write"),
            settings,
            folder=folder,
            committed=self._committed,
        )
        self._observer = observer or Observer()

    @classmethod
    async def open(
        cls, settings: StoreSettings, identity: ModelIdentity, observer: Observer | None = None
    ) -> Self:
        """Opens the table, or makes it where there is none.

        Args:
            settings: where it is, and how it is kept.
            identity: of the model that makes its vectors.
            observer: is told of commits and upkeep.

        Raises:
            ModelMismatchError: the table's vectors come from another model.
            StoreFault: it could not be opened or made, or is damaged.
        """
        with opening(settings):
            connection = await connect(settings)
            try:
                table = await open_table(connection, identity)
                # Upkeep has a handle of its own: what it does to it, no request sees.
                kept = await connection.open_table(table.name)
                return cls(connection, (table, kept), identity, settings, observer)
            except BaseException:
                connection.close()
                raise

    async def upsert(self, image: NewImage) -> Upserted:
        """Adds an image; the row of the same url is replaced whole, its metadata and date too.

        Returns after the commit: from then on every search finds it, and killing the process
        does not lose it.

        Raises:
            InvalidRowError: the url is empty, or the vector not [dim], finite and of unit length.
            MetadataTypeError: no column can hold one of the values.
            MetadataConflictError: a value is not of its key's type.
            MetadataLimitError: too many keys in the table, or one that is too long.
            StoreFault: the commit failed, or the index is closed.
        """
        check_url(image.url)
        vector = check_vector(image.vector, self.identity.dim)
        if image.thumbnail is not None and image.pixels is not None:
            await self._keep("thumbnails", image.pixels, image.thumbnail)
        checked = replace(image, vector=vector, thumbnail=None)
        upserted: Upserted = await self._writer.write(Upsert(checked))
        return upserted

    async def keep_original(self, data: bytes) -> str | None:
        """Keeps a picture's own file, for an image that is added next.

        Returns:
            What `NewImage.file` is to be; None on an object store, where no files are kept.

        Raises:
            StoreFault: it cannot be written.
        """
        key = hashlib.sha256(data).hexdigest()
        await self._keep("originals", key, data)
        return key if self._files is not None else None

    async def patch(self, image_id: str, metadata: Any) -> StoredImage | None:
        """Changes an image's metadata by RFC 7396: keys given are set, null removes one.

        A text replaces the metadata, and so does an object where there was a text; null removes it
        all. The date stays.

        Returns:
            The image as it is after the commit, or None where there is none.

        Raises:
            MetadataError: as for `upsert`.
            StoreFault: the commit failed, or the index is closed.
        """
        if not is_unicode(image_id):
            return None
        image: StoredImage | None = await self._writer.write(Patch(image_id, metadata))
        return image

    async def delete(self, ids: Iterable[str]) -> int:
        """Deletes images by id, after the commit; tells how many there were.

        Raises:
            StoreFault: the commit failed, or the index is closed.
        """
        wanted = frozenset(each for each in ids if is_unicode(each))
        return int(await self._writer.write(Delete(wanted))) if wanted else 0

    async def delete_matching(self, filter: Mapping[str, Any]) -> int:
        """Deletes the images that match a filter, after the commit; tells how many there were.

        Raises:
            FilterError: the filter is empty, not in the language or does not fit the columns.
            StoreFault: the commit failed, or the index is closed.
        """
        refuse_empty(filter)
        return int(await self._writer.write(DeleteMatching(filter)))

    async def versions(self) -> list[TableVersion]:
        """The versions that can be restored, newest first.

        Raises:
            StoreFault: the read failed, or the index is closed.
        """
        with self._reading():
            return await restorable(self._table)

    async def restore(
        self, *, version: int | None = None, before: datetime | None = None
    ) -> TableVersion:
        """Makes the table as it was: at a version, or at the last one committed before a moment.

        The old content becomes a new version, so that this can be undone too.

        Returns:
            The version that was restored.

        Raises:
            VersionError: there is no such version (any more), or both or neither were given.
            StoreFault: the commit failed, or the index is closed.
        """
        chosen = pick_version(await self.versions(), version=version, before=before)
        await self._writer.write(Restore(chosen.version))
        self._upkeep.hurry()
        return chosen

    async def state(self) -> IndexState:
        """The table as it is now.

        Raises:
            StoreFault: the read failed, or the index is closed.
        """
        with self._reading():
            return await describe(self._table, self.identity, await self._upkeep.latest())

    async def run_upkeep(self) -> UpkeepReport | None:
        """Does a whole round of upkeep now, however little there is to do.

        Returns:
            How it went; None if another process is at it.

        Raises:
            StoreFault: its report cannot be written, or the index is closed.
        """
        with self._reading(), self._writing():
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
        self._closed = True
        self._snapshots.close()
        self._table.close()
        self._kept.close()
        self._connection.close()

    async def _keep(self, kind: Kind, key: str, data: bytes) -> None:
        if self._files is not None:
            with self._writing():
                await asyncio.to_thread(self._files.keep, kind, key, data)

    @contextmanager
    def _writing(self) -> Iterator[None]:
        try:
            yield
        except OSError as error:
            otherwise = StoreWriteError("the index could not be written", detail=repr(error))
            raise self._fault(error, otherwise) from error
