"""Rows by their ids, in the order of the ids, and the vectors of a result as one matrix."""

import asyncio
from collections.abc import Sequence
from typing import TYPE_CHECKING

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

from store.literals import literal
from store.schemas import FloatVector

if TYPE_CHECKING:
    from lancedb import AsyncTable


async def fetched(table: "AsyncTable", ids: Sequence[str], columns: list[str]) -> pa.Table:
    """The rows of these ids in their order; ids that there are not are left out.

    Args:
        table: to read.
        ids: each at most once.
        columns: to return; the id has to be among them.
    """
    if not ids:
        return (await table.schema()).empty_table().select(columns)
    rows = table.query().where(f"id IN ({', '.join(map(literal, ids))})")
    found = await rows.select(columns).to_arrow()
    return await asyncio.to_thread(_in_order_of, found, ids)


def _in_order_of(found: pa.Table, ids: Sequence[str]) -> pa.Table:
    # The place in the result of each id, nothing where it is not there.
    places = pc.index_in(pa.array(ids, pa.string()), value_set=found["id"].combine_chunks())
    return found.take(places.drop_null())


def as_matrix(column: pa.Array | pa.ChunkedArray) -> FloatVector:
    """The vectors of a column, float32 [rows, dim]."""
    joined = column.combine_chunks() if isinstance(column, pa.ChunkedArray) else column
    flat = np.array(joined.flatten().to_numpy(zero_copy_only=False), np.float32)
    return flat.reshape(len(joined), -1) if len(joined) else flat.reshape(0, 1)
