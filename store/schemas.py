"""What crosses the store's border: plain frozen dataclasses."""

import hashlib
import re
from collections.abc import Collection, Mapping
from dataclasses import dataclass
from datetime import datetime
from functools import cached_property
from typing import Any

import numpy as np
from numpy.typing import NDArray

from store.errors import MetadataLimitError

FloatVector = NDArray[np.float32]
MetadataValue = str | int | float | bool | list[str]
Metadata = dict[str, Any] | str
"""An object of values by key, which may hold such objects itself; or a text."""

MAX_METADATA_CHARS = 65_536
TEXT_KEY = "$text"
"""Of an object: its free text, which is no key."""
OBJECTS_KEY = "$objects"
"""Of a filter: what the image shows."""
MAX_LIMIT = 1000
MAX_OFFSET = 10_000
MAX_SORT_KEYS = 4
MAX_TEXT_CHARS = 10_000
MOST_OBJECTS = 100
"""Of an image."""


MAX_OWN_ID_CHARS = 128
ID_RULE = "1 to 128 of the characters A-Z a-z 0-9 . _ : - and not just . or .."
_ID = re.compile(rf"[A-Za-z0-9._:-]{{1,{MAX_OWN_ID_CHARS}}}", re.ASCII)


def is_id(text: str) -> bool:
    """Whether an image may be called so: `ID_RULE`. What is but dots is a step in an address."""
    return _ID.fullmatch(text) is not None and text not in {".", ".."}


def image_id(url: str) -> str:
    """The id of the image at ``url``: the first 32 hex digits of its UTF-8 text's SHA-256."""
    return hashlib.sha256(url.encode()).hexdigest()[:32]


@dataclass(frozen=True)
class Author:
    """Who changes the table, for the change log; nobody in particular without anything.

    Attributes:
        key: the name of their API key.
        address: their IP address.
        request_id: of the request.
    """

    key: str | None = None
    address: str | None = None
    request_id: str | None = None


NOBODY = Author()


@dataclass(frozen=True)
class ModelIdentity:
    """The model that makes a table's vectors of length `dim`.

    Attributes:
        model: open_clip architecture, such as ``ViT-B-32``.
        pretrained: a published tag, or ``sha256:<hex>`` of a checkpoint.
    """

    model: str
    pretrained: str
    dim: int

    def __str__(self) -> str:
        """The model in words, for messages."""
        return f"{self.model} ({self.pretrained}, {self.dim} dimensions)"


class NewKeys:
    """The metadata keys that one request brings to a table: only so many, whatever is in it.

    A table has room for a hundred, and a key stays until it is dropped.

    Args:
        most: how many.
    """

    def __init__(self, most: int) -> None:
        self._most = most
        self._keys: frozenset[str] = frozenset()

    def take(self, keys: Collection[str], known: Collection[str]) -> None:
        """Counts those of some keys that the table does not know yet.

        Raises:
            MetadataLimitError: they are too many, together with those before.
        """
        keys = self._keys.union(key for key in keys if key not in known)
        if len(keys) > self._most:
            raise MetadataLimitError(
                f"one request may bring at most {self._most} new metadata keys, and this one has"
                f" {len(keys)}: send some of them with a request before, or raise"
                " IMAGE_SEARCH_MAX_NEW_KEYS"
            )
        self._keys = keys


@dataclass(frozen=True)
class Detector:
    """What the objects of an index are made with: those of two detectors are never compared.

    Attributes:
        name: of the weights, or ``sha256:<hex>`` of a file.
        recipe: how objects are cut out of their picture for the embedder.
    """

    name: str
    recipe: str

    def __str__(self) -> str:
        """The detector in words, for messages."""
        return f"{self.name} ({self.recipe})"


@dataclass(frozen=True)
class ObjectBox:
    """An object in a picture; the edges `xyxy` are shares of the picture's sides, 0 to 1."""

    class_name: str
    confidence: float
    xyxy: tuple[float, float, float, float]


@dataclass(frozen=True)
class ObjectSet:
    """The objects of an image, in the order in which they are numbered.

    Attributes:
        size: width and height of the upright picture, in pixels.
        boxes: of the objects.
        left_out: how many more the detector found.
        key: names the vectors of these objects; of nobody else's, and never again.
    """

    size: tuple[int, int]
    boxes: tuple[ObjectBox, ...]
    left_out: int
    key: str


