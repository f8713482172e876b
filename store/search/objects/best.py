"""The images with the objects that are nearest to what is looked for.

The objects nearest to a vector come from the table of objects. Which images name them is looked up
in the snapshot of the images that the rest of the search reads: what none of them names, or a
filter leaves out, does not count. As many objects are looked at as probably do, and more where they
did not; where a filter leaves few images, theirs alone. All of this blocks.
"""

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from store.metadata.objects import KEY
from store.metadata.predicates import ALWAYS
from store.metadata.rows import as_matrix
from store.metadata.values import text_in
from store.schemas import ObjectTerm
from store.search.objects.among import best_among, can_look, mean_of
from store.search.objects.scored import ScoredImages, joined, none_of
from store.search.vectors.nearest import FEW_ROWS, nearest
from store.snapshot.fragments import ROW_ID, RowIds, distances
from store.snapshot.snapshot import Snapshot

FEW_IMAGES = 4000
"""Of which the objects are looked through alone: as many keys take 12 ms in a predicate."""

_PER_IMAGE = 3
"""Objects that are looked at first for each image that is wanted."""

_LEAST, _MOST, _GROWTH = 32, 16_384, 8
_MOST_OF_SEVERAL = 1024
"""Objects that are looked at for each of several terms: theirs are all compared with all terms."""


@dataclass(frozen=True, eq=False)
class _Nearest:
    """The objects nearest to a term: their sets, their numbers there, and scores that fall."""

    keys: list[str]
    numbers: NDArray[np.int64]
    scores: NDArray[np.float64]


@dataclass(frozen=True, eq=False)
class BestObjects:
    """A search for the objects that some terms describe, among the images of a filter."""

    images: Snapshot
    objects: Snapshot
    terms: Sequence[ObjectTerm]
    where: str

    def best(self, what: str, stop: int) -> ScoredImages:
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

    def _among_nearest(self, what: str, stop: int, share: float) -> ScoredImages | None:
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

    def _is_sure(self, found: ScoredImages, lists: Sequence[_Nearest], stop: int) -> bool:
        """Whether no image that has not been seen can be better than so many of these."""
        bound = self._mean(np.array([[each.scores[-1]] for each in lists]))[0]
        return bool(np.partition(found.scores, -stop)[-stop] >= bound)

    def _of_all(self, what: str, stop: int) -> ScoredImages:
        """The same by the objects of all images of the filter."""
        if can_look(self.images, self.objects):
            rows = self.images.row_ids(self.where)
            theirs = self.objects.objects_of(self.images.sets_of(rows))
            if what != ALWAYS:
                theirs = theirs.at(np.isin(theirs.rows, self.objects.row_ids(what)))
            owners, scores, numbers = best_among(self.objects, self.terms, theirs, stop)
            return ScoredImages(rows[owners], scores, numbers)
        return self._by_keys(what, stop)

    def _by_keys(self, what: str, stop: int) -> ScoredImages:
        """The same where the engine has to find and read them, some thousand images at once."""
        named = self.images.dataset.scanner(columns=[KEY], filter=self._named).to_table()
        keys, parts = named[KEY].to_pylist(), [none_of(len(self.terms))]
        for first in range(0, len(keys), FEW_IMAGES):
            theirs = f"({what}) AND {text_in(KEY, keys[first : first + FEW_IMAGES])}"
            found = self._among_nearest(theirs, stop, 1) if len(keys) > _LEAST else None
            parts.append(self._every(theirs) if found is None else found)
        return joined(parts)

    def _nearest(self, term: ObjectTerm, count: int, what: str) -> _Nearest:
        rows, far = nearest(
            self.objects, term.vector, slice(0, count), what, everywhere=term.is_text
        )
        found = self.objects.take(rows, [KEY, "n"])
        return _Nearest(found[KEY].to_pylist(), found["n"].to_numpy(), 1 - far)

    def _scored(self, lists: Sequence[_Nearest], what: str) -> ScoredImages:
        """The images of these objects, with the best object of each for each term."""
        seen = dict.fromkeys(key for each in lists for key in each.keys)
        rows, keys = self._images_of(list(seen))
        if len(lists) > 1:
            theirs = f"({what}) AND {text_in(KEY, keys)}"
            return self._compared(theirs, rows, keys) if keys else none_of(len(lists))
        [one] = lists
        firsts: dict[str, int] = {}
        for place, key in enumerate(one.keys):
            firsts.setdefault(key, place)
        places = np.array([firsts[key] for key in keys], np.int64)
        return ScoredImages(
            rows, self._mean(one.scores[np.newaxis, places]), one.numbers[places, None]
        )

    def scores_of(self, keys: Sequence[str], what: str) -> dict[str, float]:
        """The scores of images by their sets of objects, of those that have such."""
        if not keys:
            return {}
        found = self._every(f"({what}) AND {text_in(KEY, keys)}")
        rows, known = self._images_of(keys)
        key_of = dict(zip(rows.tolist(), known, strict=True))
        own = zip(found.rows.tolist(), found.scores.tolist(), strict=True)
        return {key_of[row]: score for row, score in own}

    def _every(self, what: str) -> ScoredImages:
        """The images of all objects of a predicate."""
        found = self.objects.dataset.scanner(columns=[KEY], filter=what).to_table()
        rows, keys = self._images_of(found[KEY].unique().to_pylist())
        return self._compared(what, rows, keys)

    def _compared(self, what: str, rows: RowIds, keys: Sequence[str]) -> ScoredImages:
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
        return ScoredImages(rows, self._mean(best), which)

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
