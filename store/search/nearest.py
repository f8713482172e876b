"""The rows nearest to a vector: exactly, or with the vector index nearly so.

Rows that the index does not know are compared in memory, exactly (`store.snapshot.fragments`). Of
the others the
index names candidates by their short codes, from the partitions nearest to the vector, and all are
ranked by their true vectors. How many candidates and partitions is decided here, by how deep the
answer goes: the same number for all answers up to one of the `DEPTHS`, so that pages within it
come from the same candidates and neither repeat nor leave out an image.

Of several rows at the last place's distance the index names any, so more are asked for until it is
clear which are the first ones by id. One picture may be there thousands of times, under as many
urls: rows stay in numpy and Arrow here. All of this blocks, and is for a thread.
"""

import math
from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np
import pyarrow as pa
from numpy.typing import NDArray

from store.metadata.filters import ALWAYS
from store.schemas import FloatVector
from store.search.ranking import Found, nth, paged, ranked
from store.snapshot.distances import ROUGHNESS, distances
from store.snapshot.fragments import ROW_ID, RowIds
from store.snapshot.snapshot import Snapshot
from store.upkeep.vector_index import partitions_for

if TYPE_CHECKING:
    from lance import LanceScanner

# Up to here, rows at the same distance as the last hit are fetched too, and put in order.
MAX_TIES = 16_384
ALL_PARTITIONS = 1_000_000
# Candidates per hit at the full depth; measured: two give a recall of 0.997 at four bits.
_CANDIDATES = 2
_LEAST_ASKED = 16
# A text's vector lies far from all pictures, its nearest in any partition. Measured with vectors
# drawn at random: a recall of 0.77 where pictures' are looked for, of 1.0 like this.
_LEAST_EVERYWHERE = 256
# Of the partitions; to look into all takes less than to count what a filter leaves.
_LARGE_SHARE = 0.25


@dataclass(frozen=True)
class Depth:
    """How a search goes up to a number of rows.

    Attributes:
        rows: up to which; a power of two.
        partitions: looked into where nothing is filtered out. Deep answers reach beyond a cluster,
            into rows that lie as far off as any: these are in any partition.
    """

    rows: int
    partitions: int


DEPTHS = (
    Depth(32, 40),
    Depth(256, 80),
    Depth(1024, ALL_PARTITIONS),
    Depth(MAX_TIES, ALL_PARTITIONS),
)


def nearest(
    snapshot: Snapshot, vector: FloatVector, page: slice, columns: list[str], where: str
) -> pa.Table:
    """The nearest rows by cosine distance, then id.

    Args:
        snapshot: to search.
        vector: float32 [dim], unit length.
        page: which of them, such as ``slice(10, 20)``.
        columns: to return, the id among them; ``_distance`` and ``_rowid`` come with them.
        where: an SQL predicate; applied before the ranking.
    """
    return paged(snapshot, _settled(_Asking(snapshot, vector, where), page.stop), page, columns)


def nearest_everywhere(
    snapshot: Snapshot, vector: FloatVector, page: slice, columns: list[str], where: str
) -> pa.Table:
    """The same for a vector that is not a picture's, from all partitions."""
    asking = _Asking(snapshot, vector, where, everywhere=True)
    return paged(snapshot, _settled(asking, page.stop), page, columns)


def ranking(snapshot: Snapshot, vector: FloatVector, count: int, where: str) -> RowIds:
    """Which rows those are, without their columns."""
    found = _settled(_Asking(snapshot, vector, where, everywhere=True), count)
    return ranked(snapshot, found, slice(0, count))[0]


def _settled(asking: "_Asking", count: int) -> Found:
    asked = max(_enough(count), _LEAST_EVERYWHERE * asking.everywhere)
    found = asking.ask(asked, count)
    while not found.is_settled(count) and asked < MAX_TIES:
        # As many as come from the same candidates, then as many as from the next more.
        asked = next(depth.rows for depth in DEPTHS if depth.rows > asked)
        found = asking.ask(asked, count)
    return found


def any_nearest(
    snapshot: Snapshot, vector: FloatVector, count: int, columns: list[str], where: str
) -> pa.Table:
    """As many with any of the rows at the last place's distance, which saves asking for all."""
    found = _Asking(snapshot, vector, where).ask(_enough(count), count)
    return paged(snapshot, found, slice(0, count), columns)


def any_within(
    snapshot: Snapshot, vector: FloatVector, distance: float, count: int, columns: list[str]
) -> pa.Table:
    """The same of all rows, but for those that are farther off than a distance."""
    found = _Asking(snapshot, vector, ALWAYS).ask(_enough(count), count)
    near = found.distances <= distance
    found = Found(found.row_ids[near], found.distances[near], found.reach)
    return paged(snapshot, found, slice(0, count), columns)


