"""What a search or a detection has found."""

from dataclasses import dataclass

from image_search.results.images import IndexedObject, Metadata
from image_search.results.table import ColumnType


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
