"""The recall of the vector index, measured on the table itself."""

import asyncio
from typing import TYPE_CHECKING

import numpy as np
import pyarrow as pa

from store.metadata.filters import ALWAYS
from store.metadata.rows import as_matrix
from store.schemas import FloatVector
from store.search.nearest import nearest
from store.snapshot.latest import Snapshots
from store.snapshot.snapshot import Snapshot, sampled
from store.upkeep.vector_index import vector_index_of

if TYPE_CHECKING:
    from lancedb import AsyncTable

SAMPLE = 50
TOP = 10
_BATCH_ROWS = 8192
# Two float32 similarities of one pair differ by as much.
_TOLERANCE = 1e-5


async def estimate_recall(table: "AsyncTable", sample: int = SAMPLE) -> float | None:
    """Recall@10 of searches by index, against exact search.

    The queries are stored vectors, the same ones for the same table. Each of them finds itself,
    which is no merit, so it is taken out of both answers. A hit counts that is as near as the
    tenth exact one, so that equal rows may stand for each other. All queries are compared with the
    table in one pass over its vectors, a batch in memory at a time.

    Returns:
        The mean share, 0 to 1; 1.0 without an index, None where the table is too small to tell.
    """
    if await vector_index_of(table) is None:
        return 1.0
    rows = int(await table.count_rows())
    if rows <= TOP + 1:
        return None
    places = sampled(rows, sample).tolist()
    queries = await table.take_offsets(places).select(["id", "vector"]).to_arrow()
    snapshot = await Snapshots(table).latest()
    ids, vectors = queries["id"].to_pylist(), as_matrix(queries["vector"])
    least = await _tenth_best(table, vectors)
    shares = [
        await asyncio.to_thread(_share_found, snapshot, *each)
        for each in zip(ids, vectors, least.tolist(), strict=True)
    ]
    return float(np.mean(shares))


def _share_found(snapshot: Snapshot, own_id: str, vector: FloatVector, least: float) -> float:
    row_ids, far = nearest(snapshot, vector.copy(), slice(0, TOP + 1), ALWAYS)
    ids = snapshot.take(row_ids, ["id"])["id"].to_pylist()
    pairs = zip(ids, far.tolist(), strict=True)
    others = [distance for each, distance in pairs if each != own_id][:TOP]
    return sum(1.0 for distance in others if 1 - distance >= least - _TOLERANCE) / TOP


async def _tenth_best(table: "AsyncTable", queries: FloatVector) -> FloatVector:
    """The similarity of each query's tenth nearest row, itself not counted; float32 [queries]."""
    best = np.full((len(queries), TOP + 1), -np.inf, np.float32)
    batches = await table.query().select(["vector"]).to_batches(max_batch_length=_BATCH_ROWS)
    async for batch in batches:
        # In a thread: the event loop has requests to serve.
        best = await asyncio.to_thread(_better, best, queries, batch["vector"])
    # The nearest is the query itself, so this is the tenth of the others.
    return np.asarray(best.min(axis=1))


def _better(best: FloatVector, queries: FloatVector, column: pa.Array) -> FloatVector:
    """The highest similarities, those of some more rows taken in."""
    scores = np.concatenate([best, queries @ as_matrix(column).T], axis=1)
    return np.partition(scores, -(TOP + 1), axis=1)[:, -(TOP + 1) :]
