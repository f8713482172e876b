"""Searches for objects: images by the best of their objects, each with the object that it is."""

from collections.abc import Sequence
from functools import cached_property

import numpy as np
from numpy.typing import NDArray

from store.metadata.object_filters import object_condition
from store.metadata.objects import COLUMNS, KEY, has_objects, object_sets
from store.metadata.predicates import ALWAYS
from store.metadata.rows import scores_of, selected, to_hits
from store.objects.names import object_id
from store.schemas import (
    FloatVector,
    GroupedObjectHit,
    ObjectHit,
    ObjectQuery,
    ObjectSet,
    SearchQuery,
)
from store.search.cutoff import KEEP_ALL, NEAREST, cutoff_score
from store.search.objects.best import BestObjects
from store.search.objects.scored import ScoredImages, none_of, or_whole
from store.search.pages import Ranked, page_of
from store.search.vectors.nearest import depth_of, nearest
from store.snapshot.fragments import RowIds, distances
from store.snapshot.known import sampled
from store.snapshot.snapshot import SAMPLE_ROWS, Snapshot


def vector_of(objects: Snapshot, own: ObjectSet, n: int) -> FloatVector | None:
    """The vector of an object of an image, float32 [dim]; None where there is none. Blocks."""
    rows, _ = objects.rows_having("id", [object_id(own.key, n)])
    return objects.vectors(rows)[0] if len(rows) else None


def object_hits(
    images: Snapshot, objects: Snapshot, query: SearchQuery, where: str
) -> list[ObjectHit]:
    """The page of a search for objects, the best first.

    Args:
        images: to search.
        objects: of the table of objects, at a version no older.
        query: checked, with `objects`.
        where: its filter, compiled.

    Raises:
        FilterError: what is said of the objects is no condition on one.
    """
    asked = query.objects
    assert asked is not None  # noqa: S101 - else it is another search
    ranking = _Ranking(images, objects, asked, query.vector if asked.both else None)
    best = page_of(images, query, where, ranking)
    numbers = [ranking.numbers[row] for row in best.rows.tolist()]
    return _hits(images, best, numbers)


class _Ranking:
    """Ranks images by their objects; `store.search.pages.Ranking`.

    Args:
        images: to search.
        objects: of the table of objects.
        asked: what is looked for.
        whole: the vector that the images themselves are compared with, where they count, too.

    Attributes:
        numbers: of the best object for each term, by the rows that were on a page.
    """

    def __init__(
        self, images: Snapshot, objects: Snapshot, asked: ObjectQuery, whole: FloatVector | None
    ) -> None:
        self.numbers: dict[int, list[int]] = {}
        self._images, self._objects, self._terms = images, objects, asked.terms
        self._whole, self._everywhere = whole, any(term.is_text for term in asked.terms)
        self._what = object_condition(asked.only) if asked.only is not None else ALWAYS

    def page(self, query: SearchQuery, where: str) -> tuple[RowIds, NDArray[np.float64]]:
        stop = query.offset + query.limit
        found = self._best(where, max(stop, NEAREST) if query.cutoff else stop)
        least = KEEP_ALL if query.min_score is None else query.min_score
        if query.cutoff and len(found.rows):
            least = max(least, self._cutoff(found))
        if least > KEEP_ALL:
            found = found.at(np.flatnonzero(found.scores >= least))
        rows, _ = self._images.ranked(found.rows, -found.scores, slice(query.offset, stop))
        best = found.of(rows)
        self.numbers |= zip(rows.tolist(), best.numbers.tolist(), strict=True)
        return best.rows, best.scores

    def window(self, query: SearchQuery) -> int:
        return depth_of(2 * (query.offset + query.limit)).rows

    def _best(self, where: str, stop: int) -> ScoredImages:
        found = none_of(len(self._terms))
        if has_objects(self._images.dataset.schema):
            search = BestObjects(self._images, self._objects, self._terms, where)
            found = search.best(self._what, stop)
        if self._whole is not None:
            page = slice(0, stop)
            near = nearest(self._images, self._whole, page, where, everywhere=self._everywhere)
            found = or_whole(found, *near)
        return found

    def _cutoff(self, found: ScoredImages) -> float:
        """The least score of a relevant image; see `store.search.cutoff`.

        What is usual for the search is told by the best objects of some images, as what is found
        is: the best of several is better than any one of them usually is.
        """
        falling = np.sort(found.scores)[::-1][:NEAREST]
        return cutoff_score(falling, self._usual.astype(np.float32), self._images.rows)

    @cached_property
    def _usual(self) -> NDArray[np.float64]:
        images, scores = self._images, dict[str, float]()
        places = sampled(images.rows, SAMPLE_ROWS)
        keys: list[str | None] = [None] * len(places)
        if has_objects(images.dataset.schema):
            keys = images.dataset.take(places.tolist(), columns=[KEY])[KEY].to_pylist()
            search = BestObjects(images, self._objects, self._terms, ALWAYS)
            scores = search.scores_of([key for key in keys if key is not None], self._what)
        own = np.array([scores.get(key or "", KEEP_ALL) for key in keys])
        if self._whole is None:
            return own[own > KEEP_ALL]
        return np.asarray(np.maximum(own, scores_of(distances(images.sample, self._whole))))


def _hits(images: Snapshot, best: Ranked, numbers: Sequence[Sequence[int]]) -> list[ObjectHit]:
    columns = [*selected(images.registry), *(COLUMNS if has_objects(images.dataset.schema) else ())]
    rows = images.take(best.rows, columns)
    hits, sets = to_hits(rows, best.scores, images.registry), object_sets(rows)
    found = [
        ObjectHit(**vars(hit), looked_into=own, numbers=tuple(n for n in those if n >= 0))
        for hit, own, those in zip(hits, sets, numbers, strict=True)
    ]
    if best.sizes is None:
        return found
    return [
        GroupedObjectHit(**vars(hit), group_size=size)
        for hit, size in zip(found, best.sizes, strict=True)
    ]
