"""Scalar indexes, of the columns that filters, lookups and lists go by; and updates of all indexes.

A small table is scanned as fast as a scalar index is read, and each index costs a file per update,
so they are made once a table has grown. An index knows the rows that there were when it was made;
newer ones are searched one by one beside it, which is exact and, while they are few, quick.
"""

from collections.abc import Iterable
from typing import TYPE_CHECKING, Any

from store.metadata.columns import Column, Registry
from store.metadata.values import ColumnType

if TYPE_CHECKING:
    from lance import LanceDataset
    from lancedb import AsyncTable

MIN_ROWS = 10_000
# A bitmap takes room per value: worth it for a shop's name, not for a product's.
FEW_VALUES = 100
SAMPLE_ROWS = 5_000
LEAST_STALE_ROWS = 1_000
STALE_SHARE = 0.05
"""Rows that an index may lack, as a share of those that it has."""

_BASE = ("id", "created_at", "pixels")


async def ensure_scalar_indexes(table: "AsyncTable", registry: Registry, rows: int) -> list[str]:
    """Makes the scalar indexes that a table of so many rows should have and lacks; says which."""
    if rows < MIN_ROWS:
        return []
    indexed = {name for index in await table.list_indices() for name in index.columns}
    done = []
    for name in _BASE:
        if name not in indexed:
            done.append(await _create(table, name, _btree()))
    for column in registry.columns:
        if column.name not in indexed:
            done.append(await _create(table, column.name, await _kind(table, column), column.key))
    return done


async def stale_indexes(table: "AsyncTable", *, everything: bool) -> list[str]:
    """The names of the indexes that lack more rows than they should, or any at all."""
    stale = []
    for index in await table.list_indices():
        least = max(LEAST_STALE_ROWS, STALE_SHARE * (index.num_indexed_rows or 0))
        if (index.num_unindexed_rows or 0) > (0 if everything else least):
            stale.append(index.name)
    return stale


def update_indexes(dataset: "LanceDataset", names: Iterable[str]) -> str:
    """Takes the missing rows into these indexes, and says so. Blocks."""
    named = list(names)
    optimizer: Any = dataset.optimize
    optimizer.optimize_indices(index_names=named)
    return f"took new rows into {len(named)} indexes"


async def _create(table: "AsyncTable", name: str, config: Any, key: str | None = None) -> str:
    await table.create_index(name, config=config, replace=False)
    return f"indexed {name if key is None else f'metadata key {key!r}'}"


async def _kind(table: "AsyncTable", column: Column) -> Any:
    from lancedb.index import Bitmap, LabelList  # noqa: PLC0415 - see store.table.open

    if column.type is ColumnType.STRINGS:
        return LabelList()
    if column.type is ColumnType.BOOLEAN:
        return Bitmap()
    if column.type is ColumnType.STRING and await _has_few_values(table, column.name):
        return Bitmap()
    return _btree()


async def _has_few_values(table: "AsyncTable", name: str) -> bool:
    present = table.query().where(f"{name} IS NOT NULL").select([name]).limit(SAMPLE_ROWS)
    return len((await present.to_arrow())[name].unique()) <= FEW_VALUES


def _btree() -> Any:
    from lancedb.index import BTree  # noqa: PLC0415 - see store.table.open

    return BTree()
