"""Read side of the index: searches, images by id, lists, facets, and checks of filters."""

import asyncio
from collections.abc import Collection, Mapping, Sequence
from typing import Any

import numpy as np

from store.errors import QueryError
from store.metadata.columns import Registry
from store.metadata.filters import where_of
from store.metadata.objects import COLUMNS, has_objects, object_sets
from store.metadata.predicates import ALWAYS
from store.metadata.rows import selected, to_images, to_vectors
from store.metadata.values import is_unicode, literal, text_in
from store.pictures.bucket import pictures_of
from store.pictures.files import Kind, PictureLookup
from store.schemas import (
    MAX_LIMIT,
    Facet,
    FloatVector,
    Found,
    Hit,
    Near,
    NewImage,
    ObjectSet,
    Page,
    SearchQuery,
    StoredFile,
    StoredImage,
)
from store.search.checks import Checks
from store.search.facets import Facets
from store.search.objects.hits import vector_of
from store.search.query import check_query, check_text, listed, next_of, search
from store.search.relevance import Matches, matches_of
from store.search.vectors.near_duplicates import NearCall, near_each
from store.snapshot.coalescer import Coalescer
from store.snapshot.latest import Snapshots
from store.snapshot.snapshot import Snapshot
from store.table.faults import OpenTable


