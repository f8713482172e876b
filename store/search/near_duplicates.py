"""Near-duplicates: the images that are about as like to a picture as it is to itself.

Every add asks for them. A search of the vector index takes 4 ms of processor however little it
finds, but 1.6 for each of eight vectors at once, so those who ask at the same time share one.
"""

import asyncio
from collections.abc import Iterator, Sequence
from dataclasses import dataclass

import numpy as np
import pyarrow as pa
from numpy.typing import NDArray

from store.metadata.rows import score_of
from store.schemas import FloatVector, Near
from store.search.nearest import any_within, batch_candidates
from store.search.ranking import Found, nth, paged
from store.snapshot.coalesce import Together
from store.snapshot.distances import ROUGHNESS, distances
from store.snapshot.fragments import Held, RowIds
from store.snapshot.latest import Snapshots
from store.snapshot.snapshot import Snapshot

# The image itself is among the rows of every add: to read all of its metadata takes longer.
_COLUMNS = ["id", "url"]
_ROUNDING = 1e-6
"""Of a score, see `store.metadata.rows.score_of`."""


@dataclass(frozen=True, eq=False)
class Wanted:
    """Whose near-duplicates are wanted.

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

    @property
    def distance(self) -> float:
        """The largest that one of them may have."""
        return 1 - self.min_score + _ROUNDING

    @property
    def count(self) -> int:
        """How many rows are looked for: one more, which may be the image itself."""
        return self.limit + 1


class NearDuplicates:
    """Looks for near-duplicates, for all who ask at the same time by one search.

    Args:
        snapshots: of the table.
    """

    def __init__(self, snapshots: Snapshots) -> None:
        self._snapshots = snapshots
        self._together = Together(self._found)

    async def of(self, wanted: Wanted) -> list[Near]:
        """The images at least this similar, nearest first, in the table as it is from now on."""
        return await self._together.ask(wanted)

    async def _found(self, wanted: Sequence[Wanted]) -> list[list[Near]]:
        snapshot = await self._snapshots.latest()
        return await asyncio.to_thread(near_each, snapshot, wanted)


def near_each(snapshot: Snapshot, wanted: Sequence[Wanted]) -> list[list[Near]]:
    """What `near` finds for each, by one search of the index. Blocks."""
    if not snapshot.knows_tail:  # the engine searches it, too: its distances mean something else
        return [near(snapshot, each) for each in wanted]
    candidates = _candidates(snapshot, wanted)
    row_ids = np.unique(np.concatenate([np.empty(0, np.uint64), *_known(candidates)]))
    vectors = snapshot.vectors(row_ids) if len(row_ids) else np.empty((0, 1), np.float32)
    found = []
    for each, those in zip(wanted, candidates, strict=True):
        if those is None:
            found.append(near(snapshot, each))
        else:
            far = distances(vectors[np.searchsorted(row_ids, those)], each.vector)
            found.append(_hits(snapshot, each, those, far))
    return found


def near(snapshot: Snapshot, wanted: Wanted) -> list[Near]:
    """The images at least this similar to a picture, nearest first. Blocks.

    However few of them the partitions hold that the index looks into first, and whether or not the
    rows are known that it lacks.
    """
    found = any_within(snapshot, wanted.vector, wanted.distance, wanted.count, _COLUMNS)
    return _wanted(wanted, found)


def _known(candidates: Sequence[RowIds | None]) -> Iterator[RowIds]:
    return (each for each in candidates if each is not None)


def _candidates(snapshot: Snapshot, wanted: Sequence[Wanted]) -> list[RowIds | None]:
    """The rows that the index names for each; None where it named too few."""
    if not snapshot.indexed:
        return [np.empty(0, np.uint64) for _ in wanted]
    count = max(each.count for each in wanted)
    return batch_candidates(snapshot, np.stack([each.vector for each in wanted]), count)


def _hits(
    snapshot: Snapshot, wanted: Wanted, row_ids: RowIds, far: NDArray[np.float64]
) -> list[Near]:
    """The best of the index's rows and of those that it lacks."""
    is_near = far <= wanted.distance
    tail, tail_distances = _tail(snapshot.held, wanted)
    row_ids = np.concatenate([tail, row_ids[is_near]])
    if not len(row_ids):
        return []
    found = Found(row_ids, np.concatenate([tail_distances, far[is_near]]))
    return _wanted(wanted, paged(snapshot, found, slice(0, wanted.count), _COLUMNS))


def _wanted(wanted: Wanted, rows: pa.Table) -> list[Near]:
    """The near-duplicates that rows are, without the image itself."""
    # Left out here and not by a filter: one on the id of nearly all rows costs more than the rest.
    others = [row for row in rows.to_pylist() if row["id"] != wanted.excluded_id]
    found = [Near(row["id"], row["url"], score_of(row["_distance"])) for row in others]
    return [each for each in found if each.score >= wanted.min_score][: wanted.limit]


def _tail(held: Held, wanted: Wanted) -> tuple[RowIds, NDArray[np.float64]]:
    """The near rows that the index lacks, as many as are needed, with their distances."""
    rough = held.rough_distances(wanted.vector)
    is_near = rough <= wanted.distance + ROUGHNESS
    places, rough = held.tail[is_near], rough[is_near]
    if len(places) > wanted.count:
        places = places[rough <= nth(rough, wanted.count) + 2 * ROUGHNESS]
    far = distances(held.vectors(places), wanted.vector)
    is_near = far <= wanted.distance
    return held.row_ids[places[is_near]], far[is_near]
