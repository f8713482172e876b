"""Everything that reads the table."""

import asyncio
from collections.abc import Collection, Mapping
from contextlib import AbstractContextManager
from typing import TYPE_CHECKING, Any

from store.errors import (
    FilterError,
    QueryError,
    StoreClosedError,
    StoreFault,
    StoreReadError,
)
from store.metadata.columns import Registry, split_metadata
from store.metadata.filters import ALWAYS, compile_filter
from store.metadata.literals import among, literal
from store.metadata.rows import check_vector, selected, to_images, to_vectors
from store.metadata.values import is_unicode
from store.pictures.files import Kind, PictureFiles
from store.pictures.lookup import PictureReads
from store.schemas import (
    MAX_LIMIT,
    CheckedFilter,
    Facet,
    FloatVector,
    Hit,
    KeptFile,
    ModelIdentity,
    Near,
    Page,
    SearchQuery,
    StoredImage,
    image_id,
)
from store.search.facets import Facets
from store.search.near_duplicates import NearCall, near_each
from store.search.newest import newest
from store.search.query import Matches, check_query, check_text, matches_of, search
from store.snapshot.latest import Coalescer, Snapshots
from store.snapshot.snapshot import Snapshot
from store.table.disk.location import Location
from store.table.faults import fault_of, translated

if TYPE_CHECKING:
    from lancedb import AsyncTable


