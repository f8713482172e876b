"""The rows of the table that a filter lets through, ranked in one way or another."""

import asyncio
from typing import TYPE_CHECKING, Any

import numpy as np
import pyarrow as pa
from numpy.typing import NDArray

from store.cutoff import KEEP_ALL, background, cutoff_score
from store.fetching import fetched
from store.metadata import Registry
from store.nearest import any_nearest, filtered, nearest, with_distances
from store.newest import newest as newest_rows
from store.rows import selected
from store.schemas import FloatVector

if TYPE_CHECKING:
    from lancedb import AsyncTable

Found = dict[str, Any]


class View:
    """The rows of the table that a filter lets through.

    Args:
        table: to read.
        registry: its metadata columns.
        where: an SQL predicate.
    """

    def __init__(self, table: "AsyncTable", registry: Registry, where: str) -> None:
        self._table = table
        self._columns = selected(registry)
        self._where = where

    async def newest(self, limit: int, offset: int) -> list[Found]:
        """A page of the rows, newest first."""
        return await newest_rows(self._table, self._columns, limit, offset, self._where)

    async def nearest(
        self, vector: FloatVector, count: int, columns: list[str] | None = None
    ) -> pa.Table:
        """The rows nearest to a vector, in the `selected` columns or others."""
        named = self._columns if columns is None else columns
        return await nearest(self._table, vector, count, named, self._where)

    async def cutoff(self, vector: FloatVector) -> float:
        """The least score of a relevant row; see `store.cutoff`."""
        best = await any_nearest(self._table, vector, 1, ["id"], self._where)
        if not best.num_rows:
            return KEEP_ALL
        scores, rows = await background(self._table, vector)
        return cutoff_score(float(scores_of(best)[0]), scores, rows)

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
        return await asyncio.to_thread(with_distances, found, vector)


def scores_of(found: pa.Table) -> NDArray[np.float64]:
    """What `score_of` makes of each row's distance, float64 [rows]."""
    distances = found["_distance"].to_numpy().astype(np.float64)
    return np.asarray(np.clip(1 - distances, -1, 1).round(6))
