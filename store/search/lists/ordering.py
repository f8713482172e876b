"""Sorting by metadata keys, and pages that go on behind an image: a cursor names its place.

Images without a key come last, whichever way it is sorted. What is the same in all keys is newest
first, then by id; so every image has one place, and pages that go on behind one neither repeat nor
leave out another, whatever is added or deleted meanwhile.
"""

import base64
import binascii
import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
from numpy.typing import NDArray

from store.errors import MetadataError, QueryError, UnknownKeyError, shown
from store.metadata.columns import CREATED_AT, Key, Registry
from store.metadata.predicates import ALWAYS, all_of, value_of
from store.metadata.rows import to_dicts
from store.metadata.values import ColumnType, format_timestamp, literal, typed
from store.schemas import MAX_SORT_KEYS, Hit, StoredImage
from store.search.lists.spans import Leading, is_shared, span_of
from store.snapshot.fragments import ROW_ID, RowIds
from store.snapshot.snapshot import Snapshot

_ID = "id"
_EPOCH = datetime(1970, 1, 1, tzinfo=UTC)


@dataclass(frozen=True)
class SortKey:
    """A key to sort by, and which way."""

    key: Key
    descending: bool

    @property
    def sql(self) -> str:
        """SQL for its value."""
        return value_of(self.key)

    @property
    def direction(self) -> str:
        """The way, as Arrow calls it."""
        return "descending" if self.descending else "ascending"


Order = tuple[SortKey, ...]
NEWEST: Order = (SortKey(CREATED_AT, descending=True),)


def order_of(sort: Sequence[str], registry: Registry) -> Order:
    """Reads an order: keys, each with ``-`` before it for the greatest first; ``$created_at`` too.

    A key that begins with ``-`` itself is meant where there is one.

    Raises:
        UnknownKeyError: no image has had one of the keys.
        QueryError: a key of lists, one twice, or too many.
    """
    if len(sort) > MAX_SORT_KEYS:
        raise QueryError(f"sort takes at most {MAX_SORT_KEYS} keys")
    if not sort:
        return NEWEST
    order = [_sort_key(each, {**registry.by_key, CREATED_AT.key: CREATED_AT}) for each in sort]
    names = {each.key.key for each in order}
    if len(names) < len(order):
        raise QueryError("sort names a key twice")
    return tuple(order) if CREATED_AT.key in names else (*order, *NEWEST)


def _sort_key(text: str, keys: Mapping[str, Key]) -> SortKey:
    descending = text not in keys and text.startswith("-")
    name = text[1:] if descending else text
    key = keys.get(name)
    if key is None:
        raise UnknownKeyError(name, keys)
    if key.type is ColumnType.STRINGS:
        raise QueryError(f"metadata key {shown(name)} holds a list of strings: it has no order")
    return SortKey(key, descending)


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


def key_columns(order: Order) -> dict[str, str]:
    """SQL for the values that are sorted by, by the name that each has here."""
    return {f"k{n}": each.sql for n, each in enumerate(order)}


def scanned(snapshot: Snapshot, columns: Mapping[str, str], where: str) -> pa.Table:
    """Values of all rows that a predicate lets through, by SQL, and the rows. Blocks."""
    scanner = snapshot.dataset.scanner(
        columns=dict(columns), filter=None if where == ALWAYS else where, with_row_id=True
    )
    return _comparable(scanner.to_table())


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
    some = some.append_column(_ID, snapshot.take(row_ids, ["id"])["id"].combine_chunks())
    ranked = pc.sort_indices(some, [*keys, (_ID, "ascending")]).to_numpy()
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


def _comparable(table: pa.Table) -> pa.Table:
    """Columns of types that Arrow sorts, and without the zone, which a slim system cannot name."""
    for place, field in enumerate(table.schema):
        number = {"timestamp[us, tz=UTC]": pa.int64(), "bool": pa.int8()}.get(str(field.type))
        if number is not None:
            table = table.set_column(place, field.name, table.column(place).cast(number))
    return table


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


def sort_hits(snapshot: Snapshot, order: Order, row_ids: RowIds) -> list[int]:
    """The places of some rows, up to a thousand, in an order. Blocks."""
    names = ["id", *{column.name for each in order for column in each.key.all_columns}]
    rows = to_dicts(snapshot.take(row_ids, names))
    places = sorted(range(len(rows)), key=lambda place: rows[place]["id"])
    for each in reversed(order):
        values = [each.key.value_of(row) for row in rows]
        there = [place for place in places if values[place] is not None]
        there.sort(key=values.__getitem__, reverse=each.descending)
        places = there + [place for place in places if values[place] is None]
    return places


