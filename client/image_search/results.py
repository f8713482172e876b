"""What the calls return, and how it is read from the service's JSON: by the fields' types."""

import base64
from dataclasses import MISSING, dataclass, fields, is_dataclass
from datetime import datetime
from functools import cache
from typing import Any, Literal, TypeVar, cast, get_args, get_origin, get_type_hints

from image_search.moments import moment

T = TypeVar("T")

Metadata = dict[str, Any] | str | None


ColumnType = Literal["string", "integer", "float", "boolean", "timestamp", "list of strings"]
"""Of a metadata key's values."""


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
class Hit:
    """An image that was found.

    Attributes:
        score: cosine similarity, -1 to 1; None where only a filter was given.
        group_size: how many images that the filter keeps have its value; None unless grouped.
        object: in a search for objects, the best one; None where the image as a whole was better.
        objects: in one with several terms, the best one for each.
    """

    id: str
    url: str
    score: float | None
    metadata: Metadata
    group_size: int | None = None
    object: IndexedObject | None = None
    objects: tuple[IndexedObject, ...] = ()


@dataclass(frozen=True)
class FacetValue:
    """A value of a metadata key, and how many images have it."""

    value: str | bool
    count: int


@dataclass(frozen=True)
class Facet:
    """What images have under a metadata key.

    Attributes:
        count: how many have the key.
        values: of a text, a list or a boolean: the most frequent.
        more: whether there are values besides these.
        min: the least, of a number or a time.
        max: the greatest.
    """

    key: str
    type: ColumnType
    count: int
    values: tuple[FacetValue, ...] = ()
    more: bool = False
    min: float | str | None = None
    max: float | str | None = None


@dataclass(frozen=True)
class Found:
    """A page of a search.

    Attributes:
        results: best first, or in the order that was asked for.
        next: cursor of the page behind; None on the last one, and of a picture or a text.
        total: how many images the filter keeps, if that was asked.
        facets: of the keys that were asked for, under the filter.
    """

    results: tuple[Hit, ...]
    next: str | None = None
    total: int | None = None
    facets: tuple[Facet, ...] = ()


@dataclass(frozen=True)
class Detection:
    """An object in a picture; `xyxy` are its left, top, right and bottom in pixels."""

    xyxy: tuple[float, float, float, float]
    confidence: float
    class_id: int
    class_name: str


@dataclass(frozen=True)
class Detections:
    """The objects in a picture of this size, surest first; `more`: there are others besides."""

    width: int
    height: int
    detections: tuple[Detection, ...]
    more: bool = False


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
class Model:
    """The model that makes the vectors."""

    name: str
    pretrained: str


@dataclass(frozen=True)
class Detector:
    """What finds the objects, and how they are cut out of their picture."""

    name: str
    recipe: str


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


@dataclass(frozen=True)
class Upkeep:
    """The last round of upkeep; `result` is `ok`, or one line about what failed."""

    finished_at: datetime
    seconds: float
    result: str
    did: tuple[str, ...]


@dataclass(frozen=True)
class IndexedObjects:
    """The objects of the index: who found them and how, and how many there are in the images.

    Attributes:
        earlier: of the images: looked into with another detector before.
    """

    detector: str
    recipe: str
    images: int
    objects: int
    earlier: int = 0


@dataclass(frozen=True)
class IndexStatus:
    """State of the index; docs/api.md says what the numbers mean. `objects` is None without any."""

    rows: int
    dim: int
    model: Model
    columns: dict[str, str]
    fragments: int
    vector_index: str | None
    indexed_rows: int
    unindexed_rows: int
    size_bytes: int | None
    version: int
    estimated_recall: float | None
    upkeep: Upkeep | None
    objects: IndexedObjects | None = None


@dataclass(frozen=True)
class Version:
    """A version of the index; `rows` is None where it is not recorded."""

    version: int
    created_at: datetime
    rows: int | None


@dataclass(frozen=True)
class Change:
    """A change of the index: what one request did with one commit.

    Attributes:
        key: name of the API key that made it.
        action: `add`, `replace`, `patch`, `delete`, `delete_matching`, `restore`, `undo`, ...
        count: how many images it changed; `ids` has at most a thousand of them.
        version: None while it is made, and where the service's process ended meanwhile.
        filter: of `delete_matching`.
        restored: version that a `restore` went back to.
        undone: key whose changes an `undo` took back.
        column: metadata key of a `drop_column` or a `declare_column`.
        type: that the key was given by a `declare_column`.
        imported: whether whole rows of an export were put in.
    """

    at: datetime
    key: str | None
    address: str | None
    request_id: str | None
    table: str
    action: str
    count: int
    version_before: int
    version: int | None
    ids: tuple[str, ...]
    filter: dict[str, Any] | None = None
    restored: int | None = None
    undone: str | None = None
    column: str | None = None
    type: ColumnType | None = None
    imported: bool = False


@dataclass(frozen=True)
class ChangePage:
    """Some changes, newest first, and whether there are earlier ones."""

    changes: tuple[Change, ...]
    more: bool


@dataclass(frozen=True)
class LeftAsItIs:
    """What was not undone, and why; `id` is None where it is not about one image."""

    id: str | None
    reason: str


@dataclass(frozen=True)
class Undone:
    """What became of undoing a key's changes; `left` has at most a thousand of `left_total`."""

    dry_run: bool
    removed: int
    restored: int
    left: tuple[LeftAsItIs, ...]
    left_total: int


_field_types = cache(get_type_hints)


def read(kind: type[T], value: Any) -> T:
    """Make a value of a type of a JSON document; keys that a later service adds are ignored.

    Raises:
        KeyError: a key is missing that has no default.
        TypeError: an object or a list is something else.
        ValueError: a time cannot be read.
    """
    return cast(T, _read(kind, value))


def _read(kind: Any, value: Any) -> Any:
    if isinstance(kind, type) and is_dataclass(kind):
        types = _field_types(kind)
        given = [one for one in fields(kind) if one.name in value or one.default is MISSING]
        return kind(**{one.name: _read(types[one.name], value[one.name]) for one in given})
    if kind is datetime:
        return moment(value)
    if kind is bytes:
        return base64.b64decode(value, validate=True)
    parts = get_args(kind)
    if get_origin(kind) in {list, tuple}:
        return get_origin(kind)(_read(parts[0], one) for one in value)
    if len(parts) == 2 and parts[1] is type(None):
        return None if value is None else _read(parts[0], value)
    return value
