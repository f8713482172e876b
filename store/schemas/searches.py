"""Searches and what they find: queries, hits, facets."""

from collections.abc import Mapping
from dataclasses import dataclass
from datetime import datetime
from typing import Any

from store.schemas.objects import ObjectSet
from store.schemas.values import FloatVector, Metadata, MetadataValue


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