def cursor_of(
    snapshot: Snapshot, sort: Sequence[str], order: Order, row_id: int, last: StoredImage | Hit
) -> str:
    """Names the place behind a row, for `read_cursor`.

    Args:
        snapshot: that it is of.
        sort: what was asked for.
        order: the same, read.
        row_id: of the row.
        last: what was read of it: all that there is to tell of an order by date.
    """
    if order is NEWEST:
        values: list[Any] = [format_timestamp(last.created_at)]
    else:
        names = [*{column.name for each in order for column in each.key.all_columns}]
        [row] = to_dicts(snapshot.take(np.array([row_id], np.uint64), names))
        values = [_compared(each.key, each.key.value_of(row)) for each in order]
    place = [*sort], values, last.id
    return base64.urlsafe_b64encode(json.dumps(place).encode()).decode().rstrip("=")


def _compared(key: Key, value: Any) -> Any:
    """A value as the engine compares it: a float also for an integer that none is equal to."""
    return float(value) if value is not None and key.type is ColumnType.FLOAT else value


@dataclass(frozen=True)
class Cursor:
    """The place in a list that a cursor names: behind a row.

    Attributes:
        values: of the row, by the keys of the order; None where it had none.
        id: of the row.
    """

    values: tuple[Any, ...]
    id: str

    def sql(self, order: Order) -> str:
        """SQL for the rows that come behind."""
        condition = f"id > {literal(self.id)}"
        for each, value in zip(reversed(order), reversed(self.values), strict=True):
            sql = each.sql
            if value is None:
                condition = f"({sql} IS NULL AND {condition})"
                continue
            same, beyond = literal(value), "<" if each.descending else ">"
            condition = (
                f"({sql} {beyond} {same} OR {sql} IS NULL OR ({sql} = {same} AND {condition}))"
            )
        return condition

    def behind(self, snapshot: Snapshot, order: Order, table: pa.Table) -> pa.Table:
        """Of `scanned` rows those that come behind. Blocks.

        By SQL the engine asks its indexes for half of all rows, or reads the ids of these.
        """
        before, same = np.zeros(len(table), np.bool_), np.ones(len(table), np.bool_)
        for name, each, value in zip(key_columns(order), order, self.values, strict=True):
            is_before, is_same = _beside(table[name], value, descending=each.descending)
            before |= same & is_before
            same &= is_same
        sharing = np.flatnonzero(same)
        ids = snapshot.take(table[ROW_ID].to_numpy()[sharing], [_ID])[_ID]
        before[sharing] = pc.less_equal(ids, self.id).to_numpy()
        return table.filter(pa.array(~before))


def _beside(
    column: pa.ChunkedArray, value: Any, *, descending: bool
) -> tuple[NDArray[np.bool_], NDArray[np.bool_]]:
    """Which values come before one in an order, and which are the same; those without come last."""
    if value is None:
        there = column.is_valid().to_numpy()
        return there, ~there
    # As `_comparable` has the column.
    if isinstance(value, datetime):
        value = (value - _EPOCH) // timedelta(microseconds=1)
    one = pa.scalar(int(value) if isinstance(value, bool) else value, column.type)
    before = pc.greater(column, one) if descending else pc.less(column, one)
    return tuple(pc.fill_null(each, False).to_numpy() for each in (before, pc.equal(column, one)))


def read_cursor(cursor: str, sort: Sequence[str], order: Order) -> Cursor:
    """Reads a cursor.

    Raises:
        QueryError: it is none, or of another order.
    """
    values, own = _read(cursor, sort, order)
    return Cursor(tuple(values), own)


def _read(cursor: str, sort: Sequence[str], order: Order) -> tuple[list[Any], str]:
    refused = QueryError("the cursor is not one that a search with this sort has answered")
    try:
        padded = cursor + "=" * (-len(cursor) % 4)
        given, values, own = json.loads(base64.b64decode(padded, b"-_", validate=True))
    except (ValueError, TypeError, binascii.Error, RecursionError) as error:
        raise refused from error
    right = isinstance(values, list) and isinstance(own, str) and given == [*sort]
    if not right or len(values) != len(order):
        raise refused
    try:
        read = [
            None if v is None else _typed(each.key, v)
            for v, each in zip(values, order, strict=True)
        ]
    except MetadataError as error:
        raise refused from error
    return read, own


def _typed(key: Key, value: Any) -> Any:
    return typed(key.key, value, key.type)[1]
