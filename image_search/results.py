"""What the calls return, and how it is read from the service's JSON.

The readers raise KeyError, TypeError or ValueError on a document of another shape; the one who
calls them (`image_search.answers`) makes one error of these.
"""

from dataclasses import dataclass
from datetime import datetime
from typing import Any

Metadata = dict[str, Any] | str | None


@dataclass(frozen=True)
class NearDuplicate:
    """An indexed image that is much like the one that was added."""

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
        near_duplicates: images that are much like it, nearest first.
    """

    id: str
    created: bool
    skipped: bool = False
    duplicate_of: str | None = None
    near_duplicates: tuple[NearDuplicate, ...] = ()


@dataclass(frozen=True)
class NotAdded:
    """An image of many that could not be added, and why."""

    url: str | None
    message: str
    code: str


@dataclass(frozen=True)
class Hit:
    """An image that was found; `score` is None where only a filter was given."""

    id: str
    url: str
    score: float | None
    metadata: Metadata


@dataclass(frozen=True)
class Detection:
    """An object in a picture; `xyxy` are its left, top, right and bottom in pixels."""

    xyxy: tuple[float, float, float, float]
    confidence: float
    class_id: int
    class_name: str


@dataclass(frozen=True)
class Detections:
    """The objects in a picture of this size."""

    width: int
    height: int
    detections: tuple[Detection, ...]


@dataclass(frozen=True)
class Image:
    """An image of the index; `created_at` is when it was last added."""

    id: str
    url: str
    metadata: Metadata
    created_at: datetime


@dataclass(frozen=True)
class Page:
    """Some images, newest first, and how many there are in all."""

    images: tuple[Image, ...]
    total: int


@dataclass(frozen=True)
class Model:
    """What makes the vectors."""

    name: str
    pretrained: str


@dataclass(frozen=True)
class Upkeep:
    """The last round of upkeep; `result` is `ok`, or one line about what failed."""

    finished_at: datetime
    seconds: float
    result: str
    did: tuple[str, ...]


@dataclass(frozen=True)
class IndexStatus:
    """The table as it is now; docs/api.md says what the numbers mean."""

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


@dataclass(frozen=True)
class Version:
    """A version of the table; `rows` is None where that is not written down."""

    version: int
    created_at: datetime
    rows: int | None


def added(document: Any) -> Added:
    """Read the answer to an add."""
    near = document.get("near_duplicates", [])
    return Added(
        document["id"],
        document["created"],
        document.get("skipped", False),
        document.get("duplicate_of"),
        tuple(NearDuplicate(one["id"], one["url"], one["score"]) for one in near),
    )


def added_or_not(document: Any) -> Added | NotAdded:
    """Read one of the results of an add of many."""
    if "message" in document:
        return NotAdded(document["url"], document["message"], document["code"])
    return added(document)


def hit(document: Any) -> Hit:
    """Read a result of a search."""
    return Hit(document["id"], document["url"], document["score"], document["metadata"])


def detections(document: Any) -> Detections:
    """Read the objects of a picture."""
    found = [
        Detection(tuple(one["xyxy"]), one["confidence"], one["class_id"], one["class_name"])
        for one in document["detections"]
    ]
    return Detections(document["width"], document["height"], tuple(found))


def image(document: Any) -> Image:
    """Read an image."""
    created_at = datetime.fromisoformat(document["created_at"])
    return Image(document["id"], document["url"], document["metadata"], created_at)


def page(document: Any) -> Page:
    """Read a part of the list of all images."""
    return Page(tuple(map(image, document["images"])), document["total"])


def version(document: Any) -> Version:
    """Read a version of the table."""
    created_at = datetime.fromisoformat(document["created_at"])
    return Version(document["version"], created_at, document["rows"])


def status(document: Any) -> IndexStatus:
    """Read the state of the table; fields that a later service adds are left out."""
    model, upkeep = document["model"], document["upkeep"]
    plain = {
        name: document[name]
        for name in IndexStatus.__dataclass_fields__
        if name not in {"model", "upkeep"}
    }
    return IndexStatus(
        **plain,
        model=Model(model["name"], model["pretrained"]),
        upkeep=None if upkeep is None else _upkeep(upkeep),
    )


def _upkeep(document: Any) -> Upkeep:
    finished_at = datetime.fromisoformat(document["finished_at"])
    return Upkeep(finished_at, document["seconds"], document["result"], tuple(document["did"]))
