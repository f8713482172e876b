"""The rows of the table that a filter lets through, ranked in one way or another."""

import asyncio
from typing import TYPE_CHECKING, Any

import numpy as np
import pyarrow as pa
from numpy.typing import NDArray

from store.cutoff import KEEP_ALL, cutoff_score
from store.distances import distances
from store.fetching import fetched, filtered
from store.nearest import any_nearest, nearest
from store.newest import newest as newest_rows
from store.rows import as_matrix, selected
from store.schemas import FloatVector
from store.snapshot import Snapshot

if TYPE_CHECKING:
    from lancedb import AsyncTable

Found = dict[str, Any]


class View:
    """The rows of the table that a filter lets through.

    Args:
        table: to read.
        snapshot: of it, for what is near to a vector.
        where: an SQL predicate.
    """

    def __init__(self, table: "AsyncTable", snapshot: Snapshot, where: str) -> None:
        self._table = table
        self._snapshot = snapshot
        self._columns = selected(snapshot.registry)
        self._where = where

    async def newest(self, limit: int, offset: int) -> list[Found]:
        """A page of the rows, newest first."""
        return await newest_rows(self._table, self._columns, limit, offset, self._where)

    def nearest(
        self, vector: FloatVector, page: slice, columns: list[str] | None = None
    ) -> pa.Table:
        """A page of the rows nearest to a vector, in the `selected` columns or others. Blocks."""
        named = self._columns if columns is None else columns
        return nearest(self._snapshot, vector, page, named, self._where)

    def cutoff(self, vector: FloatVector) -> float:
        """The least score of a relevant row; see `store.cutoff`. Blocks."""
        best = any_nearest(self._snapshot, vector, 1, ["id"], self._where)
        if not best.num_rows:
            return KEEP_ALL
        scores = self._snapshot.sample @ vector
        return cutoff_score(float(scores_of(best)[0]), scores, self._snapshot.rows)

    async def matching(self, text: str, count: int, *, every_word: bool = False) -> pa.Table:
        """The rows whose text has any of the words, or every one, by BM25, then id."""
        from lancedb.query import FullTextOperator, MatchQuery  # noqa: PLC0415 - see store.engine

        # A MatchQuery takes its text as words: there is no query syntax in it.
        operator = FullTextOperator.AND if every_word else FullTextOperator.OR
        matches = self._table.query().nearest_to_text(MatchQuery(text, "text", operator=operator))
        rows = filtered(matches, self._where)
        found = await rows.select(["id", "_score"]).limit(count).to_arrow()
        return found.sort_by([("_score", "descending"), ("id", "ascending")])

    async def scored(
        self, vector: FloatVector, ids: list[str], columns: list[str] | None = None
    ) -> pa.Table:
        """The rows of these ids in this order, with their distance to the vector."""
        named = self._columns if columns is None else columns
        found = await fetched(self._table, ids, [*named, "vector"])
        return await asyncio.to_thread(_with_distances, found, vector)


def scores_of(found: pa.Table) -> NDArray[np.float64]:
    """What `score_of` makes of each row's distance, float64 [rows]."""
    far = found["_distance"].to_numpy().astype(np.float64)
    return np.asarray(np.clip(1 - far, -1, 1).round(6))


def _with_distances(found: pa.Table, vector: FloatVector) -> pa.Table:
    """A result with the rows' distance to a vector in place of their own vector."""
    far = distances(as_matrix(found["vector"]), vector)
    return found.drop_columns(["vector"]).append_column("_distance", pa.array(far))
