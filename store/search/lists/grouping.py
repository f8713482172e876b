"""Grouped searches: of the images that share a key's value, or their pixels, the best one only.

An image without the key, or whose pixels are not known, shares it with none. Where both are asked
for, each value's best image is found first, and of these that share their pixels the best is left.
"""

from collections.abc import Sequence
from dataclasses import dataclass, field
from datetime import UTC
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
from numpy.typing import NDArray

from store.errors import QueryError, UnknownKeyError, shown
from store.metadata.columns import Key, Registry
from store.metadata.predicates import ALWAYS, among, missing, value_of
from store.metadata.rows import to_dicts
from store.metadata.values import ColumnType, format_timestamp, text_in
from store.schemas import SearchQuery
from store.search.lists.sort_keys import Order, SortKey, key_columns, scanned
from store.snapshot.fragments import ROW_ID, RowIds
from store.snapshot.snapshot import Snapshot

SIZE = "size"
"""Column of `first_rows`: how many rows are in the group, by the key."""

_VALUE, _PIXELS, _BEHIND = "value", "pixels", "behind"
_LAST = np.iinfo(np.int64).max
_Numbers = NDArray[np.int64]


@dataclass(frozen=True)
class Groups:
    """What images may share so that one of them stands for all.

    Attributes:
        key: its value; None where it is pixels alone.
        pixels: the same pixels, too.
    """

    key: Key | None
    pixels: bool

    @property
    def columns(self) -> list[str]:
        """The table's columns that tell of it."""
        own = [] if self.key is None else [column.name for column in self.key.all_columns]
        return [*own, *([_PIXELS] if self.pixels else [])]

    @property
    def sql(self) -> dict[str, str]:
        """SQL for what is shared, by the name that it has here."""
        value = {} if self.key is None else {_VALUE: value_of(self.key)}
        return value | ({_PIXELS: _PIXELS} if self.pixels else {})


def groups_of(query: SearchQuery, registry: Registry) -> Groups | None:
    """What a query groups by; None where it does not.

    Raises:
        UnknownKeyError: no image has had the key.
        QueryError: it is one of lists.
    """
    name = query.group_by
    if name is None:
        return Groups(None, pixels=True) if query.distinct else None
    key = registry.by_key.get(name)
    if key is None:
        raise UnknownKeyError(name, registry.by_key)
    if key.type is ColumnType.STRINGS:
        raise QueryError(
            f"metadata key {shown(name)} holds a list of strings: images cannot be grouped by it"
        )
    return Groups(key, query.distinct)


def first_rows(
    snapshot: Snapshot, order: Order, groups: Groups, where: str, behind: str | None
) -> pa.Table:
    """The first row of each group, of those that a predicate lets through, for `ranked_page`.

    The columns of the order and of the groups are read for all rows that match. Blocks.

    Args:
        snapshot: to list.
        order: of the rows, and so which of a group is the first.
        groups: of rows.
        where: an SQL predicate.
        behind: another one, for where to begin: groups whose first row is before are left out.
    """
    start = {} if behind is None else {_BEHIND: behind}
    table = scanned(snapshot, {**key_columns(order), **groups.sql, **start}, where)
    numbers = [
        number
        for name, each in zip(key_columns(order), order, strict=True)
        for number in _numbers(table[name], each)
    ]
    rows, sizes = np.arange(table.num_rows), np.ones(table.num_rows, np.int64)
    for name in groups.sql:
        codes = _codes(table[name])
        if name == _VALUE:
            sizes = np.bincount(codes)[codes]
        rows = _firsts(snapshot, table, rows, codes, numbers)
    if behind is not None:
        rows = rows[table[_BEHIND].to_numpy()[rows] != 0]
    own = table.select([*key_columns(order), ROW_ID])
    return own.append_column(SIZE, pa.array(sizes)).take(rows)


def _codes(column: pa.ChunkedArray) -> _Numbers:
    """A number for each row: the same one for the same value, and one of its own without any."""
    coded = column.combine_chunks().dictionary_encode()
    codes = np.array(coded.indices.fill_null(-1), np.int64)
    without = np.flatnonzero(codes < 0)
    codes[without] = len(coded.dictionary) + np.arange(len(without))
    return codes


def _numbers(column: pa.ChunkedArray, key: SortKey) -> list[_Numbers]:
    """Numbers by which rows come in the order of a key: lower ones first, one after the other."""
    values = column.combine_chunks()
    if pa.types.is_string(values.type):
        coded = values.dictionary_encode()
        ranks = np.empty(len(coded.dictionary) + 1, np.int64)
        ranks[pc.sort_indices(coded.dictionary).to_numpy()] = np.arange(len(coded.dictionary))
        numbers = ranks[np.array(coded.indices.fill_null(-1), np.int64)]
    elif pa.types.is_floating(values.type):
        bits = (np.array(values.fill_null(0.0), np.float64) + 0.0).view(np.int64)
        numbers = bits ^ ((bits >> 63) & _LAST)  # IEEE 754's order is that of these integers
    else:
        numbers = np.array(values.fill_null(0), np.int64)
    there = values.is_valid().to_numpy(zero_copy_only=False)
    numbers = np.where(there, ~numbers if key.descending else numbers, 0)
    return [numbers] if there.all() else [(~there).astype(np.int64), numbers]


