"""Searching the table: nearest vectors, matching text, both fused, or the newest first."""

import asyncio
import math
from dataclasses import replace

import numpy as np
import pyarrow as pa
from numpy.typing import NDArray

from store.cutoff import KEEP_ALL
from store.errors import QueryError
from store.filters import ALWAYS, compile_filter
from store.fusion import fuse
from store.held import ROW_ID, RowIds
from store.limits import MAX_LIMIT, MAX_OFFSET, MAX_TEXT_CHARS
from store.metadata import Registry
from store.nearest import any_within
from store.newest import newest as newest_rows
from store.rows import check_vector, selected, to_dicts, to_hit, to_image
from store.schemas import FloatVector, Hit, SearchQuery, StoredImage
from store.snapshot import Snapshot
from store.values import is_unicode
from store.view import View, scores_of

# How deep each list goes into a fusion. It is the same for all pages of up to a thousand hits, so
# that paging through them neither repeats nor leaves out an image.
FUSION_DEPTH = 1000

# Of a score, see `score_of`.
ROUNDING = 1e-6


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


async def search(snapshot: Snapshot, query: SearchQuery) -> list[Hit]:
    """Answers a checked query, best first. The filter is applied before any ranking.

    Raises:
        FilterError: the filter is not in the language or does not fit the columns.
    """
    registry = snapshot.registry
    where = compile_filter({} if query.filter is None else query.filter, registry.by_key)
    view = View(snapshot, where)
    if query.text is not None:
        return await _by_text(view, query, query.text, registry)
    return await asyncio.to_thread(_by_one, view, query, query.vector, registry)


def _by_one(
    view: View, query: SearchQuery, vector: FloatVector | None, registry: Registry
) -> list[Hit]:
    """The nearest to a vector, or without one the newest. Blocks."""
    if vector is None:
        return _hits_of(view.newest(query.limit, query.offset), registry)
    least = max(_least(query), view.cutoff(vector) if query.cutoff else KEEP_ALL)
    page = slice(query.offset, query.offset + query.limit)
    find = view.nearest if query.text is None else view.nearest_everywhere
    found = find(vector, page)
    return _hits_of(found.filter(pa.array(scores_of(found) >= least)), registry)


async def _by_text(view: View, query: SearchQuery, text: str, registry: Registry) -> list[Hit]:
    """Fuses nearest to the picture, nearest to the text's vector and matches of the text.

    The score stays the similarity to the picture, or without one to the text's vector, so it need
    not fall from hit to hit.
    """
    depth = _depth(query)
    vectors = [vector for vector in (query.vector, query.text_vector) if vector is not None]
    matches = await asyncio.to_thread(view.matching, text, depth)
    if not matches.num_rows and len(vectors) == 1:  # there is nothing to fuse
        return await asyncio.to_thread(_by_one, view, query, vectors[0], registry)
    rankings = await asyncio.gather(
        *(
            asyncio.to_thread(view.nearest_everywhere, each, slice(0, depth), ["id"])
            for each in vectors
        )
    )
    return await asyncio.to_thread(_fused, view, query, vectors[0], [*rankings, matches], registry)


def _fused(
    view: View,
    query: SearchQuery,
    vector: FloatVector,
    rankings: list[pa.Table],
    registry: Registry,
) -> list[Hit]:
    """The page of what several rankings, the last one of texts, give together. Blocks."""
    ids = [ranking["id"].to_pylist() for ranking in rankings]
    rows: dict[str, int] = {}
    for ranking, named in zip(rankings, ids, strict=True):
        rows.update(zip(named, ranking[ROW_ID].to_pylist(), strict=True))
    row_ids = np.array([rows[each] for each in fuse(ids)], np.uint64)
    if query.min_score is not None or query.cutoff:
        row_ids = row_ids[_relevant(view, query, vector, row_ids)]
    return _hits_of(
        view.scored(vector, row_ids[query.offset : query.offset + query.limit]), registry
    )


def _relevant(
    view: View, query: SearchQuery, vector: FloatVector, row_ids: RowIds
) -> NDArray[np.bool_]:
    """Which rows of a fusion pass the query's ``min_score`` and ``cutoff``."""
    scores = scores_of(view.scored(vector, row_ids, ["id"]))
    kept = scores >= _least(query)
    if query.cutoff:
        # A stored text with every word that was asked for is relevant, whatever its picture shows.
        named = view.matching(query.text or "", _depth(query), every_word=True)
        least = view.cutoff(vector)
        kept &= (scores >= least) | np.isin(row_ids, named[ROW_ID].to_numpy())
    return kept


def _depth(query: SearchQuery) -> int:
    return FUSION_DEPTH * math.ceil((query.offset + query.limit) / FUSION_DEPTH)


def _least(query: SearchQuery) -> float:
    return KEEP_ALL if query.min_score is None else query.min_score


def _hits_of(found: pa.Table, registry: Registry) -> list[Hit]:
    return [to_hit(row, registry) for row in to_dicts(found)]


def newest(snapshot: Snapshot, limit: int, offset: int) -> list[StoredImage]:
    """The images newest first, those of one moment by id. Blocks."""
    registry = snapshot.registry
    rows = newest_rows(snapshot, selected(registry), limit, offset, ALWAYS)
    return [to_image(row, registry) for row in to_dicts(rows)]


def near(
    snapshot: Snapshot, vector: FloatVector, min_score: float, limit: int, excluded_id: str
) -> list[Hit]:
    """The images at least this similar to a checked vector, nearest first, but for one id.

    Blocks.
    """
    # One more, instead of a filter: a filter on the id of nearly all rows costs more than the rest.
    columns = selected(snapshot.registry)
    found = any_within(snapshot, vector, 1 - min_score + ROUNDING, limit + 1, columns)
    hits = [hit for hit in _hits_of(found, snapshot.registry) if hit.id != excluded_id]
    return [hit for hit in hits if hit.score is not None and hit.score >= min_score][:limit]