@dataclass(frozen=True, eq=False)
class NewObjects:
    """The objects of an image that is to be stored.

    Attributes:
        size: as `ObjectSet` has it, and so are `boxes` and `left_out`.
        vectors: of the objects, float32 [objects, dim], unit length.
    """

    size: tuple[int, int]
    boxes: tuple[ObjectBox, ...]
    left_out: int
    vectors: FloatVector


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
class Hit:
    """A search result.

    Attributes:
        score: cosine similarity to the query's vector, -1 to 1, rounded to six digits because
            float32 carries no more; None where a search has no vector.
    """

    id: str
    url: str
    score: float | None
    metadata: Metadata | None
    created_at: datetime


@dataclass(frozen=True)
class GroupedHit(Hit):
    """The best search result of a group.

    Attributes:
        group_size: how many images that the filter keeps are in the group.
    """

    group_size: int


@dataclass(frozen=True)
class ObjectHit(Hit):
    """An image that a search for objects has found.

    Attributes:
        looked_into: the objects of the image; None where nobody has looked.
        numbers: of its best object for each term; none where it is the whole image that counts.
    """

    looked_into: ObjectSet | None
    numbers: tuple[int, ...]


@dataclass(frozen=True)
class GroupedObjectHit(ObjectHit):
    """The best one of a group; `group_size` is that of a `GroupedHit`."""

    group_size: int


@dataclass(frozen=True)
class Near:
    """An image that is much like another; the score is that of a `Hit`."""

    id: str
    url: str
    score: float


@dataclass(frozen=True, eq=False)
class CheckedFilter:
    """A filter that `ImageIndex.check_filter` has compiled, so that a search need not.

    Attributes:
        filter: an object in the filter language of `store.metadata.filters`.
        where: its SQL predicate.
        columns: of the table that it was compiled for.
    """

    filter: Mapping[str, Any]
    where: str
    columns: tuple[Any, ...]


@dataclass(frozen=True, eq=False)
class ObjectTerm:
    """What an object is to look like.

    Attributes:
        vector: float32 [dim], unit length.
        weight: positive.
        is_text: whether it is a text's vector, which lies far from those of pictures.
    """

    vector: FloatVector
    weight: float = 1.0
    is_text: bool = False


@dataclass(frozen=True, eq=False)
class ObjectQuery:
    """A search for objects.

    Attributes:
        terms: each is matched by an image's own best object; the image's score is their weighted
            mean.
        only: which objects may match, in the filter language of `store.metadata.filters`, by
            ``class_name``, ``confidence`` and, as shares of the picture's, ``area``, ``x``, ``y``.
        both: whether an image counts by its own vector where that is nearer to the query's.
    """

    terms: tuple[ObjectTerm, ...]
    only: Mapping[str, Any] | None = None
    both: bool = False


@dataclass(frozen=True, eq=False)
class SearchQuery:
    """What to search for.

    Attributes:
        vector: a picture's embedding, float32 [dim], unit length.
        text: plain words to describe the image or to match its stored text.
        text_vector: the embedding of ``text``, float32 [dim], unit length; goes with ``text``.
        filter: an object in the filter language of `store.metadata.filters`, compiled or not.
        limit: how many hits, 1 to 1000.
        offset: how many hits to leave out first, for paging.
        min_score: leaves out hits below this score.
        cutoff: leaves out what is irrelevant for this very query; see `store.search.cutoff`.
        sort: metadata keys to sort by, see `store.search.lists.ordering`; nothing for the best, or
            without a picture and a text the newest, first.
        cursor: goes on behind the last image of another page; not with a picture or a text.
        total: tell how many images the filter keeps.
        facets: metadata keys whose values under the filter are told.
        group_by: metadata key; of each of its values the best hit only.
        distinct: of images with the same pixels the best hit only.
        objects: search among the objects in the images; ``vector`` is then for the images
            themselves, where they count, too.
    """

    vector: FloatVector | None = None
    text: str | None = None
    text_vector: FloatVector | None = None
    filter: Mapping[str, Any] | CheckedFilter | None = None
    limit: int = 10
    offset: int = 0
    min_score: float | None = None
    cutoff: bool = False
    sort: tuple[str, ...] = ()
    cursor: str | None = None
    total: bool = False
    facets: tuple[str, ...] = ()
    group_by: str | None = None
    distinct: bool = False
    objects: ObjectQuery | None = None


