"""The rows newest first.

Sorting a million rows for a page of ten takes 0.2 s, 0.4 s with a filter. So only the rows since a
moment are sorted, one that a sample of the table's dates puts a little before the page's last row;
where that was not early enough, all are.
"""

import asyncio
import math
from datetime import datetime
from typing import TYPE_CHECKING, Any

import pyarrow as pa

from store.fetching import fetched, filtered
from store.filters import ALWAYS
from store.literals import literal
from store.rows import to_dicts
from store.sampling import sample_rows

if TYPE_CHECKING:
    from lancedb import AsyncTable

# A table of fewer rows is sorted whole.
MIN_ROWS = 20_000
SAMPLE_ROWS = 256
# From here on the order is found first and the page's rows are fetched after it: a sort keeps all
# that it passes over.
LATE_OFFSET = 20_000
_ORDERED_BY = ["created_at", "id"]
# How many sampled rows more than expected have to be newer than the moment.
_MARGIN = 2


async def newest(
    table: "AsyncTable", columns: list[str], limit: int, offset: int, where: str
) -> list[dict[str, Any]]:
    """The rows newest first, those of one moment by id.

    Args:
        table: to list.
        columns: to return; those that the order goes by have to be among them.
        limit: how many rows at most.
        offset: how many to leave out first.
        where: an SQL predicate.
    """
    rows = await _page(table, columns, limit, offset, where)
    return await asyncio.to_thread(to_dicts, rows)


async def _page(
    table: "AsyncTable", columns: list[str], limit: int, offset: int, where: str
) -> pa.Table:
    since = await _since(table, offset + limit, where)
    if since is not None:
        recent = f"created_at >= {literal(since)}"
        narrowed = recent if where == ALWAYS else f"({where}) AND {recent}"
        found = await _sorted(table, columns, limit, offset, narrowed)
        if len(found) == limit:
            return found
    if offset < LATE_OFFSET:
        return await _sorted(table, columns, limit, offset, where)
    order = await _sorted(table, _ORDERED_BY, limit, offset, where)
    return await fetched(table, order["id"].to_pylist(), columns)


async def _sorted(
    table: "AsyncTable", columns: list[str], limit: int, offset: int, where: str
) -> pa.Table:
    from lancedb.query import ColumnOrdering  # noqa: PLC0415 - see store.engine

    order = [
        ColumnOrdering(column_name="created_at", ascending=False),
        ColumnOrdering(column_name="id"),
    ]
    rows = filtered(table.query(), where).order_by(order).select(columns)
    return await rows.limit(limit).offset(offset).to_arrow()


async def _since(table: "AsyncTable", needed: int, where: str) -> datetime | None:
    """A moment since which there are probably as many rows that match; None for "all of them"."""
    rows = int(await table.count_rows())
    if rows < MIN_ROWS:
        return None
    matching = rows if where == ALWAYS else int(await table.count_rows(where))
    place = math.ceil(SAMPLE_ROWS * needed / max(1, matching)) + _MARGIN
    if place >= SAMPLE_ROWS:
        return None
    sample = await sample_rows(table, rows, SAMPLE_ROWS, ["created_at"])
    moments = sorted((row["created_at"] for row in to_dicts(sample)), reverse=True)
    return moments[place] if place < len(moments) else None
