"""Searching the table: nearest vectors, matching text, both fused, or the newest first."""

import asyncio
import math
from dataclasses import replace
from typing import TYPE_CHECKING, TypeVar

from store.cutoff import KEEP_ALL, background, cutoff_score
from store.errors import QueryError
from store.filters import ALWAYS, compile_filter
from store.fusion import fuse
from store.literals import literal
from store.metadata import Registry
from store.nearest import Found, filtered, nearest, with_distances
from store.newest import newest as newest_rows
from store.rows import check_vector, score_of, selected, to_dicts, to_hit
from store.schemas import FloatVector, Hit, SearchQuery
from store.values import is_unicode

if TYPE_CHECKING:
    from lancedb import AsyncTable

MAX_LIMIT = 1000
MAX_OFFSET = 10_000
MAX_TEXT_CHARS = 10_000
# How deep each list goes into a fusion. It is the same for all pages of up to a thousand hits, so
# that paging through them neither repeats nor leaves out an image.
FUSION_DEPTH = 1000
# From here on only ids are ranked, and the rows of the page fetched after that.
LATE_OFFSET = 200

_T = TypeVar("_T")


def check_query(query: SearchQuery, dim: int) -> SearchQuery:
    """Checks a query's bounds before any work.

    Returns:
        The query with vectors of its own: what came out of another process's message may lie at
        any address, and on an odd one LanceDB panics, after which a search never ends.

    Raises:
        QueryError: out of bounds, or parts that do not go together.
        InvalidRowError: a vector of another shape, not finite or not of unit length.
    """
    if not 1 <= query.limit <= MAX_LIMIT:
        raise QueryError(f"limit must be 1 to {MAX_LIMIT}")
    if not 0 <= query.offset <= MAX_OFFSET:
        raise QueryError(f"offset must be 0 to {MAX_OFFSET}")
    if query.min_score is not None and not -1 <= query.min_score <= 1:
        raise QueryError("min_score must be -1 to 1")
    vector, text_vector = (
        None if given is None else check_vector(given, dim)
        for given in (query.vector, query.text_vector)
    )
    _check_text(query)
    return replace(query, vector=vector, text_vector=text_vector)


def _check_text(query: SearchQuery) -> None:
    if (query.text is None) != (query.text_vector is None):
        raise QueryError("a text and its vector go together")
    if query.text is not None and len(query.text) > MAX_TEXT_CHARS:
        raise QueryError(f"the text must have at most {MAX_TEXT_CHARS} characters")
    if query.text is not None and not is_unicode(query.text):
        raise QueryError("the text is not valid Unicode")
    if query.vector is None and query.text is None and query.min_score is not None:
        raise QueryError("min_score needs a picture or a text to score against")
    if query.vector is None and query.text is None and query.cutoff:
        raise QueryError("cutoff needs a picture or a text to score against")


async def search(table: "AsyncTable", query: SearchQuery) -> list[Hit]:
    """Answers a checked query, best first. The filter is applied before any ranking.

    Raises:
        FilterError: the filter is not in the language or does not fit the columns.
    """
    registry = Registry.from_schema(await table.schema())
    view = _View(
        table,
        registry,
        compile_filter({} if query.filter is None else query.filter, registry.by_key),
    )
    if query.text is not None:
        found = await _fused(view, query)
    elif query.vector is not None:
        found = await _by_picture(view, query, query.vector)
    else:
        found = await view.newest(query.limit, query.offset)
    return [to_hit(row, registry) for row in found]


async def _by_picture(view: "_View", query: SearchQuery, vector: FloatVector) -> list[Found]:
    """The nearest to a picture."""
    least = max(_least(query), await view.cutoff(vector) if query.cutoff else KEEP_ALL)
    if query.offset < LATE_OFFSET:
        found = await view.nearest(vector, query.offset + query.limit)
        return _page(_from(least, found), query)
    found = await view.nearest(vector, query.offset + query.limit, ["id"])
    return await view.scored(vector, [row["id"] for row in _page(_from(least, found), query)])


