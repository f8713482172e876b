"""Searching a snapshot: what a query may ask for, and lists of what a filter keeps."""

from collections.abc import Sequence
from dataclasses import dataclass, replace

import numpy as np
from numpy.typing import NDArray

from store.errors import QueryError
from store.metadata.filters import where_of
from store.metadata.predicates import ALWAYS, all_of
from store.metadata.rows import check_vector, selected, to_hits
from store.metadata.values import is_unicode
from store.schemas import (
    MAX_LIMIT,
    MAX_OFFSET,
    MAX_TEXT_CHARS,
    Found,
    GroupedHit,
    Hit,
    ObjectQuery,
    SearchQuery,
    StoredImage,
)
from store.search.facets import facets_under
from store.search.lists.cursors import cursor_of, read_cursor
from store.search.lists.grouping import SIZE, first_rows, groups_of
from store.search.lists.newest import newest_in_memory
from store.search.lists.ordering import ranked_page, sorted_page
from store.search.lists.sort_keys import NEWEST, Order, order_of
from store.search.objects.hits import object_hits
from store.search.relevance import Matches, ranked
from store.snapshot.fragments import ROW_ID, RowIds
from store.snapshot.snapshot import Snapshot


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
    objects = None if query.objects is None else _checked_objects(query, dim)
    check_text(query)
    return replace(query, vector=vector, text_vector=text_vector, objects=objects)


def _checked_objects(query: SearchQuery, dim: int) -> ObjectQuery:
    """A search for objects with vectors of its own.

    Raises:
        QueryError: there is nothing to look for, or what does not go with it.
        InvalidRowError: as for `check_query`.
    """
    asked = query.objects
    assert asked is not None  # noqa: S101 - who calls it has looked
    if not asked.terms:
        raise QueryError("a search for objects needs a picture, an object or a text to look for")
    if any(not term.weight > 0 for term in asked.terms):
        raise QueryError("a search for objects takes weights above 0 only")
    if query.cursor is not None:
        raise QueryError("a cursor goes on with a search by a filter alone; page by offset here")
    terms = tuple(replace(term, vector=check_vector(term.vector, dim)) for term in asked.terms)
    return replace(asked, terms=terms)


def check_text(query: SearchQuery) -> None:
    """Checks the text of a query whose vectors may still be missing.

    Raises:
        QueryError: too long, not Unicode, or missing where something goes with it.
    """
    if query.text is not None and len(query.text) > MAX_TEXT_CHARS:
        raise QueryError(f"the text must have at most {MAX_TEXT_CHARS} characters")
    if query.text is not None and not is_unicode(query.text):
        raise QueryError("the text is not valid Unicode")
    scored = query.vector is not None or query.objects is not None
    if not scored and query.text is None and query.min_score is not None:
        raise QueryError("min_score needs a picture or a text to score against")
    if not scored and query.text is None and query.cutoff:
        raise QueryError("cutoff needs a picture or a text to score against")
    if query.cursor is not None and (query.vector is not None or query.text is not None):
        raise QueryError("a cursor goes on with a search by a filter alone; page by offset here")
    if query.cursor is not None and query.offset:
        raise QueryError("cursor and offset do not go together: give one of them")


def search(
    snapshot: Snapshot,
    query: SearchQuery,
    matches: Matches | None = None,
    objects: Snapshot | None = None,
) -> Found:
    """Answers a checked query. The filter is applied before any ranking. Blocks.

    Args:
        snapshot: to search.
        query: checked.
        matches: of its text in this snapshot; None where it has none.
        objects: of the table of objects, for a search among these.

    Raises:
        FilterError: the filter is not in the language or does not fit the columns.
    """
    where = where_of(query.filter, snapshot.registry) if matches is None else matches.where
    facets = facets_under(snapshot, query.facets, where) if query.facets else None
    if objects is not None:
        found = Found(list(object_hits(snapshot, objects, query, where)), facets=facets)
    elif query.vector is None and query.text_vector is None:
        page = listed(snapshot, query, where)
        hits = _hits(snapshot, page.rows, None, page.sizes)
        found = Found(hits, next_of(snapshot, query, page, hits), facets=facets)
    else:
        best = ranked(snapshot, query, where, matches)
        found = Found(_hits(snapshot, best.rows, best.scores, best.sizes), facets=facets)
    return replace(found, total=snapshot.count(where)) if query.total else found


def _hits(
    snapshot: Snapshot,
    row_ids: RowIds,
    scores: NDArray[np.float64] | None,
    sizes: list[int] | None,
) -> list[Hit]:
    registry = snapshot.registry
    hits = to_hits(snapshot.take(row_ids, selected(registry)), scores, registry)
    if sizes is None:
        return hits
    return [GroupedHit(**vars(hit), group_size=n) for hit, n in zip(hits, sizes, strict=True)]


@dataclass(frozen=True, eq=False)
class Listed:
    """A page of a list.

    Attributes:
        rows: uint64 [rows].
        order: of the list, if there is more behind the page.
        sizes: of the group of each row, where they are grouped by a key.
    """

    rows: RowIds
    order: Order | None
    sizes: list[int] | None = None


def listed(snapshot: Snapshot, query: SearchQuery, where: str) -> Listed:
    """A page of what a predicate lets through.

    Raises:
        UnknownKeyError: no image has had one of the keys to sort or group by.
        QueryError: the order is none, or the cursor is of another.
    """
    order = order_of(query.sort, snapshot.registry)
    page = slice(query.offset, query.offset + query.limit)
    cursor = None if query.cursor is None else read_cursor(query.cursor, query.sort, order)
    if (groups := groups_of(query, snapshot.registry)) is not None:
        behind = None if cursor is None else cursor.sql(order)
        firsts = first_rows(snapshot, order, groups, where, behind)
        rows, more = ranked_page(snapshot, order, firsts, page)
        sizes = None if groups.key is None else rows[SIZE].to_pylist()
        return Listed(rows[ROW_ID].to_numpy(), order if more else None, sizes)
    found = None
    if order is NEWEST:
        behind = ALWAYS if cursor is None else cursor.sql(order)
        found = newest_in_memory(snapshot, page, all_of(where, behind))
    row_ids, more = found or sorted_page(snapshot, order, where, page, cursor)
    return Listed(row_ids, order if more else None)


def next_of(
    snapshot: Snapshot, query: SearchQuery, page: Listed, rows: Sequence[StoredImage | Hit]
) -> str | None:
    """The cursor behind a page, from its rows as they were read; None if there is nothing."""
    if page.order is None:
        return None
    return cursor_of(snapshot, query.sort, page.order, page.rows[-1], rows[-1])
