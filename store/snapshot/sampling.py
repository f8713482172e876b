"""A sample of a table's rows, the same for the same table."""

from typing import TYPE_CHECKING

import numpy as np
import pyarrow as pa
from numpy.typing import NDArray

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
    return await table.take_offsets(sampled(rows, size).tolist()).select(columns).to_arrow()


def sampled(rows: int, size: int) -> NDArray[np.int64]:
    """The places of some rows, of all where there are not more; rising."""
    if rows <= size:
        return np.arange(rows)
    drawn = np.random.default_rng(_SEED).random(size) * rows
    return np.unique(drawn.astype(np.int64))