async def _fused(view: "_View", query: SearchQuery) -> list[Found]:
    """Fuses nearest to the picture, nearest to the text's vector and matches of the text.

    The score stays the similarity to the picture, or without one to the text's vector, so it need
    not fall from hit to hit.
    """
    text = query.text or ""
    depth = FUSION_DEPTH * math.ceil((query.offset + query.limit) / FUSION_DEPTH)
    vectors = [vector for vector in (query.vector, query.text_vector) if vector is not None]
    rankings = await asyncio.gather(
        *(view.nearest(vector, depth, ["id"]) for vector in vectors),
        view.matching(text, depth),
    )
    order = fuse([[row["id"] for row in ranking] for ranking in rankings])
    if query.min_score is None and not query.cutoff:
        return await view.scored(vectors[0], _page(order, query))
    found = _from(_least(query), await view.scored(vectors[0], order))
    if query.cutoff:
        cut = await view.cutoff(vectors[0])
        # A stored text with every word that was asked for is relevant, whatever its picture shows.
        named = {row["id"] for row in await view.matching(text, depth, every_word=True)}
        found = [row for row in found if _score(row) >= cut or row["id"] in named]
    return _page(found, query)


def _least(query: SearchQuery) -> float:
    return KEEP_ALL if query.min_score is None else query.min_score


def _from(least: float, found: list[Found]) -> list[Found]:
    return found if least == KEEP_ALL else [row for row in found if _score(row) >= least]


def _score(row: Found) -> float:
    return score_of(row["_distance"])


def _page(ranked: list[_T], query: SearchQuery) -> list[_T]:
    return ranked[query.offset : query.offset + query.limit]


class _View:
    """The rows of the table that a filter lets through."""

    def __init__(self, table: "AsyncTable", registry: Registry, where: str) -> None:
        self._table = table
        self._columns = selected(registry)
        self._where = where

    async def newest(self, limit: int, offset: int) -> list[Found]:
        return await newest_rows(self._table, self._columns, limit, offset, self._where)

    async def nearest(
        self, vector: FloatVector, count: int, columns: list[str] | None = None
    ) -> list[Found]:
        named = self._columns if columns is None else columns
        return await nearest(self._table, vector, count, named, self._where)

    async def cutoff(self, vector: FloatVector) -> float:
        """The least score of a relevant row; see `store.cutoff`."""
        best = await self.nearest(vector, 1, ["id"])
        if not best:
            return KEEP_ALL
        scores, rows = await background(self._table, vector)
        return cutoff_score(_score(best[0]), scores, rows)

    async def matching(self, text: str, count: int, *, every_word: bool = False) -> list[Found]:
        """The rows whose text has any of the words, or every one, by BM25, then id."""
        from lancedb.query import FullTextOperator, MatchQuery  # noqa: PLC0415 - see store.engine

        # A MatchQuery takes its text as words: there is no query syntax in it.
        operator = FullTextOperator.AND if every_word else FullTextOperator.OR
        matches = self._table.query().nearest_to_text(MatchQuery(text, "text", operator=operator))
        rows = filtered(matches, self._where)
        found = await rows.select(["id", "_score"]).limit(count).to_arrow()
        return sorted(to_dicts(found), key=lambda row: (-row["_score"], row["id"]))

    async def scored(self, vector: FloatVector, ids: list[str]) -> list[Found]:
        """The rows of these ids in this order, with their distance to the vector."""
        if not ids:
            return []
        rows = self._table.query().where(f"id IN ({', '.join(map(literal, ids))})")
        found = await rows.select([*self._columns, "vector"]).to_arrow()
        by_id = {row["id"]: row for row in with_distances(found, vector)}
        return [by_id[each] for each in ids if each in by_id]


async def newest(table: "AsyncTable", registry: Registry, limit: int, offset: int) -> list[Found]:
    """The rows newest first, those of one moment by id, in the `selected` columns."""
    return await newest_rows(table, selected(registry), limit, offset, ALWAYS)


async def near(
    table: "AsyncTable", vector: FloatVector, min_score: float, limit: int, excluded_id: str
) -> list[Hit]:
    """The images at least this similar to a checked vector, nearest first, but for one id."""
    registry = Registry.from_schema(await table.schema())
    # One more, instead of a filter: a filter on the id of nearly all rows costs more than the rest.
    found = await nearest(table, vector, limit + 1, selected(registry), ALWAYS)
    hits = [to_hit(row, registry) for row in found if row["id"] != excluded_id]
    return [hit for hit in hits if hit.score is not None and hit.score >= min_score][:limit]
