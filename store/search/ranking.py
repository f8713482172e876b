"""Rows in the order of a number, those that share it in the order of their ids.

A row's id is a text in a column of its own, so that it is read only where it decides: of rows that
share their number, which few do but the copies of one picture.
"""

import math
from dataclasses import dataclass
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
from numpy.typing import NDArray

from store.snapshot.fragments import ROW_ID, RowIds
from store.snapshot.snapshot import Snapshot

_ORDER = [("number", "ascending"), ("id", "ascending")]


@dataclass(frozen=True, eq=False)
class Found:
    """Rows with their distances, nearer ones than any other up to some distance.

    Attributes:
        row_ids: uint64 [rows], each once.
        distances: float64 [rows].
        reach: of the farthest candidate; infinite where there was nothing else to find.
    """

    row_ids: RowIds
    distances: NDArray[np.float64]
    reach: float = math.inf

    def is_settled(self, count: int) -> bool:
        """Whether none of the last place's distance is missing, as a row further off shows."""
        return len(self.row_ids) < count or self.reach > nth(self.distances, count)


def nth(distances: NDArray[Any], count: int) -> float:
    """The distance of the last of so many rows."""
    return float(np.partition(distances, count - 1)[count - 1])


def ranked(snapshot: Snapshot, found: Found, page: slice) -> tuple[RowIds, NDArray[np.float64]]:
    """A page of the rows by distance, then id; with their distances. Blocks.

    Args:
        snapshot: that the rows are of.
        found: in any order.
        page: which of them, such as ``slice(10, 20)``.
    """
    row_ids, far = found.row_ids, found.distances
    if len(row_ids) > page.stop:
        kept = far <= nth(far, page.stop)
        row_ids, far = row_ids[kept], far[kept]
    order = np.argsort(far)
    row_ids, far = row_ids[order], far[order]
    if len(shared := _shared(far)):
        ids = snapshot.take(row_ids[shared], ["id"]).append_column("number", pa.array(far[shared]))
        row_ids[shared] = row_ids[shared][pc.sort_indices(ids, _ORDER).to_numpy()]
    return row_ids[page], far[page]


def paged(snapshot: Snapshot, found: Found, page: slice, columns: list[str]) -> pa.Table:
    """These columns of the same rows, with ``_distance`` and ``_rowid``. Blocks."""
    row_ids, far = ranked(snapshot, found, page)
    rows = snapshot.take(row_ids, columns).append_column("_distance", pa.array(far))
    return rows.append_column(ROW_ID, pa.array(row_ids))


def _shared(numbers: NDArray[np.float64]) -> NDArray[np.int64]:
    """The places of the numbers that are there more than once; they are in order."""
    is_next = np.concatenate([[False], numbers[1:] == numbers[:-1], [False]])
    return np.flatnonzero(is_next[1:] | is_next[:-1])
