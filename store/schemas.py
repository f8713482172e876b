"""What crosses the store's border: plain frozen dataclasses."""

import hashlib
from collections.abc import Mapping
from dataclasses import dataclass
from datetime import datetime
from typing import Any

import numpy as np
from numpy.typing import NDArray

FloatVector = NDArray[np.float32]
MetadataValue = str | int | float | bool | list[str]
Metadata = dict[str, MetadataValue] | str


def image_id(url: str) -> str:
    """The id of the image at ``url``: the first 32 hex digits of its UTF-8 text's SHA-256."""
    return hashlib.sha256(url.encode()).hexdigest()[:32]


@dataclass(frozen=True)
class ModelIdentity:
    """The model that makes a table's vectors.

    Attributes:
        model: open_clip architecture, such as ``ViT-B-32``.
        pretrained: a published tag, or ``sha256:<hex>`` of a checkpoint.
        dim: length of its vectors.
    """

    model: str
    pretrained: str
    dim: int

    def __str__(self) -> str:
        """The model in words, for messages."""
        return f"{self.model} ({self.pretrained}, {self.dim} dimensions)"


@dataclass(frozen=True, eq=False)
class NewImage:
    """An image to be stored.

    Attributes:
        url: where it came from; it decides the id.
        vector: float32 [dim], unit length.
        metadata: an object of typed values, a free text, or nothing. Null values count as absent.
    """

    url: str
    vector: FloatVector
    metadata: Mapping[str, Any] | str | None = None


@dataclass(frozen=True)
class Upserted:
    """An acknowledged add: ``created`` is False where it replaced the row of the same url."""

    id: str
    created: bool


@dataclass(frozen=True)
class StoredImage:
    """A row of the table.

    Attributes:
        id: see `image_id`.
        url: as it was given.
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


@dataclass(frozen=True, eq=False)
class SearchQuery:
    """What to search for.

    Attributes:
        vector: a picture's embedding, float32 [dim], unit length.
        text: plain words to describe the image or to match its stored text.
        text_vector: the embedding of ``text``, float32 [dim], unit length; goes with ``text``.
        filter: an object in the filter language of `store.filters`.
        limit: how many hits, 1 to 1000.
        offset: how many hits to leave out first, for paging.
        min_score: leaves out hits below this score.
    """

    vector: FloatVector | None = None
    text: str | None = None
    text_vector: FloatVector | None = None
    filter: Mapping[str, Any] | None = None
    limit: int = 10
    offset: int = 0
    min_score: float | None = None


@dataclass(frozen=True)
class StoreStats:
    """Counters since the index was opened, for metrics.

    Attributes:
        commits: commits of adds and deletes.
        queued: adds and deletes that wait for a commit now.
        upkeep_runs: compactions that went through.
        upkeep_failures: compactions that failed; none of them fails a request.
    """

    commits: int
    queued: int
    upkeep_runs: int
    upkeep_failures: int
