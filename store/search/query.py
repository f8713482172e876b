"""Searching the table: nearest vectors, matching text, both fused, or the newest first."""

import asyncio
import math
from dataclasses import dataclass, replace

import numpy as np
import pyarrow as pa
from numpy.typing import NDArray

from store.errors import QueryError
from store.metadata.columns import Registry
from store.metadata.filters import ALWAYS, compile_filter
from store.metadata.rows import check_vector, selected, to_dicts, to_hit, to_image
from store.metadata.values import is_unicode
from store.schemas import (
    MAX_LIMIT,
    MAX_OFFSET,
    MAX_TEXT_CHARS,
    FloatVector,
    Hit,
    SearchQuery,
    StoredImage,
)
from store.search.cutoff import KEEP_ALL
from store.search.fusion import fuse
from store.search.newest import newest as newest_rows
from store.search.view import View, scores_of
from store.snapshot.fragments import RowIds
from store.snapshot.snapshot import Snapshot

# How deep each list goes into a fusion. It is the same for all pages of up to a thousand hits, so
# that paging through them neither repeats nor leaves out an image.
FUSION_DEPTH = 1000


@dataclass(frozen=True, eq=False)
class Matches:
    """What the text of a query matches, known before its vectors are.

    Attributes:
        snapshot: that was searched, and is to be searched for the rest.
        rows: best first, uint64 [rows].
    """

    snapshot: Snapshot
    rows: RowIds


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
    if (query.text is None) != (query.text_vector is None):
        raise QueryError("a text and its vector go together")
    check_text(query)
    return replace(query, vector=vector, text_vector=text_vector)


def check_text(query: SearchQuery) -> None:
    """Checks the text of a query whose vectors may still be missing.

    Raises:
        QueryError: too long, not Unicode, or missing where something goes with it.
    """
    if query.text is not None and len(query.text) > MAX_TEXT_CHARS:
        raise QueryError(f"the text must have at most {MAX_TEXT_CHARS} characters")
    if query.text is not None and not is_unicode(query.text):
        raise QueryError("the text is not valid Unicode")
    if query.vector is None and query.text is None and query.min_score is not None:
        raise QueryError("min_score needs a picture or a text to score against")
    if query.vector is None and query.text is None and query.cutoff:
        raise QueryError("cutoff needs a picture or a text to score against")


def matches_of(snapshot: Snapshot, query: SearchQuery) -> Matches:
    """What the text of a query matches, for `search`. Blocks.

    Raises:
        FilterError: the filter is not in the language or does not fit the columns.
    """
    view = _view(snapshot, query)
    return Matches(snapshot, view.matching(query.text or "", _depth(query)))


async def search(snapshot: Snapshot, query: SearchQuery, matches: Matches | None) -> list[Hit]:
    """Answers a checked query, best first. The filter is applied before any ranking.

    Args:
        snapshot: to search.
        query: checked.
        matches: of its text in this snapshot; None where it has none.

    Raises:
        FilterError: the filter is not in the language or does not fit the columns.
    """
    view = _view(snapshot, query)
    if matches is not None:
        return await _by_text(view, query, matches.rows, snapshot.registry)
    return await asyncio.to_thread(_by_one, view, query, query.vector, snapshot.registry)


def _view(snapshot: Snapshot, query: SearchQuery) -> View:
    filter_ = {} if query.filter is None else query.filter
    return View(snapshot, compile_filter(filter_, snapshot.registry.by_key))


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


async def _by_text(
    view: View, query: SearchQuery, matches: RowIds, registry: Registry
) -> list[Hit]:
    """Fuses nearest to the picture, nearest to the text's vector and matches of the text.

    The score stays the similarity to the picture, or without one to the text's vector, so it need
    not fall from hit to hit.
    """
    depth = _depth(query)
    vectors = [vector for vector in (query.vector, query.text_vector) if vector is not None]
    if not len(matches) and len(vectors) == 1:  # there is nothing to fuse
        return await asyncio.to_thread(_by_one, view, query, vectors[0], registry)
    rankings = await asyncio.gather(
        *(asyncio.to_thread(view.ranking, each, depth) for each in vectors)
    )
    rankings.append(matches)
    return await asyncio.to_thread(_fused, view, query, vectors[0], rankings, registry)


def _fused(
    view: View,
    query: SearchQuery,
    vector: FloatVector,
    rankings: list[RowIds],
    registry: Registry,
) -> list[Hit]:
    """The page of what several rankings give together. Blocks."""
    row_ids, totals = fuse(rankings)
    if query.min_score is not None or query.cutoff:
        kept = _relevant(view, query, vector, row_ids)
        row_ids, totals = row_ids[kept], totals[kept]
    page = slice(query.offset, query.offset + query.limit)
    return _hits_of(view.scored(vector, view.best(row_ids, totals, page)), registry)


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
        kept &= (scores >= least) | np.isin(row_ids, named)
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
