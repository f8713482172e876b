"""Searching a snapshot: nearest to a vector, text and vectors fused by rank, or newest first."""

from collections.abc import Sequence
from dataclasses import dataclass, replace

import numpy as np
from numpy.typing import NDArray

from store.errors import QueryError
from store.metadata.filters import where_of
from store.metadata.predicates import ALWAYS
from store.metadata.rows import check_vector, scores_of, selected, to_hits
from store.metadata.values import is_unicode
from store.schemas import (
    MAX_LIMIT,
    MAX_OFFSET,
    MAX_TEXT_CHARS,
    FloatVector,
    Found,
    Hit,
    SearchQuery,
    StoredImage,
)
from store.search.cutoff import KEEP_ALL, cutoff_score
from store.search.facets import facets_under
from store.search.nearest import depth_of, nearest
from store.search.ordering import Order, behind, cursor_of, order_of, sort_hits, sorted_page
from store.search.ranking import fuse, matching, newest
from store.snapshot.fragments import RowIds, distances
from store.snapshot.snapshot import Snapshot

FUSION_DEPTH = 256
"""How deep each list goes into a fusion at least.

It is the same for all pages of up to so many hits, so that paging through them neither repeats nor
leaves out an image; deeper pages come from deeper lists, whose order may differ.
"""


@dataclass(frozen=True, eq=False)
class Matches:
    """What the text of a query matches, known before its vectors are.

    Attributes:
        snapshot: that was searched, and is to be searched for the rest.
        where: the query's filter, compiled.
        rows: best first, uint64 [rows].
    """

    snapshot: Snapshot
    where: str
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
    if query.cursor is not None and (query.vector is not None or query.text is not None):
        raise QueryError("a cursor goes on with a search by a filter alone; page by offset here")
    if query.cursor is not None and query.offset:
        raise QueryError("cursor and offset do not go together: give one of them")


def matches_of(snapshot: Snapshot, query: SearchQuery) -> Matches:
    """What the text of a query matches, for `search`. Blocks.

    Raises:
        FilterError: the filter is not in the language or does not fit the columns.
    """
    where = where_of(query.filter, snapshot.registry)
    return Matches(snapshot, where, matching(snapshot, query.text or "", _depth(query), where))


def search(snapshot: Snapshot, query: SearchQuery, matches: Matches | None = None) -> Found:
    """Answers a checked query. The filter is applied before any ranking. Blocks.

    Args:
        snapshot: to search.
        query: checked.
        matches: of its text in this snapshot; None where it has none.

    Raises:
        FilterError: the filter is not in the language or does not fit the columns.
    """
    where = where_of(query.filter, snapshot.registry) if matches is None else matches.where
    facets = facets_under(snapshot, query.facets, where) if query.facets else None
    if query.vector is None and query.text_vector is None:
        row_ids, order = listed(snapshot, query, where)
        hits = _hits(snapshot, row_ids, None)
        found = Found(hits, next_of(snapshot, query, order, row_ids, hits), facets=facets)
    else:
        found = Found(_hits(snapshot, *_ranked(snapshot, query, where, matches)), facets=facets)
    return replace(found, total=_count(snapshot, where)) if query.total else found


def _count(snapshot: Snapshot, where: str) -> int:
    return snapshot.rows if where == ALWAYS else int(snapshot.dataset.count_rows(filter=where))


def _hits(snapshot: Snapshot, row_ids: RowIds, scores: NDArray[np.float64] | None) -> list[Hit]:
    registry = snapshot.registry
    return to_hits(snapshot.take(row_ids, selected(registry)), scores, registry)


def listed(snapshot: Snapshot, query: SearchQuery, where: str) -> tuple[RowIds, Order | None]:
    """A page of what a predicate lets through; and if there is more behind it, its order.

    Raises:
        UnknownKeyError: no image has had one of the keys to sort by.
        QueryError: the order is none, or the cursor is of another.
    """
    order, before = order_of(query.sort, snapshot.registry), None
    if query.cursor is not None:
        condition, before = behind(query.cursor, query.sort, order)
        where = f"({where}) AND {condition}"
    if query.sort:
        page = slice(query.offset, query.offset + query.limit)
        row_ids, more = sorted_page(snapshot, order, where, page)
    else:
        row_ids = newest(snapshot, query.limit + 1, query.offset, where, before)
        row_ids, more = row_ids[: query.limit], len(row_ids) > query.limit
    return row_ids, order if more else None


