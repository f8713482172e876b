"""Sort keys: what a list is sorted by, and the values of rows that are compared for it."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import pyarrow as pa

from store.errors import QueryError, UnknownKeyError, shown
from store.metadata.columns import CREATED_AT, Key, Registry
from store.metadata.predicates import ALWAYS, value_of
from store.metadata.rows import to_dicts
from store.metadata.values import ColumnType
from store.schemas import MAX_SORT_KEYS
from store.snapshot.fragments import RowIds
from store.snapshot.snapshot import Snapshot


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


def key_columns(order: Order) -> dict[str, str]:
    """SQL for the values that are sorted by, by the name that each has here."""
    return {f"k{n}": each.sql for n, each in enumerate(order)}


def scanned(snapshot: Snapshot, columns: Mapping[str, str], where: str) -> pa.Table:
    """Values of all rows that a predicate lets through, by SQL, and the rows. Blocks."""
    scanner = snapshot.dataset.scanner(
        columns=dict(columns), filter=None if where == ALWAYS else where, with_row_id=True
    )
    return _comparable(scanner.to_table())


def _comparable(table: pa.Table) -> pa.Table:
    """Columns of types that Arrow sorts, and without the zone, which a slim system cannot name."""
    for place, field in enumerate(table.schema):
        number = {"timestamp[us, tz=UTC]": pa.int64(), "bool": pa.int8()}.get(str(field.type))
        if number is not None:
            table = table.set_column(place, field.name, table.column(place).cast(number))
    return table


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