@dataclass(frozen=True)
class Found:
    """What a search has found.

    Attributes:
        hits: best first, or sorted.
        next: cursor of the page behind; None where there is none, or of a picture or a text.
        total: how many images the filter keeps, if that was asked.
        facets: the values of the keys that were asked for.
    """

    hits: "list[Hit]"
    next: str | None = None
    total: int | None = None
    facets: "list[Facet] | None" = None


@dataclass(frozen=True)
class Page:
    """Some images, newest first, how many there are in all, and the cursor of the page behind."""

    images: list[StoredImage]
    total: int
    next: str | None = None


@dataclass(frozen=True)
class TableVersion:
    """A version of the table that can be restored; each commit makes one.

    Attributes:
        created_at: when it was committed, in UTC.
        rows: how many images it holds; None where that is not written down.
    """

    version: int
    created_at: datetime
    rows: int | None


@dataclass(frozen=True)
class Facet:
    """What the images have under one metadata key.

    Attributes:
        type: as in `IndexState.columns`.
        count: how many images have the key.
        values: of a text, a list of strings or a boolean: the most frequent values, and how many
            images have each.
        more: whether there are values besides these.
        min: the least, of a number or a timestamp.
        max: the greatest.
    """

    key: str
    type: str
    count: int
    values: list[tuple[str | bool, int]] | None = None
    more: bool = False
    min: MetadataValue | None = None
    max: MetadataValue | None = None


@dataclass(frozen=True)
class ClassCount:
    """A class of objects: how many images have one, and how many objects there are of it."""

    class_name: str
    images: int
    objects: int


@dataclass(frozen=True)
class ObjectsState:
    """The objects of an index.

    Attributes:
        detector: that finds them.
        images: how many were looked into.
        classes: of the objects that were found, those that most images have first.
        earlier: how many of the images were looked into with another detector, before.
    """

    detector: Detector
    images: int
    classes: tuple[ClassCount, ...]
    earlier: int = 0

    @property
    def objects(self) -> int:
        """How many there are."""
        return sum(each.objects for each in self.classes)


@dataclass(frozen=True)
class UpkeepReport:
    """How the last round of upkeep went, whichever process did it.

    Attributes:
        finished_at: in UTC.
        result: ``ok``, or one line about what failed.
        did: what was done, such as ``compacted 31 fragments`` or ``built the vector index``.
        recall: recall@10 of the vector index against exact search on a sample of the rows; 1.0
            while there is no vector index, None where it was not measured yet.
    """

    finished_at: datetime
    seconds: float
    result: str
    did: list[str]
    recall: float | None


@dataclass(frozen=True)
class IndexState:
    """The table as it is now, for people and for monitoring.

    Attributes:
        columns: the metadata keys with their types, ``string``, ``list of strings`` and so on.
        fragments: files of rows; many make searches slow, upkeep joins them.
        vector_index: its kind, such as ``IVF_RQ``; None while searches are exact.
        indexed_rows: rows that the vector index holds.
        unindexed_rows: rows that are searched without it, exactly.
        size_bytes: of the table on disk, old versions and indexes included, pictures not; None on
            an object store.
        upkeep: the last round of upkeep; None before the first.
    """

    rows: int
    model: ModelIdentity
    columns: dict[str, str]
    fragments: int
    vector_index: str | None
    indexed_rows: int
    unindexed_rows: int
    size_bytes: int | None
    version: int
    upkeep: UpkeepReport | None


@dataclass(frozen=True)
class StoreStats:
    """Counters of this process since it opened the index, for metrics.

    Attributes:
        queued: operations that wait for a commit now.
        conflicts: commits that were repeated because another process came first.
        upkeep_runs: rounds of upkeep that went through.
        upkeep_failures: rounds that failed; none of them fails a request.
    """

    commits: int
    queued: int
    conflicts: int
    upkeep_runs: int
    upkeep_failures: int


class Observer:
    """Metrics hooks that do nothing; override to observe. They must not block or raise."""

    def committed(self, operations: int, seconds: float) -> None:
        """A group of operations is on the disk; the time includes waiting for other processes."""

    def upkeep_done(self, seconds: float) -> None:
        """A round of upkeep is over."""
