"""Newest first, and the fusion of several rankings into one."""

import numpy as np
import pyarrow as pa
from numpy.typing import NDArray

from store.search.spans import MIN_ROWS
from store.snapshot.fragments import RowIds
from store.snapshot.snapshot import Snapshot

# Cormack, Clarke and Büttcher, "Reciprocal Rank Fusion outperforms Condorcet and individual Rank
# Learning Methods", SIGIR 2009: k = 60 did best in their pilot study and is in general use since.
RRF_K = 60


def fuse(lists: list[RowIds]) -> tuple[RowIds, NDArray[np.float64]]:
    """Reciprocal rank fusion of lists, each best first: a row counts 1 / (60 + rank) in each.

    Returns:
        All rows, each once and in no order, and what they count: float64 [rows].
    """
    counts = [1 / (RRF_K + np.arange(1, len(each) + 1)) for each in lists]
    rows, places = np.unique(np.concatenate(lists), return_inverse=True)
    totals = np.bincount(places, weights=np.concatenate(counts), minlength=len(rows))
    return rows, np.asarray(totals, np.float64)


def newest_in_memory(snapshot: Snapshot, page: slice, where: str) -> tuple[RowIds, bool] | None:
    """A page of the rows newest first, those of one moment by id. Blocks.

    Returns:
        The rows, and whether there are more; None where they are not all in memory, or too many.
    """
    if len(snapshot.cache.row_ids) < snapshot.rows or snapshot.rows >= MIN_ROWS:
        return None
    row_ids = snapshot.row_ids(where)
    dates = snapshot.take(row_ids, ["created_at"])["created_at"].cast(pa.int64()).to_numpy()
    found, _ = snapshot.ranked(row_ids, -dates, slice(page.start, page.stop + 1))
    return found[: page.stop - page.start], len(found) > page.stop - page.start