class Reader:
    """The reading half of `store.index.ImageIndex`.

    Every read sees all commits that were made before it, by whichever process.
    """

    def __init__(
        self, table: "AsyncTable", snapshots: Snapshots, identity: ModelIdentity, uri: str
    ) -> None:
        self.identity = identity
        self._table = table
        self._snapshots = snapshots
        self._near = Coalescer(snapshots, near_each)
        self._facets = Facets(snapshots)
        # An object store has no folder for them.
        self._files = PictureFiles(folder) if (folder := Location(uri).folder) else None
        self._pictures = PictureReads(snapshots, self._files) if self._files else None
        self._uri = uri
        self._closed = False

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
            found = await rows.select(selected(registry)).limit(1).to_arrow()
        return to_images(found, registry)[0] if found.num_rows else None

    async def picture(self, image_id: str, kind: Kind) -> KeptFile | None:
        """A file that is kept of an image; None where there is none, or no such image.

        Raises:
            StoreFault: the read failed, or the index is closed.
        """
        if self._pictures is None or not is_unicode(image_id):
            return None
        with self._reading():
            return await self._pictures.of(image_id, kind)

    async def images(self, limit: int, offset: int = 0) -> Page:
        """The images, newest first.

        Raises:
            QueryError: limit is not 1 to 1000, or offset negative.
            StoreFault: the read failed, or the index is closed.
        """
        if not 1 <= limit <= MAX_LIMIT:
            raise QueryError(f"limit must be 1 to {MAX_LIMIT}")
        if offset < 0:
            raise QueryError("offset must not be negative")
        with self._reading():
            snapshot = await self._snapshots.latest()
            return Page(await asyncio.to_thread(_listed, snapshot, limit, offset), snapshot.rows)

    async def vectors(self, ids: Collection[str]) -> dict[str, FloatVector]:
        """The stored vectors, float32 [dim], by id; ids that there are not are left out.

        Raises:
            StoreFault: the read failed, or the index is closed.
        """
        wanted = [each for each in ids if is_unicode(each)]
        if not wanted:
            return {}
        with self._reading():
            rows = self._table.query().where(among("id", wanted))
            return to_vectors(await rows.select(["id", "vector"]).to_arrow())

    async def matches(self, query: SearchQuery) -> Matches:
        """What the text of a query matches: for `search`, while the vectors are computed.

        Args:
            query: with a text; its vectors may be missing.

        Raises:
            QueryError: the text cannot be searched for.
            FilterError: the filter is not in the language or does not fit the columns.
            StoreFault: the read failed, or the index is closed.
        """
        check_text(query)
        with self._reading():
            snapshot = await self._snapshots.latest()
            return await asyncio.to_thread(matches_of, snapshot, query)

    async def search(self, query: SearchQuery, matches: Matches | None = None) -> list[Hit]:
        """Searches by picture, text or filter, or several of them; see `SearchQuery`.

        - picture: the nearest by cosine similarity; equal ones in the order of their ids.
        - text: nearest to the text's vector and full-text matches, fused by reciprocal rank.
        - picture and text: nearest to either vector and full-text matches, fused the same way.
        - neither: newest first, without a score.

        The filter goes before the ranking: ``limit`` hits come back if that many match. Nearest is
        exact until the table has a vector index, and with one nearly so.

        Args:
            query: what to search for.
            matches: of the same query, where they are known already; the table is searched as it
                was when they were.

        Raises:
            QueryError: the query leaves its bounds or contradicts itself.
            InvalidRowError: a vector is not [dim], finite and of unit length.
            FilterError: the filter is not in the language or does not fit the columns.
            StoreFault: the read failed, or the index is closed.
        """
        query = check_query(query, self.identity.dim)
        if query.text is not None and matches is None:
            matches = await self.matches(query)
        with self._reading():
            snapshot = await self._snapshots.latest() if matches is None else matches.snapshot
            return await asyncio.to_thread(search, snapshot, query, matches)

    async def near_duplicates(
        self, vector: FloatVector, url: str, min_score: float, limit: int = 10
    ) -> list[Near]:
        """The images under other urls whose similarity to the vector is at least ``min_score``.

        Raises:
            InvalidRowError: the vector is not [dim], finite and of unit length.
            StoreFault: the read failed, or the index is closed.
        """
        vector = check_vector(vector, self.identity.dim)
        with self._reading():
            return await self._near.answer(NearCall(vector, min_score, limit, image_id(url)))

    async def same_pixels(self, pixels: str, url: str) -> str | None:
        """The id of an image under another url that has these pixels, or None.

        Raises:
            StoreFault: the read failed, or the index is closed.
        """
        with self._reading():
            where = f"pixels = {literal(pixels)} AND id <> {literal(image_id(url))}"
            found = await self._table.query().where(where).select(["id"]).limit(1).to_arrow()
        return str(found["id"][0]) if found.num_rows else None

    async def facets(self) -> list[Facet]:
        """What the metadata holds, key by key; it may lag behind a large table's changes.

        Raises:
            StoreFault: the read failed, or the index is closed.
        """
        with self._reading():
            return await self._facets.latest()

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

    async def check_metadata(self, metadata: Any) -> None:
        """Says beforehand, from the columns there are now, what `upsert` would refuse.

        Raises:
            MetadataError: the metadata cannot be stored.
            StoreFault: the read failed, or the index is closed.
        """
        _, given = split_metadata(metadata)
        if given:  # a text fits any columns
            with self._reading():
                (await self._snapshots.latest()).registry.place(given)

    async def check_filter(self, filter: Mapping[str, Any]) -> CheckedFilter:
        """Says beforehand, from the columns there are now, what `search` would refuse.

        Returns:
            The filter for `SearchQuery`, compiled.

        Raises:
            FilterError: the filter is not in the language or does not fit the columns.
            StoreFault: the read failed, or the index is closed.
        """
        with self._reading():
            registry = (await self._snapshots.latest()).registry
            where = compile_filter(filter, registry.by_key)
            return CheckedFilter(filter, where, registry.columns)

    def _reading(self) -> AbstractContextManager[None]:
        if self._closed:
            raise StoreClosedError("the index is closed")
        return translated(self._read_fault)

    def _read_fault(self, error: BaseException) -> StoreFault:
        return self._fault(error, StoreReadError("the index could not be read", detail=repr(error)))

    def _fault(self, error: BaseException, otherwise: StoreFault) -> StoreFault:
        return fault_of(error, otherwise, uri=self._uri, table=self._table.name)


def _listed(snapshot: Snapshot, limit: int, offset: int) -> list[StoredImage]:
    """A page of all images, newest first. Blocks."""
    row_ids = newest(snapshot, limit, offset, ALWAYS)
    return to_images(snapshot.take(row_ids, selected(snapshot.registry)), snapshot.registry)


def refuse_empty(filter: Any) -> None:
    """Refuses a filter with an empty part: that matches every image without saying so.

    Raises:
        FilterError: it has one.
    """
    if isinstance(filter, Mapping):
        if not filter:
            raise FilterError("the filter has an empty part {}: that would match every image")
        for part in filter.values():
            refuse_empty(part)
    elif isinstance(filter, list):
        for part in filter:
            refuse_empty(part)