def batch_candidates(snapshot: Snapshot, vectors: FloatVector, count: int) -> list[RowIds | None]:
    """The rows that the index names as the nearest to each of several vectors, by one search.

    Args:
        snapshot: to search, which has an index and knows its tail.
        vectors: float32 [vectors, dim], each of unit length.
        count: how many of the nearest rows are to be among them.

    Returns:
        For each vector the rows; None where the partitions that were looked into hold too few.
    """
    asking, asked = _Asking(snapshot, vectors, ALWAYS), _enough(count)
    depth = _depth(asked)
    scanner = asking._scanner(depth.partitions, _CANDIDATES * depth.rows, filter_first=True)
    found = scanner.to_table()
    numbers, row_ids = found["query_index"].to_numpy(), found[ROW_ID].to_numpy()
    parts = [row_ids[numbers == number] for number in range(len(vectors))]
    return [part if len(part) >= asked or asking._is_everything(part) else None for part in parts]


@dataclass(frozen=True, eq=False)
class _Asking:
    snapshot: Snapshot
    vector: FloatVector
    where: str
    everywhere: bool = False

    def ask(self, asked: int, count: int) -> Found:
        """The nearest rows, so many of them and what lies as far off as the last."""
        near, near_distances = self._tail(count)
        row_ids, reach = near[:0], math.inf
        if self.snapshot.indexed or not self.snapshot.knows_tail:
            row_ids, is_all = self._candidates(asked)
            far = distances(self.snapshot.vectors(row_ids), self.vector)
            if not is_all:
                reach = float(far.max())
            near_distances = np.concatenate([near_distances, far])
        return Found(np.concatenate([near, row_ids]), near_distances, reach)

    def _tail(self, count: int) -> tuple[RowIds, NDArray[np.float64]]:
        """The nearest rows that the index lacks, those as far off as the last among them."""
        held = self.snapshot.held
        places, rough = held.tail, held.rough_distances(self.vector)
        if self.where != ALWAYS:
            kept = np.isin(held.row_ids[places], self.snapshot.tail_matching(self.where))
            places, rough = places[kept], rough[kept]
        if len(places) > count:
            places = places[rough <= nth(rough, count) + 2 * ROUGHNESS]
        return held.row_ids[places], distances(held.vectors(places), self.vector)

    def _candidates(self, asked: int) -> tuple[RowIds, bool]:
        """Rows among which the nearest are, and whether they are all there are."""
        depth = _depth(asked)
        wanted = _CANDIDATES * depth.rows if self.snapshot.indexed else asked
        probes = self._probes(depth)
        found = self._look_into(probes, wanted)
        if len(found) < asked and probes < ALL_PARTITIONS and not self._is_everything(found):
            # The partitions that were looked into hold too few, as after deletes.
            found = self._look_into(ALL_PARTITIONS, wanted)
        return found, len(found) < wanted

    def _is_everything(self, found: RowIds) -> bool:
        others = self.snapshot.rows - len(self.snapshot.held.tail)
        return self.where == ALWAYS and len(found) >= others

    def _look_into(self, probes: int, wanted: int) -> RowIds:
        found = self._scanner(probes, wanted, filter_first=True).to_table()
        return np.sort(found[ROW_ID].to_numpy())  # as their vectors are read quickest

    def _probes(self, depth: Depth) -> int:
        """How many partitions to look into: as many times more as a filter leaves fewer rows.

        What counts is its share of the rows near the vector: of pictures of cats, "shoes" leaves
        none, and its nearest matches lie as far off as any, in any partition. LanceDB's own way,
        ``maximum_nprobes(0)``, takes no less time than all partitions (measured with 0.40).
        Leaving the index aside for a rare filter is no way: LanceDB then reads every vector of
        the table, two seconds at a million rows, unless a scalar index knows the whole filter.
        """
        if self.everywhere:
            return ALL_PARTITIONS
        if self.where == ALWAYS:
            return depth.partitions
        rows = self.snapshot.rows
        # Below this share, all partitions are needed.
        least = depth.partitions / partitions_for(rows)
        if least >= _LARGE_SHARE:
            return ALL_PARTITIONS
        share = int(self.snapshot.dataset.count_rows(filter=self.where)) / rows
        if share > least:
            share = min(share, self._share_nearby(depth))
        return math.ceil(depth.partitions / share) if share > least else ALL_PARTITIONS

    def _share_nearby(self, depth: Depth) -> float:
        """The share of the nearest rows that the filter lets through."""
        left = self._scanner(depth.partitions, depth.rows, filter_first=False).to_table()
        return len(left) / depth.rows

    def _scanner(self, probes: int, wanted: int, *, filter_first: bool) -> "LanceScanner":
        nearest = {
            "column": "vector",
            "q": self.vector,
            "k": wanted,
            "metric": "cosine",
            "nprobes": probes,  # where there is no index, this means nothing
        }
        return self.snapshot.dataset.scanner(
            columns=["_distance"],
            with_row_id=True,
            nearest=nearest,
            filter=None if self.where == ALWAYS else self.where,
            prefilter=filter_first,
            fast_search=self.snapshot.knows_tail,
            # For all that it searches, or for none of it.
            use_scalar_index=not self.snapshot.knows_tail or self.snapshot.indexes_know(self.where),
        )


def _depth(asked: int) -> Depth:
    return next((each for each in DEPTHS if asked <= each.rows), DEPTHS[-1])


def _enough(count: int) -> int:
    return max(_LEAST_ASKED, _power_of_two(count + 1))


def _power_of_two(least: int) -> int:
    return 1 << (least - 1).bit_length()
