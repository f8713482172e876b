"""What the table is like now, for people and for monitoring, and the report of its last upkeep."""

import asyncio
import os
from pathlib import Path
from typing import TYPE_CHECKING

from pydantic import TypeAdapter

from store.metadata.columns import Registry
from store.schemas import IndexState, ModelIdentity, UpkeepReport
from store.table.disk.location import Location
from store.upkeep.indexes import vector_index_of

if TYPE_CHECKING:
    from lancedb import AsyncTable

_REPORT = TypeAdapter(UpkeepReport)


async def describe(
    table: "AsyncTable", model: ModelIdentity, upkeep: UpkeepReport | None
) -> IndexState:
    """Describes a table, with the model that makes its vectors and the last report of upkeep."""
    rows = int(await table.count_rows())
    stats = await table.stats()
    index = await vector_index_of(table)
    indexed = 0 if index is None else index.indexed_rows
    return IndexState(
        rows=rows,
        model=model,
        columns={
            key: of.type.label
            for key, of in Registry.from_schema(await table.schema()).by_key.items()
        },
        fragments=int(stats["fragment_stats"]["num_fragments"]),
        vector_index=None if index is None else index.kind,
        indexed_rows=indexed,
        unindexed_rows=max(0, rows - indexed),
        size_bytes=await size_of(await table.uri()),
        version=int(await table.version()),
        upkeep=upkeep,
    )


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


def write_report(uri: str, table: str, report: UpkeepReport) -> None:
    """Writes a report beside the table; on an object store only its own process has it.

    Raises:
        OSError: the folder cannot be written.
    """
    if (file := _report_file(uri, table)) is None:
        return
    new = file.with_suffix(f".{os.getpid()}.new")
    try:
        new.write_bytes(_REPORT.dump_json(report))
        new.replace(file)
    except OSError:
        new.unlink(missing_ok=True)  # empty, on a full disk
        raise


def read_report(uri: str, table: str) -> UpkeepReport | None:
    """The last report, whichever process wrote it; None where there is none."""
    if (file := _report_file(uri, table)) is None:
        return None
    try:
        return _REPORT.validate_json(file.read_bytes())
    except (OSError, ValueError):
        return None  # none yet, or another release's


def _report_file(uri: str, table: str) -> Path | None:
    folder = Location(uri).folder
    return None if folder is None else folder / f"{table}.upkeep.json"