def next_of(
    snapshot: Snapshot,
    query: SearchQuery,
    order: Order | None,
    row_ids: RowIds,
    rows: Sequence[StoredImage | Hit],
) -> str | None:
    """The cursor of the page behind one that was `listed`, from its rows; None if there is none."""
    if order is None:
        return None
    return cursor_of(snapshot, query.sort, order, row_ids[-1], rows[-1])


def _ranked(
    snapshot: Snapshot, query: SearchQuery, where: str, matches: Matches | None
) -> tuple[RowIds, NDArray[np.float64]]:
    """The page of a search by vectors: best first, or of the best thousand in another order."""
    if not query.sort:
        return _by_relevance(snapshot, query, where, matches)
    order = order_of(query.sort, snapshot.registry)
    cutoff = query.cutoff or query.min_score is None
    best = replace(query, sort=(), limit=MAX_LIMIT, offset=0, cutoff=cutoff)
    row_ids, scores = _by_relevance(snapshot, best, where, matches)
    places = sort_hits(snapshot, order, row_ids)[query.offset : query.offset + query.limit]
    return row_ids[places], scores[places]


def _by_relevance(
    snapshot: Snapshot, query: SearchQuery, where: str, matches: Matches | None
) -> tuple[RowIds, NDArray[np.float64]]:
    vectors = [vector for vector in (query.vector, query.text_vector) if vector is not None]
    if matches is None or (len(vectors) == 1 and not len(matches.rows)):  # nothing to fuse
        return _by_vector(snapshot, query, vectors[0], where)
    return _fused(snapshot, query, vectors, matches)


def _by_vector(
    snapshot: Snapshot, query: SearchQuery, vector: FloatVector, where: str
) -> tuple[RowIds, NDArray[np.float64]]:
    """The page of the rows nearest to one vector, and their scores."""
    page = slice(query.offset, query.offset + query.limit)
    row_ids, far = nearest(snapshot, vector, page, where, everywhere=query.text is not None)
    scores = scores_of(far)
    if query.min_score is None and not query.cutoff:
        return row_ids, scores
    least = KEEP_ALL if query.min_score is None else query.min_score
    if query.cutoff:
        least = max(least, _cutoff(snapshot, vector, where))
    relevant = scores >= least
    return row_ids[relevant], scores[relevant]


def _fused(
    snapshot: Snapshot, query: SearchQuery, vectors: list[FloatVector], matches: Matches
) -> tuple[RowIds, NDArray[np.float64]]:
    """The page of the rows nearest to the picture and the text's vector and matches of the text.

    The score stays the similarity to the picture, or without one to the text's vector, so it need
    not fall from hit to hit.
    """
    lists = [matches.rows]
    for vector in vectors:
        top = slice(0, _depth(query))
        lists.append(nearest(snapshot, vector, top, matches.where, everywhere=True)[0])
    row_ids, totals = fuse(lists)
    if query.min_score is not None or query.cutoff:
        relevant = _relevant(snapshot, query, vectors[0], row_ids, matches.where)
        row_ids, totals = row_ids[relevant], totals[relevant]
    page = slice(query.offset, query.offset + query.limit)
    row_ids, _ = snapshot.ranked(row_ids, -totals, page)
    return row_ids, scores_of(distances(snapshot.vectors(row_ids), vectors[0]))


def _relevant(
    snapshot: Snapshot, query: SearchQuery, vector: FloatVector, row_ids: RowIds, where: str
) -> NDArray[np.bool_]:
    """Which rows of a fusion pass the query's ``min_score`` and ``cutoff``."""
    scores = scores_of(distances(snapshot.vectors(row_ids), vector))
    relevant = scores >= (KEEP_ALL if query.min_score is None else query.min_score)
    if query.cutoff:
        # A stored text with every word of the query is relevant, whatever its picture shows.
        named = matching(snapshot, query.text or "", _depth(query), where, every_word=True)
        relevant &= (scores >= _cutoff(snapshot, vector, where)) | np.isin(row_ids, named)
    return np.asarray(relevant)


def _cutoff(snapshot: Snapshot, vector: FloatVector, where: str) -> float:
    """The least score of a relevant row; see `store.search.cutoff`."""
    _, far = nearest(snapshot, vector, slice(0, 1), where)
    if not len(far):
        return KEEP_ALL
    return cutoff_score(float(scores_of(far)[0]), snapshot.sample @ vector, snapshot.rows)


def _depth(query: SearchQuery) -> int:
    return depth_of(max(FUSION_DEPTH, query.offset + query.limit)).rows
