"""Near-duplicates: stored images with a similarity of about 1 to a picture, told at every add.

Every add asks for them. A search of the vector index takes 4 ms of processor however little it
finds, but 1.6 for each of eight vectors at once, so concurrent calls share one.
"""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from functools import cached_property

import numpy as np
from numpy.typing import NDArray

from store.metadata.predicates import ALWAYS
from store.metadata.rows import scores_of
from store.schemas import FloatVector, Near
from store.search.vectors.nearest import batch_candidates, nearest
from store.snapshot.fragments import RowIds, distances
from store.snapshot.snapshot import Snapshot

_ROUNDING = 1e-6
"""Of a score, see `store.metadata.rows.scores_of`."""

_ROUGH_AT_ONCE = 8


@dataclass(frozen=True, eq=False)
class NearCall:
    """A question for near-duplicates.

    Attributes:
        vector: float32 [dim], checked.
        min_score: their least similarity to it.
        limit: how many at most.
        excluded_id: of the image itself.
    """

    vector: FloatVector
    min_score: float
    limit: int
    excluded_id: str

    @cached_property
    def distance(self) -> float:
        """The largest that one of them may have."""
        return 1 - self.min_score + _ROUNDING


def near_each(snapshot: Snapshot, calls: Sequence[NearCall]) -> list[list[Near]]:
    """The near-duplicates of each call, nearest first, by one search of the index. Blocks."""
    none = np.empty(0, np.uint64)
    candidates: Sequence[RowIds | None] = [none] * len(calls)
    if not snapshot.has_tail:  # the engine searches it, too: its distances mean something else
        candidates = [None] * len(calls)
    elif snapshot.indexed:
        count = 1 + max(call.limit for call in calls)  # the image itself is among them
        vectors = np.stack([call.vector for call in calls])
        candidates = batch_candidates(snapshot, vectors, count)
    row_ids = np.unique(np.concatenate([none, *(each for each in candidates if each is not None)]))
    vectors = snapshot.vectors(row_ids) if len(row_ids) else np.empty((0, 1), np.float32)
    return [
        _near(snapshot, call, each, vectors[np.searchsorted(row_ids, each)], rough)
        if each is not None
        else near(snapshot, call)
        for call, each, rough in zip(calls, candidates, _rough(snapshot, calls), strict=True)
    ]


def _rough(snapshot: Snapshot, calls: Sequence[NearCall]) -> Iterator[FloatVector]:
    """For each call, how far off the rows are that the index lacks, float32 [rows].

    Of a few calls at once, which costs a third: those of all might not fit into memory.
    """
    for first in range(0, len(calls), _ROUGH_AT_ONCE):
        some = calls[first : first + _ROUGH_AT_ONCE]
        yield from snapshot.cache.rough_distances(np.stack([call.vector for call in some]))


def near(snapshot: Snapshot, call: NearCall) -> list[Near]:
    """The near-duplicates of one call, by a search of its own, nearest first. Blocks.

    However few of them the partitions hold that the index looks into first, and whether or not the
    rows are known that it lacks.
    """
    return _near_among(
        snapshot, call, *nearest(snapshot, call.vector, slice(0, call.limit + 1), ALWAYS)
    )


def _near(
    snapshot: Snapshot,
    call: NearCall,
    candidates: RowIds,
    vectors: FloatVector,
    rough: FloatVector,
) -> list[Near]:
    """The near-duplicates among the index's candidates and the rows that it lacks."""
    row_ids, far = snapshot.nearest_unindexed(
        call.vector, call.limit + 1, farthest=call.distance, rough=rough
    )
    return _near_among(
        snapshot,
        call,
        np.concatenate([row_ids, candidates]),
        np.concatenate([far, distances(vectors, call.vector)]),
    )


def _near_among(
    snapshot: Snapshot, call: NearCall, row_ids: RowIds, far: NDArray[np.float64]
) -> list[Near]:
    is_near = far <= call.distance
    if not is_near.any():
        return []
    # The image itself is among the rows of every add: to read all of its metadata takes longer.
    # It is left out here and not by a filter: one on the id of nearly all rows costs more.
    row_ids, far = snapshot.ranked(row_ids[is_near], far[is_near], slice(0, call.limit + 1))
    rows = snapshot.take(row_ids, ["id", "url"]).to_pylist()
    found = [
        Near(row["id"], row["url"], score)
        for row, score in zip(rows, scores_of(far).tolist(), strict=True)
        if row["id"] != call.excluded_id and score >= call.min_score
    ]
    return found[: call.limit]
