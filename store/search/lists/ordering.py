"""Sorting by metadata keys, and pages that go on behind an image: a cursor names its place.

Images without a key come last, whichever way it is sorted. What is the same in all keys is newest
first, then by id; so every image has one place, and pages that go on behind one neither repeat nor
leave out another, whatever is added or deleted meanwhile.
"""

from collections.abc import Sequence

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

from store.metadata.predicates import ALWAYS, all_of
from store.search.lists.cursors import ID, Cursor
from store.search.lists.sort_keys import Order, key_columns, scanned
from store.search.lists.spans import Leading, is_shared, span_of
from store.snapshot.fragments import ROW_ID, RowIds
from store.snapshot.snapshot import Snapshot


def sorted_page(
    snapshot: Snapshot, order: Order, where: str, page: slice, cursor: "Cursor | None" = None
) -> tuple[RowIds, bool]:
    """A page of the rows that a predicate lets through, in an order. Blocks.

    The keys' columns are read for the rows among which the page is, see
    `store.search.lists.spans`, or for all that match; and ids for those that share a place with
    one on the page.

    Args:
        snapshot: to list.
        order: of the rows.
        where: an SQL predicate.
        page: which of them.
        cursor: behind which they come.

    Returns:
        The rows, and whether there are more behind them.
    """
    found = None if cursor is None else _page_of_value(snapshot, order, where, page, cursor)
    found = found or _page_in_span(snapshot, order, where, page, cursor)
    if found is not None:
        return found
    behind = ALWAYS if cursor is None else cursor.sql(order)
    table = scanned(snapshot, key_columns(order), all_of(where, behind))
    return _ranked_rows(snapshot, order, table, page)


def _page_of_value(
    snapshot: Snapshot, order: Order, where: str, page: slice, cursor: "Cursor"
) -> tuple[RowIds, bool] | None:
    """The page if all of it has the cursor's first value, as where few values are sorted by.

    These rows are paged by the keys that are left, so that not all of them are read.
    """
    first, *others = order
    by, value = Leading.of(first.key, descending=first.descending), cursor.values[0]
    if not others or by is None or value is None or not is_shared(snapshot, by, value):
        return None
    same, rest = all_of(where, by.between(value, value)), Cursor(cursor.values[1:], cursor.id)
    rows, more = sorted_page(snapshot, tuple(others), same, page, rest)
    return (rows, True) if more else None


def _page_in_span(
    snapshot: Snapshot, order: Order, where: str, page: slice, cursor: "Cursor | None"
) -> tuple[RowIds, bool] | None:
    """The page by the span that it is in; None where it is not known."""
    after = None if cursor is None else cursor.values[0]
    by = Leading.of(order[0].key, descending=order[0].descending)
    if by is None or (cursor is not None and after is None):
        return None
    span = span_of(snapshot, by, where, page, after)
    if span is None:
        return None
    table = scanned(snapshot, key_columns(order), all_of(where, span.where))
    if cursor is not None:
        table = cursor.behind(snapshot, order, table)
    if not span.holds(table.num_rows, page):
        snapshot.forget_sample(by.name)
        return None
    return _ranked_rows(snapshot, order, table, span.within(page))


def _ranked_rows(
    snapshot: Snapshot, order: Order, table: pa.Table, page: slice
) -> tuple[RowIds, bool]:
    found, more = ranked_page(snapshot, order, table, page)
    return np.asarray(found[ROW_ID].to_numpy()), more


def ranked_page(
    snapshot: Snapshot, order: Order, table: pa.Table, page: slice
) -> tuple[pa.Table, bool]:
    """A page of `scanned` rows in an order, and whether there are more behind it. Blocks."""
    keys = [(name, each.direction) for name, each in zip(key_columns(order), order, strict=True)]
    some = _first(table, page.stop + 1, keys)
    some = some.take(pc.sort_indices(some, keys))  # those without a value last
    more = some.num_rows > page.stop
    first, end = _sharing(some, [name for name, _ in keys], page)
    some = some.slice(first, end - first)
    row_ids = np.asarray(some[ROW_ID].to_numpy())
    some = some.append_column(ID, snapshot.take(row_ids, ["id"])["id"].combine_chunks())
    ranked = pc.sort_indices(some, [*keys, (ID, "ascending")]).to_numpy()
    return some.take(ranked[page.start - first : page.stop - first]), more


def _sharing(table: pa.Table, names: Sequence[str], page: slice) -> tuple[int, int]:
    """From which sorted row to which they share a place with one on a page, or are on it."""
    rows = table.num_rows
    if page.start >= rows:
        return page.start, page.start
    same = np.ones(max(0, rows - 1), np.bool_)
    for name in names:
        values = table[name].combine_chunks()
        equal = pc.fill_null(pc.equal(values[1:], values[:-1]), False)
        neither = pc.and_(pc.is_null(values[1:]), pc.is_null(values[:-1]))
        same &= pc.or_(equal, neither).to_numpy(zero_copy_only=False)
    new = np.flatnonzero(~same) + 1
    firsts, last = np.concatenate([[0], new, [rows]]), min(page.stop, rows) - 1
    first = firsts[np.searchsorted(firsts, page.start, side="right") - 1]
    return int(first), int(firsts[np.searchsorted(firsts, last, side="right")])


def _first(table: pa.Table, count: int, keys: Sequence[tuple[str, str]]) -> pa.Table:
    """So many first rows in any order, and those that are the same as the last of them."""
    if not keys or table.num_rows <= count:
        return table
    (name, direction), *others = keys
    there = table.filter(pc.is_valid(table[name]))
    if there.num_rows < count:
        missing = table.filter(pc.is_null(table[name]))
        return pa.concat_tables([there, _first(missing, count - there.num_rows, others)])
    last = pc.select_k_unstable(there.select([name]), count, [(name, direction)])[-1]
    edge = there[name][last.as_py()]
    is_before = pc.less if direction == "ascending" else pc.greater
    before = there.filter(is_before(there[name], edge))
    same = there.filter(pc.equal(there[name], edge))
    return pa.concat_tables([before, _first(same, count - before.num_rows, others)])
