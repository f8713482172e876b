"""The best objects of some images, each compared with the query: exact, and quick for thousands.

Where the objects are, and their vectors, is read from the tables' own files
(`store.snapshot.object_sets`, `store.snapshot.mapped_vectors`). All of this blocks.
"""

from collections.abc import Sequence

import numpy as np
from numpy.typing import NDArray

from store.metadata.rows import UNIT_TOLERANCE, scores_of
from store.schemas import ObjectTerm
from store.snapshot.fragments import ROUGHNESS, Places, distances
from store.snapshot.object_runs import Objects
from store.snapshot.snapshot import Snapshot

_ROWS_AT_ONCE = 2048
# Neither an object's vector nor a term's is of quite another length than one.
_OFF = 2 * UNIT_TOLERANCE + ROUGHNESS
Scores = NDArray[np.float64]


def can_look(images: Snapshot, objects: Snapshot) -> bool:
    """Whether thousands of objects of some images can be looked through in some milliseconds."""
    return images.has_places and objects.has_places and objects.has_mapped_vectors


def best_among(
    objects: Snapshot, terms: Sequence[ObjectTerm], found: Objects, count: int
) -> tuple[Places, Scores, Places]:
    """So many owners of some objects, the best by their best ones, and all as good as the last.

    Args:
        objects: of the table of objects.
        terms: that an object of an owner is to fit, each one of its own.
        found: the objects that may, in the order of their owners.
        count: how many.

    Returns:
        The owners, their scores, and the numbers of each one's best object for each term, int64
        [owners, terms].
    """
    owners = np.unique(found.owners)
    if len(owners) > count:
        rough = _mean(terms, _rough(objects, terms, found))
        least = np.partition(rough, -count)[-count] - 2 * _OFF
        owners = owners[rough >= least]
        found = found.at(np.isin(found.owners, owners))
    best, numbers = _exact(objects, terms, found)
    return owners, mean_of(terms, best), numbers


def mean_of(terms: Sequence[ObjectTerm], scores: Scores) -> Scores:
    """The weighted mean of the scores for each term [terms, images]; float64 [images]."""
    return scores_of(1 - _mean(terms, scores))


def _mean(terms: Sequence[ObjectTerm], scores: Scores) -> Scores:
    weights = np.array([term.weight for term in terms])
    return np.asarray(weights @ scores / weights.sum())


def _rough(objects: Snapshot, terms: Sequence[ObjectTerm], found: Objects) -> Scores:
    """The best score of each owner for each term, [terms, owners]; by `_OFF` off at most."""
    asked = np.stack([term.vector for term in terms])
    scores = np.empty((len(terms), len(found.rows)), np.float32)
    for first in range(0, len(found.rows), _ROWS_AT_ONCE):
        part = slice(first, first + _ROWS_AT_ONCE)
        scores[:, part] = np.einsum("ij,kj->ki", objects.vectors(found.rows[part]), asked)
    return np.asarray(np.maximum.reduceat(scores, _firsts(found), axis=1), np.float64)


def _exact(objects: Snapshot, terms: Sequence[ObjectTerm], found: Objects) -> tuple[Scores, Places]:
    """The best score of each owner for each term, [terms, owners], and the object's number."""
    vectors, firsts = objects.vectors(found.rows), _firsts(found)
    best = np.empty((len(terms), len(firsts)))
    numbers = np.empty((len(firsts), len(terms)), np.int64)
    for n, term in enumerate(terms):
        scores = 1 - distances(vectors, term.vector)
        # Owners stay as they are; the first of each is its best then.
        first = np.lexsort((found.numbers, -scores, found.owners))[firsts]
        best[n], numbers[:, n] = scores[first], found.numbers[first]
    return best, numbers


def _firsts(found: Objects) -> Places:
    """Where each owner's objects begin."""
    return np.flatnonzero(np.diff(found.owners, prepend=-1))
