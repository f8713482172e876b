"""What the table is like now, for people and for monitoring."""

import asyncio
from pathlib import Path
from typing import TYPE_CHECKING

from store.metadata.columns import Registry
from store.schemas import IndexState, ModelIdentity, UpkeepReport
from store.table.disk.location import Location
from store.upkeep.vector_index import vector_index_of

if TYPE_CHECKING:
    from lancedb import AsyncTable


async def describe(
    table: "AsyncTable", model: ModelIdentity, upkeep: UpkeepReport | None
) -> IndexState:
    """Describes a table.

    Args:
        table: to describe.
        model: what makes its vectors.
        upkeep: the last report.
    """
    rows = int(await table.count_rows())
    stats = await table.stats()
    index = await vector_index_of(table)
    indexed = 0 if index is None else index.indexed_rows
    return IndexState(
        rows=rows,
        model=model,
        columns=_columns(Registry.from_schema(await table.schema())),
        fragments=int(stats["fragment_stats"]["num_fragments"]),
        vector_index=None if index is None else index.kind,
        indexed_rows=indexed,
        unindexed_rows=max(0, rows - indexed),
        size_bytes=await size_of(await table.uri()),
        version=int(await table.version()),
        upkeep=upkeep,
    )


def _columns(registry: Registry) -> dict[str, str]:
    return {
        column.key: column.type.removeprefix("a ").removeprefix("an ")
        for column in registry.columns
    }


async def size_of(uri: str) -> int | None:
    """Bytes of a table's folder; None on an object store."""
    folder = Location(uri).folder
    return None if folder is None else await asyncio.to_thread(_bytes_in, folder)


def _bytes_in(folder: Path) -> int:
    total = 0
    for file in folder.rglob("*"):
        try:
            total += file.stat().st_size if file.is_file() else 0
        except FileNotFoundError:  # cleaned up in between
            continue
    return total
