"""The recall of the vector index, measured on the table itself."""

import asyncio
from typing import TYPE_CHECKING

import numpy as np

from store.metadata.filters import ALWAYS
from store.metadata.rows import as_matrix
from store.search.nearest import nearest
from store.snapshot.latest import Snapshots
from store.snapshot.snapshot import Snapshot, sampled

if TYPE_CHECKING:
    from lancedb import AsyncTable

SAMPLE = 50
TOP = 10
_BATCH_ROWS = 8192
# Two float32 similarities of one pair differ by as much.
_TOLERANCE = 1e-5


async def estimate_recall(table: "AsyncTable") -> float | None:
    """Recall@10 of searches by index, against exact search.

    The queries are stored vectors, the same ones for the same table. Each of them finds itself,
    which is no merit, so it is taken out of both answers. A hit counts that is as near as the
    tenth exact one, so that equal rows may stand for each other. All queries are compared with the
    table in one pass over its vectors, a batch in memory at a time.

    Returns:
        The mean share, 0 to 1; 1.0 without an index, None where the table is too small to tell.
    """
    return await asyncio.to_thread(_recall, await Snapshots(table).latest())


def _recall(snapshot: Snapshot) -> float | None:
    if not snapshot.indexed:
        return 1.0
    if snapshot.rows <= TOP + 1:
        return None
    places = sampled(snapshot.rows, SAMPLE).tolist()
    rows = snapshot.dataset.take(places, columns=["id", "vector"])
    queries = as_matrix(rows["vector"])
    best = np.full((len(queries), TOP + 1), -np.inf, np.float32)
    scanner = snapshot.dataset.scanner(columns=["vector"], batch_size=_BATCH_ROWS)
    for batch in scanner.to_batches():
        scores = np.concatenate([best, queries @ as_matrix(batch["vector"]).T], axis=1)
        best = np.partition(scores, -(TOP + 1), axis=1)[:, -(TOP + 1) :]
    # The nearest is the query itself, so the least of these is the tenth of the others.
    least, found = best.min(axis=1) - _TOLERANCE, 0
    for own, query, score in zip(rows["id"].to_pylist(), queries, least, strict=True):
        row_ids, far = nearest(snapshot, query.copy(), slice(0, TOP + 1), ALWAYS)
        ids = snapshot.take(row_ids, ["id"])["id"].to_numpy()
        found += int((1 - far[ids != own][:TOP] >= score).sum())
    return found / (TOP * len(queries))
