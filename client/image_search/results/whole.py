"""Images whole, as an export has them and an import takes them."""

from dataclasses import dataclass
from datetime import datetime

from image_search.results.images import Metadata
from image_search.results.table import Detector, Model


@dataclass(frozen=True)
class WholeObject:
    """An object of an exported image; `xyxy` are shares of the picture's width and height."""

    class_name: str
    confidence: float
    xyxy: tuple[float, float, float, float]


@dataclass(frozen=True)
class WholeObjects:
    """The objects of an exported image; `vectors` are theirs, one after the other.

    Attributes:
        width: of the upright picture, in pixels.
        height: likewise.
        left_out: objects that were found and are not indexed.
    """

    width: int
    height: int
    left_out: int
    objects: tuple[WholeObject, ...]
    vectors: bytes


@dataclass(frozen=True)
class WholeImage:
    """An image with all that the index has of it, but its own file.

    Attributes:
        vector: float32 [dim], little-endian, of unit length.
        pixels: digest of its pixels, by which duplicates are told; None where it is not known.
        original: SHA-256 of its own file, where that is stored.
        thumbnail: its JPEG file, where there is one.
        objects: of it, with their vectors; None where nobody has looked for them.
    """

    id: str
    url: str
    metadata: Metadata
    created_at: datetime
    vector: bytes
    pixels: str | None = None
    original: str | None = None
    thumbnail: bytes | None = None
    objects: WholeObjects | None = None


@dataclass(frozen=True)
class NotImported:
    """An image of many that was not put into the index, and why."""

    id: str | None
    message: str
    code: str


@dataclass(frozen=True)
class ExportPage:
    """Some images of the index as it was at one version.

    Attributes:
        total: images of this version, on all pages.
        columns: metadata keys and their types.
        next: the cursor of the next page; None on the last.
        detector: that found the objects; None where there are none.
    """

    rows: tuple[WholeImage, ...]
    total: int
    version: int
    model: Model
    dim: int
    columns: dict[str, str]
    next: str | None = None
    detector: Detector | None = None
