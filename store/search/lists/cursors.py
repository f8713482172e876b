"""Cursors: each names the place in a sorted list behind an image, where the next page begins."""

import base64
import binascii
import json
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
from numpy.typing import NDArray

from store.errors import MetadataError, QueryError
from store.metadata.columns import Key
from store.metadata.rows import to_dicts
from store.metadata.values import ColumnType, format_timestamp, literal, typed
from store.schemas import Hit, StoredImage
from store.search.lists.sort_keys import NEWEST, Order, key_columns
from store.snapshot.fragments import ROW_ID
from store.snapshot.snapshot import Snapshot

ID = "id"
_EPOCH = datetime(1970, 1, 1, tzinfo=UTC)


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
        ids = snapshot.take(table[ROW_ID].to_numpy()[sharing], [ID])[ID]
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
