"""Images with the best of their objects and their scores, as a search for objects finds them."""

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from store.metadata.rows import scores_of
from store.snapshot.fragments import RowIds


@dataclass(frozen=True, eq=False)
class ScoredImages:
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

    def at(self, places: NDArray[np.int64]) -> "ScoredImages":
        """Some of them, by their places."""
        return ScoredImages(self.rows[places], self.scores[places], self.numbers[places])

    def of(self, rows: RowIds) -> "ScoredImages":
        """Some of them in an order, by their rows."""
        place_of = {row: place for place, row in enumerate(self.rows.tolist())}
        return self.at(np.array([place_of[row] for row in rows.tolist()], np.int64))


def none_of(terms: int) -> ScoredImages:
    """No images, for so many terms."""
    numbers = np.empty((0, terms), np.int64)
    return ScoredImages(np.empty(0, np.uint64), np.empty(0), numbers)


def or_whole(found: ScoredImages, rows: RowIds, far: NDArray[np.float64]) -> ScoredImages:
    """The images by the better of their objects and themselves, then without an object."""
    known = dict(zip(found.rows.tolist(), found.scores.tolist(), strict=True))
    scores = scores_of(far)
    better = scores > np.array([known.get(row, -np.inf) for row in rows.tolist()])
    left = found.at(np.flatnonzero(~np.isin(found.rows, rows[better])))
    numbers = np.full((int(better.sum()), found.numbers.shape[1]), -1, np.int64)
    return joined([left, ScoredImages(rows[better], scores[better], numbers)])


def joined(parts: Sequence[ScoredImages]) -> ScoredImages:
    """All of these, one after the other."""
    return ScoredImages(*map(np.concatenate, zip(*(each.parts for each in parts), strict=True)))