def _firsts(
    snapshot: Snapshot, table: pa.Table, rows: _Numbers, codes: _Numbers, numbers: list[_Numbers]
) -> _Numbers:
    """Of some rows of a table those that come first of all with their code."""
    for each in numbers:
        least = np.full(codes.max(initial=0) + 1, _LAST)
        np.minimum.at(least, codes[rows], each[rows])
        rows = rows[each[rows] == least[codes[rows]]]
    shared = np.bincount(codes[rows])[codes[rows]] > 1
    if not shared.any():
        return rows
    tied = rows[shared]
    ids = snapshot.take(table[ROW_ID].to_numpy()[tied], ["id"])["id"]
    tied = tied[pc.sort_indices(ids).to_numpy()]
    _, firsts = np.unique(codes[tied], return_index=True)
    return np.concatenate([rows[~shared], tied[firsts]])


@dataclass
class Shown:
    """The rows of a ranking that stand for their groups, as it is gone through.

    Attributes:
        groups: of rows.
        row_ids: of those that are shown, best first.
        scores: of each.
        values: of the key, in each.
    """

    groups: Groups
    row_ids: list[int] = field(default_factory=list)
    scores: list[float] = field(default_factory=list)
    values: list[Any] = field(default_factory=list)
    _seen: set[Any] = field(default_factory=set)
    _pixels: set[str] = field(default_factory=set)
    _rows: set[int] = field(default_factory=set)

    def go_through(self, snapshot: Snapshot, row_ids: RowIds, scores: NDArray[np.float64]) -> None:
        """Takes in further rows of the ranking, best first. Blocks."""
        rows = to_dicts(snapshot.take(row_ids, ["id", *self.groups.columns]))
        for row_id, score, row in zip(row_ids.tolist(), scores.tolist(), rows, strict=True):
            value = None if self.groups.key is None else self.groups.key.value_of(row)
            if row_id not in self._rows and self._is_first(value, row.get(_PIXELS)):
                self._rows.add(row_id)
                self.row_ids.append(row_id)
                self.scores.append(score)
                self.values.append(value)

    def _is_first(self, value: Any, pixels: str | None) -> bool:
        if value is not None and value in self._seen:
            return False
        if value is not None:
            self._seen.add(value)
        if pixels is not None and pixels in self._pixels:
            return False
        if pixels is not None:
            self._pixels.add(pixels)
        return True

    def others(self, where: str) -> str:
        """A predicate's rows without those of which none can be shown any more."""
        parts = [] if where == ALWAYS else [f"({where})"]
        key = self.groups.key
        if key is not None and self._seen:
            parts.append(f"NOT {among(key, [*self._seen])}")
        if self._pixels:
            shown_before = f"pixels IS NOT NULL AND {text_in(_PIXELS, self._pixels)}"
            alone = "" if key is None else f"{missing(key)} AND "
            parts.append(f"NOT ({alone}{shown_before})")
        return " AND ".join(parts) or ALWAYS


def sizes_of(
    snapshot: Snapshot, groups: Groups, where: str, values: Sequence[Any]
) -> list[int] | None:
    """How many of the rows that a predicate lets through have each of some values. Blocks."""
    if (key := groups.key) is None:
        return None
    given = [value for value in values if value is not None]
    if not given:
        return [1] * len(values)
    those = among(key, given)
    filtered = those if where == ALWAYS else f"({where}) AND {those}"
    found = snapshot.dataset.scanner(columns={_VALUE: value_of(key)}, filter=filtered).to_table()
    counts = {_told(each["values"]): each["counts"] for each in _value_counts(found[_VALUE])}
    return [1 if value is None else counts.get(value, 1) for value in values]


def _value_counts(column: pa.ChunkedArray) -> list[dict[str, Any]]:
    # Naive: pyarrow looks up "UTC" in the system's time zones, which slim containers lack.
    is_moment = pa.types.is_timestamp(column.type)
    counted: list[dict[str, Any]] = pc.value_counts(
        column.cast(pa.timestamp("us")) if is_moment else column
    ).to_pylist()
    return counted


def _told(value: Any) -> Any:
    """A value as `Key.value_of` has it."""
    return format_timestamp(value.replace(tzinfo=UTC)) if hasattr(value, "tzinfo") else value
