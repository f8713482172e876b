"""Newest first."""

import pyarrow as pa

from store.search.lists.spans import MIN_ROWS
from store.snapshot.fragments import RowIds
from store.snapshot.snapshot import Snapshot


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
