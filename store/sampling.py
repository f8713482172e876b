"""A sample of a table's rows, the same for the same table."""

from typing import TYPE_CHECKING

import numpy as np
import pyarrow as pa

if TYPE_CHECKING:
    from lancedb import AsyncTable

_SEED = 20


async def sample_rows(table: "AsyncTable", rows: int, size: int, columns: list[str]) -> pa.Table:
    """Reads some rows, all where there are not more; in the table's order.

    Args:
        table: to sample.
        rows: that it has.
        size: how many to read at most.
        columns: to read.
    """
    if rows <= size:
        return await table.query().select(columns).to_arrow()
    drawn = np.random.default_rng(_SEED).random(size) * rows
    offsets = np.unique(drawn.astype(np.int64)).tolist()
    return await table.take_offsets(offsets).select(columns).to_arrow()
