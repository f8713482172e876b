"""Images, as they are given and as they are stored."""

from dataclasses import dataclass
from datetime import datetime
from functools import cached_property
from typing import Any

from store.schemas.objects import NewObjects
from store.schemas.values import FloatVector, Metadata, image_id


@dataclass(frozen=True, eq=False)
class NewImage:
    """An image to be stored.

    Attributes:
        url: where it came from; it decides the id of an image without an `own_id`.
        vector: float32 [dim], unit length.
        metadata: an object of typed values, a free text, or nothing; or what
            `ImageIndex.check_metadata` made of that. Null values count as absent.
        pixels: digest of the decoded pixels, the same for pictures that are the same pixel by
            pixel; None where it is not known, which is no duplicate of anything.
        skip_duplicate: leave a new image out if another one has the same pixels.
        thumbnail: a small copy, a file to be stored; needs ``pixels``, as 64 hexadecimal digits.
        file: what `ImageIndex.keep_original` has called the picture's own file, if it is stored.
        own_id: what its owner calls it; None to have it called by its url.
        created_at: of an image that was in an index before, in UTC; None for now.
        objects: that are in it; None where nobody has looked.
    """

    url: str
    vector: FloatVector
    metadata: Any = None
    pixels: str | None = None
    skip_duplicate: bool = False
    thumbnail: bytes | None = None
    file: str | None = None
    own_id: str | None = None
    created_at: datetime | None = None
    objects: NewObjects | None = None

    @cached_property
    def id(self) -> str:
        """What the row is called."""
        return image_id(self.url) if self.own_id is None else self.own_id


@dataclass(frozen=True)
class StoredFile:
    """A file of an image, its thumbnail or its original; only the same file has the same key."""

    key: str
    data: bytes


@dataclass(frozen=True)
class Upserted:
    """An acknowledged add.

    Attributes:
        id: of the image; of a skipped one, the id of the image that it duplicates.
        created: False where it replaced the row of the same id, or was skipped.
        duplicate_of: the oldest image with another id that has the same pixels.
        skipped: nothing was written, because of `NewImage.skip_duplicate`.
    """

    id: str
    created: bool
    duplicate_of: str | None = None
    skipped: bool = False


@dataclass(frozen=True)
class StoredImage:
    """A row of the table.

    Attributes:
        created_at: when the row was last added, in UTC.
        metadata: the object or the text that was given. An object without any value is None.
    """

    id: str
    url: str
    created_at: datetime
    metadata: Metadata | None


@dataclass(frozen=True)
class Page:
    """Some images, newest first, how many there are in all, and the cursor of the page behind."""

    images: list[StoredImage]
    total: int
    next: str | None = None
