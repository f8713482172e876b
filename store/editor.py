"""Write side of the index: adds, changes and deletes images, declares and drops keys."""

import asyncio
import hashlib
from collections.abc import Iterable, Mapping
from dataclasses import replace
from typing import Any

from store.errors import QueryError
from store.metadata.filters import refuse_broad
from store.metadata.given import check_key
from store.metadata.rows import check_id, check_objects, check_url, check_vector
from store.metadata.values import ColumnType, is_unicode
from store.objects.table import ObjectTable
from store.schemas import NOBODY, Author, NewImage, NewObjects, StoredImage, Upserted
from store.search.checks import refuse_empty
from store.search.reader import Reader
from store.upkeep.scheduler import Upkeep
from store.write.operations import (
    DeclareColumn,
    Delete,
    DeleteMatching,
    DeleteUrls,
    DropColumn,
    Patch,
    PatchMatching,
    PutObjects,
    Upsert,
)
from store.write.writer import Writer

PATCHED_AT_ONCE = 2000
"""Images of one operation: other writes wait for it."""


class Editor(Reader):
    """What changes the table, each after its commit.

    From then on every search finds it, and killing the process does not lose it.
    """

    _writer: Writer
    _upkeep: Upkeep
    _objects: ObjectTable | None

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
