"""The index of images: the store's front door."""

import contextlib
import logging
from collections.abc import Collection, Iterable, Iterator, Mapping
from datetime import datetime
from typing import TYPE_CHECKING, Any, Self

from store.commit import Committer
from store.engine import connect, open_table
from store.errors import StoreClosedError, StoreError, StoreOpenError, StoreReadError
from store.filters import compile_filter
from store.literals import literal
from store.metadata import Registry
from store.rows import check_url, check_vector, selected, to_dicts, to_image
from store.schemas import (
    FloatVector,
    Hit,
    IndexState,
    ModelIdentity,
    NewImage,
    Page,
    SearchQuery,
    StoredImage,
    StoreStats,
    TableVersion,
    UpkeepReport,
    Upserted,
)
from store.search import check_query, search
from store.settings import StoreSettings
from store.upkeep import Upkeep
from store.values import is_unicode
from store.writer import Writer

if TYPE_CHECKING:
    from lancedb import AsyncConnection, AsyncTable

logger = logging.getLogger(__name__)


class ImageIndex:
    """A table of images with their vectors and metadata, used from one event loop.

    Get one with `open`. Every method raises a `StoreError` and nothing else, but for cancellation.
    """

    def __init__(
        self,
        connection: "AsyncConnection",
        table: "AsyncTable",
        identity: ModelIdentity,
        settings: StoreSettings,
    ) -> None:
        self.identity = identity
        self._connection = connection
        self._table = table
        self._upkeep = Upkeep(table, settings)
        self._writer = Writer(Committer(table), self._upkeep, settings)
        self._closed = False

    @classmethod
    async def open(cls, settings: StoreSettings, identity: ModelIdentity) -> Self:
        """Opens the table, or makes it where there is none.

        Raises:
            ModelMismatchError: the table's vectors come from another model.
            StoreOpenError: it could not be opened or made.
        """
        try:
            connection = await connect(settings)
            table = await open_table(connection, identity)
        except StoreError:
            raise
        except Exception as error:
            raise StoreOpenError("the index could not be opened", detail=repr(error)) from error
        return cls(connection, table, identity, settings)

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
        return await self._writer.upsert(NewImage(image.url, vector, image.metadata))

    async def delete(self, ids: Iterable[str]) -> int:
        """Deletes images by id, after the commit; tells how many there were.

        Raises:
            StoreFault: the commit failed, or the index is closed.
        """
        wanted = {each for each in ids if is_unicode(each)}
        return await self._writer.delete(wanted) if wanted else 0

    async def get(self, image_id: str) -> StoredImage | None:
        """The image of this id, or None.

        Raises:
            StoreFault: the read failed, or the index is closed.
        """
        if not is_unicode(image_id):
            return None
        with self._reading():
            registry = Registry.from_schema(await self._table.schema())
            rows = self._table.query().where(f"id = {literal(image_id)}")
            found = to_dicts(await rows.select(selected(registry)).limit(1).to_arrow())
        return to_image(found[0], registry) if found else None

    async def search(self, query: SearchQuery) -> list[Hit]:
        """Searches by picture, text or filter, or several of them; see `SearchQuery`.

        - picture: the nearest by cosine similarity, exactly; equal ones in the order of their ids.
        - text: nearest to the text's vector and full-text matches, fused by reciprocal rank.
        - picture and text: nearest to either vector and full-text matches, fused the same way.
        - neither: newest first, without a score.

        The filter goes before the ranking: ``limit`` hits come back if that many match.

        Raises:
            QueryError: the query leaves its bounds or contradicts itself.
            InvalidRowError: a vector is not [dim], finite and of unit length.
            FilterError: the filter is not in the language or does not fit the columns.
            StoreFault: the read failed, or the index is closed.
        """
        query = check_query(query, self.identity.dim)
        with self._reading():
            return await search(self._table, query)

    async def count(self, filter: Mapping[str, Any] | None = None) -> int:
        """How many images there are, or how many match a filter.

        Raises:
            FilterError: the filter is not in the language or does not fit the columns.
            StoreFault: the read failed, or the index is closed.
        """
        with self._reading():
            if filter is None:
                return int(await self._table.count_rows())
            registry = Registry.from_schema(await self._table.schema())
            return int(await self._table.count_rows(compile_filter(filter, registry.by_key)))

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
        raise NotImplementedError

    async def delete_matching(self, filter: Mapping[str, Any]) -> int:
        """Deletes the images that match a filter, after the commit; tells how many there were.

        Raises:
            FilterError: the filter is empty, not in the language or does not fit the columns.
            StoreFault: the commit failed, or the index is closed.
        """
        raise NotImplementedError

    async def images(self, limit: int, offset: int = 0) -> Page:
        """The images, newest first.

        Raises:
            QueryError: limit is not 1 to 1000, or offset negative.
            StoreFault: the read failed, or the index is closed.
        """
        raise NotImplementedError

    async def vectors(self, ids: Collection[str]) -> dict[str, FloatVector]:
        """The stored vectors, float32 [dim], by id; ids that there are not are left out.

        Raises:
            StoreFault: the read failed, or the index is closed.
        """
        raise NotImplementedError

    async def near_duplicates(
        self, vector: FloatVector, url: str, min_score: float, limit: int = 10
    ) -> list[Hit]:
        """The images under other urls whose similarity to the vector is at least ``min_score``.

        Raises:
            InvalidRowError: the vector is not [dim], finite and of unit length.
            StoreFault: the read failed, or the index is closed.
        """
        raise NotImplementedError

    async def check_metadata(self, metadata: Any) -> None:
        """Says beforehand, from the columns there are now, what `upsert` would refuse.

        Raises:
            MetadataError: the metadata cannot be stored.
            StoreFault: the read failed, or the index is closed.
        """
        raise NotImplementedError

    async def check_filter(self, filter: Mapping[str, Any]) -> None:
        """Says beforehand, from the columns there are now, what `search` would refuse.

        Raises:
            FilterError: the filter is not in the language or does not fit the columns.
            StoreFault: the read failed, or the index is closed.
        """
        raise NotImplementedError

    async def state(self) -> IndexState:
        """The table as it is now.

        Raises:
            StoreFault: the read failed, or the index is closed.
        """
        raise NotImplementedError

    async def versions(self) -> list[TableVersion]:
        """The versions that can be restored, newest first.

        Raises:
            StoreFault: the read failed, or the index is closed.
        """
        raise NotImplementedError

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
        raise NotImplementedError

    async def run_upkeep(self) -> UpkeepReport | None:
        """Does a whole round of upkeep now, however little there is to do.

        Returns:
            How it went; None if another process is at it.
        """
        raise NotImplementedError

    def stats(self) -> StoreStats:
        """Counters since the index was opened."""
        return StoreStats(
            commits=self._writer.commits,
            conflicts=0,
            queued=self._writer.queued,
            upkeep_runs=self._upkeep.runs,
            upkeep_failures=self._upkeep.failures,
        )

    async def close(self) -> None:
        """Writes what waits and closes the table. A second call does nothing more."""
        await self._writer.close()
        self._closed = True
        self._table.close()
        self._connection.close()

    @contextlib.contextmanager
    def _reading(self) -> Iterator[None]:
        if self._closed:
            raise StoreClosedError("the index is closed")
        try:
            yield
        except StoreError:
            raise
        except Exception as error:
            raise StoreReadError("the index could not be read", detail=repr(error)) from error
