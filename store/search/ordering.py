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
from datetime import datetime
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

from store.errors import MetadataError, QueryError, UnknownKeyError, shown
from store.metadata.columns import CREATED_AT, Key, Registry
from store.metadata.predicates import ALWAYS, value_of
from store.metadata.rows import to_dicts
from store.metadata.values import ColumnType, format_timestamp, literal, typed
from store.schemas import MAX_SORT_KEYS, Hit, StoredImage
from store.snapshot.fragments import ROW_ID, RowIds
from store.snapshot.snapshot import Snapshot

_ID = "id"


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


def sorted_page(snapshot: Snapshot, order: Order, where: str, page: slice) -> tuple[RowIds, bool]:
    """A page of the rows that a predicate lets through, in an order. Blocks.

    The keys' columns are read for all rows that match, and ids for those that may be on the page.

    Returns:
        The rows, and whether there are more behind them.
    """
    table = scanned(snapshot, key_columns(order), where)
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
    row_ids = np.asarray(some[ROW_ID].to_numpy())
    some = some.append_column(_ID, snapshot.take(row_ids, ["id"])["id"].combine_chunks())
    ranked = pc.sort_indices(some, [*keys, (_ID, "ascending")]).to_numpy()
    return some.take(ranked[page]), len(ranked) > page.stop


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
    """Names the place behind a row, for `behind`.

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


def behind(cursor: str, sort: Sequence[str], order: Order) -> tuple[str, datetime | None]:
    """SQL for whether a row comes behind the one that a cursor names.

    Returns:
        The predicate; and if the order is that of the newest, the moment of the cursor's row.

    Raises:
        QueryError: the cursor is none, or of another order.
    """
    values, own = _read(cursor, sort, order)
    condition = f"id > {literal(own)}"
    for each, value in zip(reversed(order), reversed(values), strict=True):
        sql = each.sql
        if value is None:
            condition = f"({sql} IS NULL AND {condition})"
            continue
        same, beyond = literal(value), "<" if each.descending else ">"
        condition = f"({sql} {beyond} {same} OR {sql} IS NULL OR ({sql} = {same} AND {condition}))"
    return condition, values[0] if order is NEWEST else None


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
