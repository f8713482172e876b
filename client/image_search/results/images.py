"""Images of the index, one by one: added, stored, and the objects in them."""

from dataclasses import dataclass
from datetime import datetime
from typing import Any

Metadata = dict[str, Any] | str | None


@dataclass(frozen=True)
class NearDuplicate:
    """An indexed image that looks much like the one that was added."""

    id: str
    url: str
    score: float


@dataclass(frozen=True)
class Added:
    """An image that is in the index.

    Attributes:
        id: made from the url; where it was skipped, of the image that is there.
        created: False where the url was known and its row was replaced.
        skipped: nothing was written, as `on_duplicate` asked for.
        duplicate_of: id of the oldest image with the same pixels under another url.
        near_duplicates: images that look much like it, nearest first.
        exif: what the picture's EXIF added to the metadata, where that was asked for.
        objects: how many objects of it are indexed, where the service indexes them.
        objects_left_out: how many were found and are not.
    """

    id: str
    created: bool
    skipped: bool = False
    duplicate_of: str | None = None
    near_duplicates: tuple[NearDuplicate, ...] = ()
    exif: dict[str, Any] | None = None
    objects: int | None = None
    objects_left_out: int = 0


@dataclass(frozen=True)
class NotAdded:
    """An image of many that could not be added, and why."""

    url: str | None
    message: str
    code: str


@dataclass(frozen=True)
class IndexedObject:
    """An object of an indexed image.

    Attributes:
        n: what it is called there.
        xyxy: left, top, right and bottom in pixels of the upright picture.
    """

    n: int
    class_name: str
    confidence: float
    xyxy: tuple[float, float, float, float]


@dataclass(frozen=True)
class ImageObjects:
    """The objects of an image, the largest and surest first.

    Attributes:
        detected: whether the image was looked into at all.
        left_out: objects that were found and are not indexed.
        width: of the picture, in pixels; None where it was not looked into.
        height: likewise.
        found_by: detector of before that found them; None where it is that of now.
    """

    objects: tuple[IndexedObject, ...]
    detected: bool
    left_out: int
    width: int | None
    height: int | None
    found_by: str | None = None


@dataclass(frozen=True)
class Image:
    """An image of the index; `created_at` is when it was last added."""

    id: str
    url: str
    metadata: Metadata
    created_at: datetime


@dataclass(frozen=True)
class Page:
    """Some images, newest first, how many there are in all, and the cursor of the page behind."""

    images: tuple[Image, ...]
    total: int
    next: str | None = None
