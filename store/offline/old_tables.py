"""The tables that were the index before a change of the model, kept to go back to."""

import asyncio
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

import pyarrow as pa

from store.schemas import ModelIdentity
from store.table.disk.location import Location
from store.table.disk.sync import Acknowledged
from store.table.names import drop, schema_of, table_names, table_number
from store.table.schema import made_by
from store.upkeep.status import size_of

if TYPE_CHECKING:
    from lancedb import AsyncConnection


@dataclass(frozen=True)
class KeptTable:
    """A table that is not the index any more.

    Attributes:
        name: of the table.
        model: what made its vectors.
        size_bytes: on disk; None on an object store.
    """

    name: str
    model: ModelIdentity
    size_bytes: int | None


async def older_tables(connection: "AsyncConnection", current: str) -> dict[str, pa.Schema | None]:
    """The tables before the index by name, newest first; None for one that cannot be read."""
    number = table_number(current) or 0
    names = [name for name in await table_names(connection) if (table_number(name) or 0) < number]
    return {name: await schema_of(connection, name) for name in names}


async def kept_tables(connection: "AsyncConnection", current: str) -> list[KeptTable]:
    """Describes the tables before the index, newest first."""
    schemas = await older_tables(connection, current)
    return [
        KeptTable(name, made_by(schema), await size_of(f"{connection.uri}/{name}.lance"))
        for name, schema in schemas.items()
        if schema is not None
    ]


async def delete_table(connection: "AsyncConnection", name: str) -> None:
    """Deletes a table for good, and what was written down beside it."""
    if (folder := Location(connection.uri).folder) is not None:
        # Before the table: if this is interrupted, the table is what the next run looks for.
        await asyncio.to_thread(_delete_notes, folder, name)
    await drop(connection, name)


def _delete_notes(folder: Path, name: str) -> None:
    for file in folder.glob(f"{name}.upkeep.*"):
        file.unlink(missing_ok=True)
    Acknowledged(folder, name).forget()
