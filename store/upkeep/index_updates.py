"""Taking the rows added since into the indexes.

An index knows the rows that there were when it was made; newer ones are searched one by one beside
it, which is exact and, while they are few, quick.
"""

from collections.abc import Iterable
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from lance import LanceDataset
    from lancedb import AsyncTable

LEAST_ROWS = 1_000
TAIL_SHARE = 0.05
"""Rows that an index may lack, as a share of those that it has."""


async def stale_indexes(table: "AsyncTable", *, everything: bool) -> list[str]:
    """The names of the indexes that lack more rows than they should.

    Args:
        table: at its latest version.
        everything: name each that lacks any.
    """
    return [
        index.name
        for index in await table.list_indices()
        if _is_stale(index.num_indexed_rows, index.num_unindexed_rows, everything=everything)
    ]


def fold_in(dataset: "LanceDataset", names: Iterable[str]) -> str:
    """Takes the missing rows into these indexes. Blocks.

    Returns:
        What was done.

    Raises:
        Exception: whatever Lance raised, such as a conflict with another commit.
    """
    named = list(names)
    optimizer: Any = dataset.optimize
    optimizer.optimize_indices(index_names=named)
    return f"took new rows into {len(named)} indexes"


def _is_stale(indexed: int | None, unindexed: int | None, *, everything: bool) -> bool:
    least = 0 if everything else max(LEAST_ROWS, TAIL_SHARE * (indexed or 0))
    return (unindexed or 0) > least
