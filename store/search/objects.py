"""Searches for objects: images by the best of their objects, each with the object that it is.

The objects nearest to a vector come from the table of objects. Which images name them is looked up
in the snapshot of the images that the rest of the search reads: what none of them names, or a
filter leaves out, does not count. As many objects are looked at as probably do, and more where they
did not; where a filter leaves few images, theirs alone. All of this blocks.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from functools import cached_property

import numpy as np
from numpy.typing import NDArray

from store.metadata.object_filters import object_condition
from store.metadata.objects import COLUMNS, KEY, has_objects, object_sets
from store.metadata.predicates import ALWAYS
from store.metadata.rows import as_matrix, scores_of, selected, to_hits
from store.metadata.values import text_in
from store.objects.names import object_id
from store.schemas import (
    FloatVector,
    GroupedObjectHit,
    ObjectHit,
    ObjectQuery,
    ObjectSet,
    ObjectTerm,
    SearchQuery,
)
from store.search.cutoff import KEEP_ALL, NEAREST, cutoff_score
from store.search.objects_among import best_among, can_look, mean_of
from store.search.pages import Ranked, page_of
from store.search.vectors.nearest import FEW_ROWS, depth_of, nearest
from store.snapshot.fragments import ROW_ID, RowIds, distances
from store.snapshot.known import sampled
from store.snapshot.snapshot import SAMPLE_ROWS, Snapshot

FEW_IMAGES = 4000
"""Of which the objects are looked through alone: as many keys take 12 ms in a predicate."""

_PER_IMAGE = 3
"""Objects that are looked at first for each image that is wanted."""

_LEAST, _MOST, _GROWTH = 32, 16_384, 8
_MOST_OF_SEVERAL = 1024
"""Objects that are looked at for each of several terms: theirs are all compared with all terms."""


@dataclass(frozen=True, eq=False)
class _Images:
    """Images with the best of their objects, in any order.

    Attributes:
        rows: uint64 [images].
        scores: float64 [images].
        numbers: of the best object for each term, int64 [images, terms].
    """

    rows: RowIds
    scores: NDArray[np.float64]
    numbers: NDArray[np.int64]

    @property
    def parts(self) -> tuple[RowIds, NDArray[np.float64], NDArray[np.int64]]:
        """What it is made of."""
        return self.rows, self.scores, self.numbers

    def at(self, places: NDArray[np.int64]) -> "_Images":
        """Some of them, by their places."""
        return _Images(self.rows[places], self.scores[places], self.numbers[places])

    def of(self, rows: RowIds) -> "_Images":
        """Some of them in an order, by their rows."""
        place_of = {row: place for place, row in enumerate(self.rows.tolist())}
        return self.at(np.array([place_of[row] for row in rows.tolist()], np.int64))


@dataclass(frozen=True, eq=False)
class _Nearest:
    """The objects nearest to a term: their sets, their numbers there, and scores that fall."""

    keys: list[str]
    numbers: NDArray[np.int64]
    scores: NDArray[np.float64]


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

    def _best(self, where: str, stop: int) -> _Images:
        found = _none_of(len(self._terms))
        if has_objects(self._images.dataset.schema):
            search = _Search(self._images, self._objects, self._terms, where)
            found = search.best(self._what, stop)
        if self._whole is not None:
            page = slice(0, stop)
            near = nearest(self._images, self._whole, page, where, everywhere=self._everywhere)
            found = _or_whole(found, *near)
        return found

    def _cutoff(self, found: _Images) -> float:
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
            search = _Search(images, self._objects, self._terms, ALWAYS)
            scores = search.scores_of([key for key in keys if key is not None], self._what)
        own = np.array([scores.get(key or "", KEEP_ALL) for key in keys])
        if self._whole is None:
            return own[own > KEEP_ALL]
        return np.asarray(np.maximum(own, scores_of(distances(images.sample, self._whole))))


@dataclass(frozen=True, eq=False)
class _Search:
    """A search for the objects that some terms describe, among the images of a filter."""

    images: Snapshot
    objects: Snapshot
    terms: Sequence[ObjectTerm]
    where: str

    def best(self, what: str, stop: int) -> _Images:
        """So many of the best images, and others.

        Args:
            what: a predicate on the objects that may match.
            stop: how many images.
        """
        share = 1.0
        if self.where != ALWAYS:
            share = 0 if self._are_few() else self.images.count(self._named) / self.images.rows
        found = self._among_nearest(what, stop, share) if share else None
        return self._of_all(what, stop) if found is None else found

    def _are_few(self) -> bool:
        """Whether the objects of the images that the filter lets through are looked at alone."""
        if not can_look(self.images, self.objects):
            return self.images.count(self._named) <= FEW_IMAGES
        count = self.images.count(self.where)
        return count * self.objects.rows <= FEW_ROWS * self.images.rows

    @property
    def _named(self) -> str:
        return f"({self.where}) AND {KEY} IS NOT NULL"

    def _among_nearest(self, what: str, stop: int, share: float) -> _Images | None:
        """The same where these are among the nearest objects; None where they may be others.

        Args:
            what: as for `best`.
            stop: likewise.
            share: of the images that the filter lets through.
        """
        most = _MOST if len(self.terms) == 1 else _MOST_OF_SEVERAL
        count = min(max(_LEAST, int(_PER_IMAGE * stop / share)), most)
        while True:
            lists = [self._nearest(term, count, what) for term in self.terms]
            found = self._scored(lists, what)
            if all(len(each.scores) < count for each in lists):
                return found
            if len(found.rows) >= stop and (count == most or self._is_sure(found, lists, stop)):
                return found
            if count == most:
                return None
            count = min(_GROWTH * count, most)

    def _is_sure(self, found: _Images, lists: Sequence[_Nearest], stop: int) -> bool:
        """Whether no image that has not been seen can be better than so many of these."""
        bound = self._mean(np.array([[each.scores[-1]] for each in lists]))[0]
        return bool(np.partition(found.scores, -stop)[-stop] >= bound)

    def _of_all(self, what: str, stop: int) -> _Images:
        """The same by the objects of all images of the filter."""
        if can_look(self.images, self.objects):
            rows = self.images.row_ids(self.where)
            theirs = self.objects.objects_of(self.images.sets_of(rows))
            if what != ALWAYS:
                theirs = theirs.at(np.isin(theirs.rows, self.objects.row_ids(what)))
            owners, scores, numbers = best_among(self.objects, self.terms, theirs, stop)
            return _Images(rows[owners], scores, numbers)
        return self._by_keys(what, stop)

    def _by_keys(self, what: str, stop: int) -> _Images:
        """The same where the engine has to find and read them, some thousand images at once."""
        named = self.images.dataset.scanner(columns=[KEY], filter=self._named).to_table()
        keys, parts = named[KEY].to_pylist(), [_none_of(len(self.terms))]
        for first in range(0, len(keys), FEW_IMAGES):
            theirs = f"({what}) AND {text_in(KEY, keys[first : first + FEW_IMAGES])}"
            found = self._among_nearest(theirs, stop, 1) if len(keys) > _LEAST else None
            parts.append(self._every(theirs) if found is None else found)
        return _joined(parts)

    def _nearest(self, term: ObjectTerm, count: int, what: str) -> _Nearest:
        rows, far = nearest(
            self.objects, term.vector, slice(0, count), what, everywhere=term.is_text
        )
        found = self.objects.take(rows, [KEY, "n"])
        return _Nearest(found[KEY].to_pylist(), found["n"].to_numpy(), 1 - far)

    def _scored(self, lists: Sequence[_Nearest], what: str) -> _Images:
        """The images of these objects, with the best object of each for each term."""
        seen = dict.fromkeys(key for each in lists for key in each.keys)
        rows, keys = self._images_of(list(seen))
        if len(lists) > 1:
            theirs = f"({what}) AND {text_in(KEY, keys)}"
            return self._compared(theirs, rows, keys) if keys else _none_of(len(lists))
        [one] = lists
        firsts: dict[str, int] = {}
        for place, key in enumerate(one.keys):
            firsts.setdefault(key, place)
        places = np.array([firsts[key] for key in keys], np.int64)
        return _Images(rows, self._mean(one.scores[np.newaxis, places]), one.numbers[places, None])

    def scores_of(self, keys: Sequence[str], what: str) -> dict[str, float]:
        """The scores of images by their sets of objects, of those that have such."""
        if not keys:
            return {}
        found = self._every(f"({what}) AND {text_in(KEY, keys)}")
        rows, known = self._images_of(keys)
        key_of = dict(zip(rows.tolist(), known, strict=True))
        own = zip(found.rows.tolist(), found.scores.tolist(), strict=True)
        return {key_of[row]: score for row, score in own}

    def _every(self, what: str) -> _Images:
        """The images of all objects of a predicate."""
        found = self.objects.dataset.scanner(columns=[KEY], filter=what).to_table()
        rows, keys = self._images_of(found[KEY].unique().to_pylist())
        return self._compared(what, rows, keys)

    def _compared(self, what: str, rows: RowIds, keys: Sequence[str]) -> _Images:
        """Images by all of their objects, each compared with each term."""
        found = self.objects.dataset.scanner(columns=[KEY, "n", "vector"], filter=what).to_table()
        place_of = {key: place for place, key in enumerate(keys)}
        own = np.array([place_of.get(key, -1) for key in found[KEY].to_pylist()], np.int64)
        vectors, numbers = as_matrix(found["vector"])[own >= 0], found["n"].to_numpy()[own >= 0]
        own = own[own >= 0]
        best = np.empty((len(self.terms), len(keys)))
        which = np.zeros((len(keys), len(self.terms)), np.int64)
        for n, term in enumerate(self.terms):
            scores = 1 - distances(vectors, term.vector)
            order = np.argsort(scores, kind="stable")  # the best of each comes last, and stays
            best[n, own[order]] = scores[order]
            which[own[order], n] = numbers[order]
        return _Images(rows, self._mean(best), which)

    def _mean(self, scores: NDArray[np.float64]) -> NDArray[np.float64]:
        return mean_of(self.terms, scores)

    def _images_of(self, keys: Sequence[str]) -> tuple[RowIds, list[str]]:
        """The images that name these sets of objects and that the filter lets through."""
        if self.where == ALWAYS:
            return self.images.rows_having(KEY, keys)
        condition = f"({self.where}) AND {text_in(KEY, keys)}" if keys else "false"
        found = self.images.dataset.scanner(columns=[KEY], filter=condition, with_row_id=True)
        rows = found.to_table()
        return rows[ROW_ID].to_numpy(), rows[KEY].to_pylist()


def _none_of(terms: int) -> _Images:
    numbers = np.empty((0, terms), np.int64)
    return _Images(np.empty(0, np.uint64), np.empty(0), numbers)


def _or_whole(found: _Images, rows: RowIds, far: NDArray[np.float64]) -> _Images:
    """The images by the better of their objects and themselves, then without an object."""
    known = dict(zip(found.rows.tolist(), found.scores.tolist(), strict=True))
    scores = scores_of(far)
    better = scores > np.array([known.get(row, -np.inf) for row in rows.tolist()])
    left = found.at(np.flatnonzero(~np.isin(found.rows, rows[better])))
    numbers = np.full((int(better.sum()), found.numbers.shape[1]), -1, np.int64)
    return _joined([left, _Images(rows[better], scores[better], numbers)])


def _joined(parts: Sequence[_Images]) -> _Images:
    return _Images(*map(np.concatenate, zip(*(each.parts for each in parts), strict=True)))


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
