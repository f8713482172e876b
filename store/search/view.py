"""The rows of a snapshot that a filter lets through, ranked in one way or another."""

import numpy as np
import pyarrow as pa
from numpy.typing import NDArray

from store.metadata.rows import selected
from store.schemas import FloatVector
from store.search.cutoff import KEEP_ALL, cutoff_score
from store.search.full_text import matching
from store.search.nearest import any_nearest, nearest, nearest_everywhere, ranking
from store.search.newest import newest
from store.search.ranking import Found, ranked
from store.snapshot.distances import distances
from store.snapshot.fragments import RowIds
from store.snapshot.snapshot import Snapshot


class View:
    """The rows of a snapshot that a filter lets through. Every method blocks.

    Args:
        snapshot: of the table.
        where: an SQL predicate.
    """

    def __init__(self, snapshot: Snapshot, where: str) -> None:
        self._snapshot = snapshot
        self._columns = selected(snapshot.registry)
        self._where = where

    def newest(self, limit: int, offset: int) -> pa.Table:
        """A page of the rows, newest first."""
        return newest(self._snapshot, self._columns, limit, offset, self._where)

    def nearest(self, vector: FloatVector, page: slice) -> pa.Table:
        """A page of the rows nearest to a picture."""
        return nearest(self._snapshot, vector, page, self._columns, self._where)

    def nearest_everywhere(self, vector: FloatVector, page: slice) -> pa.Table:
        """A page of the rows nearest to any vector."""
        return nearest_everywhere(self._snapshot, vector, page, self._columns, self._where)

    def ranking(self, vector: FloatVector, count: int) -> RowIds:
        """The rows nearest to any vector, without their columns."""
        return ranking(self._snapshot, vector, count, self._where)

    def best(self, row_ids: RowIds, totals: NDArray[np.float64], page: slice) -> RowIds:
        """A page of rows by what they count, then id."""
        return ranked(self._snapshot, Found(row_ids, -totals), page)[0]

    def cutoff(self, vector: FloatVector) -> float:
        """The least score of a relevant row; see `store.search.cutoff`."""
        best = any_nearest(self._snapshot, vector, 1, ["id"], self._where)
        if not best.num_rows:
            return KEEP_ALL
        scores = self._snapshot.sample @ vector
        return cutoff_score(float(scores_of(best)[0]), scores, self._snapshot.rows)

    def matching(self, text: str, count: int, *, every_word: bool = False) -> RowIds:
        """The rows whose text has any of the words, or every one, by BM25, then id."""
        return matching(self._snapshot, text, count, self._where, every_word=every_word)

    def scored(
        self, vector: FloatVector, row_ids: RowIds, columns: list[str] | None = None
    ) -> pa.Table:
        """These rows in this order, with their distance to the vector."""
        found = self._snapshot.take(row_ids, self._columns if columns is None else columns)
        far = distances(self._snapshot.vectors(row_ids), vector)
        return found.append_column("_distance", pa.array(far))


def scores_of(found: pa.Table) -> NDArray[np.float64]:
    """What `score_of` makes of each row's distance, float64 [rows]."""
    far = found["_distance"].to_numpy().astype(np.float64)
    return np.asarray(np.clip(1 - far, -1, 1).round(6))