class Reader(Checks):
    """The reading half of `store.index.ImageIndex`.

    Every read sees all commits that were made before it, by whichever process. Every method raises
    a `StoreFault` where the read failed or the index is closed.

    Attributes:
        opened: the table.
        snapshots: of it.
        files: of pictures; None on an object store other than S3.
        object_snapshots: of the table of objects; None where there is none.
    """

    def __init__(
        self, opened: OpenTable, snapshots: Snapshots, objects: Snapshots | None = None
    ) -> None:
        self.opened = opened
        self.object_snapshots = objects
        self.snapshots = snapshots
        self.files = pictures_of(opened.location)
        self._near = Coalescer(snapshots, near_each)
        self._images = Coalescer(snapshots, _images_of)
        self._facets = Facets(snapshots)
        self._pictures = PictureLookup(snapshots, self.files) if self.files else None

    async def get(self, image_id: str) -> StoredImage | None:
        """The image of this id, or None."""
        if not is_unicode(image_id):
            return None
        with self.opened.reading():
            if self.opened.location.folder is None:  # LanceDB's own look takes nine requests there
                return await self._images.answer(image_id)
            registry = Registry.from_schema(await self.opened.table.schema())
            rows = self.opened.table.query().where(f"id = {literal(image_id)}")
            found = await rows.select(selected(registry)).limit(1).to_arrow()
        return to_images(found, registry)[0] if found.num_rows else None

    async def objects(self, image_id: str) -> ObjectSet | None:
        """The objects in the image of this id; None where nobody has looked, or it is not there."""
        if not is_unicode(image_id):
            return None
        with self.opened.reading():
            if not has_objects(await self.opened.table.schema()):
                return None
            rows = self.opened.table.query().where(f"id = {literal(image_id)}")
            found = await rows.select(list(COLUMNS)).limit(1).to_arrow()
        return next(iter(object_sets(found)), None)

    async def picture(self, image_id: str, kind: Kind) -> StoredFile | None:
        """A file that is stored of an image; None where there is none, or no such image."""
        if self._pictures is None or not is_unicode(image_id):
            return None
        with self.opened.reading():
            return await self._pictures.of(image_id, kind)

    async def images(
        self, limit: int, offset: int = 0, url: str | None = None, cursor: str | None = None
    ) -> Page:
        """The images, or those of a url, newest first; with a cursor, those behind its image.

        Raises:
            QueryError: limit is not 1 to 1000, or offset negative, or the cursor is none.
        """
        if not 1 <= limit <= MAX_LIMIT:
            raise QueryError(f"limit must be 1 to {MAX_LIMIT}")
        if offset < 0:
            raise QueryError("offset must not be negative")
        with self.opened.reading():
            snapshot = await self.snapshots.latest()
            query = SearchQuery(limit=limit, offset=offset, cursor=cursor)
            return await asyncio.to_thread(_page, snapshot, query, url)

    async def matching(self, filter: Mapping[str, Any] | None) -> tuple[list[str], int]:
        """The ids of the images that match a filter, of all without, and how many images there are.

        Raises:
            FilterError: the filter is not in the language or does not fit the columns.
        """
        with self.opened.reading():
            snapshot = await self.snapshots.latest()
            where = where_of(filter, snapshot.registry)
            return await asyncio.to_thread(_ids, snapshot, where), snapshot.rows

    async def vectors(self, ids: Collection[str]) -> dict[str, FloatVector]:
        """The stored vectors, float32 [dim], by id; ids that there are not are left out."""
        possible = [each for each in ids if is_unicode(each)]
        if not possible:
            return {}
        with self.opened.reading():
            rows = self.opened.table.query().where(text_in("id", possible))
            return to_vectors(await rows.select(["id", "vector"]).to_arrow())

    async def matches(self, query: SearchQuery) -> Matches:
        """What the text of a query matches: for `search`, while the vectors are computed.

        Args:
            query: with a text; its vectors may be missing.

        Raises:
            QueryError: the text cannot be searched for.
            FilterError: the filter is not in the language or does not fit the columns.
        """
        check_text(query)
        with self.opened.reading():
            snapshot = await self.snapshots.latest()
            return await asyncio.to_thread(matches_of, snapshot, query)

    async def search(self, query: SearchQuery, matches: Matches | None = None) -> list[Hit]:
        """The hits of `find`."""
        return (await self.find(query, matches)).hits

    async def find(self, query: SearchQuery, matches: Matches | None = None) -> Found:
        """Searches by picture, text or filter, or several of them; see `SearchQuery`.

        - picture: the nearest by cosine similarity; equal ones in the order of their ids.
        - text: nearest to the text's vector and full-text matches, by `store.search.fusion`.
        - picture and text: nearest to either vector and full-text matches, fused the same way.
        - neither: newest first, without a score.

        Another order is made of all that the filter keeps, or with a picture or a text of the best
        thousand, less what `min_score` or `cutoff` leaves out; without either by the cutoff.

        Grouped, each hit is the first in the order of those that share its key's value or its
        pixels; how many share the value is told of all that the filter keeps.

        The filter goes before the ranking: ``limit`` hits come back if that many match. Nearest is
        exact until the table has a vector index, and with one nearly so.

        Args:
            query: what to search for.
            matches: of the same query, where they are known already; the table is searched as it
                was when they were.

        Raises:
            QueryError: the query leaves its bounds, contradicts itself or has another's cursor.
            InvalidRowError: a vector is not [dim], finite and of unit length.
            FilterError: the filter is not in the language or does not fit the columns.
        """
        query = check_query(query, self.opened.identity.dim)
        if query.objects is not None:
            return await self._find_objects(query)
        if query.text is not None and matches is None:
            matches = await self.matches(query)
        with self.opened.reading():
            snapshot = await self.snapshots.latest() if matches is None else matches.snapshot
            return await asyncio.to_thread(search, snapshot, query, matches)

    async def _find_objects(self, query: SearchQuery) -> Found:
        if self.object_snapshots is None:
            raise QueryError("this index has no objects")
        with self.opened.reading():
            snapshot = await self.snapshots.latest()
            # After the images: what these name is there then.
            objects = await self.object_snapshots.latest()
            return await asyncio.to_thread(search, snapshot, query, None, objects)

    async def object_vector(self, image_id: str, n: int) -> FloatVector | None:
        """The vector of an object of an image, float32 [dim]; None where there is none."""
        own = await self.objects(image_id)
        if own is None or self.object_snapshots is None:
            return None
        with self.opened.reading():
            snapshot = await self.object_snapshots.latest()
            return await asyncio.to_thread(vector_of, snapshot, own, n)

    async def near_duplicates(
        self, image: NewImage, min_score: float, limit: int = 10
    ) -> list[Near]:
        """The other images whose similarity to an image's vector is at least ``min_score``.

        Args:
            image: that was or will be added; its vector is float32 [dim] and of unit length.
            min_score: least similarity.
            limit: how many at most.
        """
        # On an odd address, as that of another process's message may be, LanceDB panics.
        vector = np.require(image.vector, np.float32, ["ALIGNED"])
        with self.opened.reading():
            return await self._near.answer(NearCall(vector, min_score, limit, image.id))

    async def same_pixels(self, image: NewImage) -> str | None:
        """The id of another image that has the pixels of this one, or None."""
        if image.pixels is None:
            return None
        with self.opened.reading():
            where = f"pixels = {literal(image.pixels)} AND id <> {literal(image.id)}"
            found = await self.opened.table.query().where(where).select(["id"]).limit(1).to_arrow()
        return str(found["id"][0]) if found.num_rows else None

    async def facets(self) -> list[Facet]:
        """What the metadata holds, key by key; it may lag behind a large table's changes."""
        with self.opened.reading():
            return await self._facets.latest()

    async def count(self, filter: Mapping[str, Any] | None = None) -> int:
        """How many images there are, or how many match a filter.

        Raises:
            FilterError: the filter is not in the language or does not fit the columns.
        """
        with self.opened.reading():
            if filter is None:
                return int(await self.opened.table.count_rows())
            schema = await self.opened.table.schema()
            registry = Registry.from_schema(schema, self.snapshots.finding)
            return int(await self.opened.table.count_rows(where_of(filter, registry)))


def _page(snapshot: Snapshot, query: SearchQuery, url: str | None) -> Page:
    """A page of the images, or of those of a url, and how many there are. Blocks."""
    if url is not None and not is_unicode(url):
        return Page([], 0)
    where = ALWAYS if url is None else f"url = {literal(url)}"
    page = listed(snapshot, query, where)
    registry = snapshot.registry
    images = to_images(snapshot.take(page.rows, selected(registry)), registry)
    total = snapshot.rows if url is None else len(snapshot.row_ids(where))
    return Page(images, total, next_of(snapshot, query, page, images))


def _ids(snapshot: Snapshot, where: str) -> list[str]:
    found = snapshot.dataset.scanner(columns=["id"], filter=where).to_table()
    ids: list[str] = found["id"].to_pylist()
    return ids


def _images_of(snapshot: Snapshot, ids: Sequence[str]) -> list[StoredImage | None]:
    """The image of each id, or None."""
    found = snapshot.having("id", set(ids), selected(snapshot.registry))
    images = {each.id: each for each in to_images(found, snapshot.registry)}
    return [images.get(each) for each in ids]
