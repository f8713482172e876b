"""Examining a table that nothing serves, and making it usable again without what is lost.

A repair makes a new version that leaves the damaged parts out, so that the older versions stay as
they are. What is lost cannot be guessed back: a backup has it, or the images are added again.
"""

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import dataclass, replace
from pathlib import Path
from typing import TYPE_CHECKING

from store.changes.log import ChangeLog
from store.errors import StoreOpenError
from store.settings import StoreSettings
from store.table.connection import connect, open_dataset, opening
from store.table.disk.location import Location
from store.table.disk.sync import Acknowledged, acknowledged_tables
from store.table.integrity import Damage, find_damage
from store.table.names import current_table
from store.table.open import ensure_ready

if TYPE_CHECKING:
    from lancedb import AsyncConnection


@dataclass(frozen=True)
class Examined:
    """A table, and what is wrong with it.

    Attributes:
        table: its name; empty where there is none.
        version: its newest; 0 where there is none.
        acknowledged: the version that callers were last told of; 0 where that is not known.
        rows: how many images it has, the damaged ones included.
        damage: what is damaged.
    """

    table: str
    version: int
    acknowledged: int
    rows: int
    damage: Damage

    @property
    def is_whole(self) -> bool:
        """Whether nothing is wrong."""
        damaged = self.damage.files or self.damage.indexes
        return not damaged and self.version >= self.acknowledged


async def examine(settings: StoreSettings) -> Examined:
    """Looks at every file of the table and reads every row.

    Raises:
        StoreFault: there is no folder of an index, or it cannot be opened.
    """
    async with _connected(settings) as connection:
        return await _examined(connection)


async def repair(settings: StoreSettings) -> Examined:
    """Makes the table usable again: without the images that are damaged or lost.

    Returns:
        The table as it is afterwards.

    Raises:
        StoreFault: there is no folder of an index, it cannot be opened or written, or is another
            user's.
    """
    Location(settings.store_uri).refuse_anothers(settings.umask)
    async with _connected(settings) as connection:
        found = await _examined(connection)
        folder = Path(connection.uri)
        if not found.table:
            for name in acknowledged_tables(folder):
                Acknowledged(folder, name).forget()
            return replace(found, acknowledged=0)
        async with Location(connection.uri).write_lock(found.table):
            await asyncio.to_thread(_leave_out, _path(connection, found.table), found.damage)
            table = await connection.open_table(found.table)
            await ensure_ready(table)
            accepted, version = Acknowledged(folder, found.table), int(await table.version())
            accepted.forget()  # it only grows
            accepted.write(version)
            ChangeLog(folder, found.table).note("repair", version)
        return await _examined(connection)


@asynccontextmanager
async def _connected(settings: StoreSettings) -> AsyncIterator["AsyncConnection"]:
    folder = Location(settings.store_uri).folder
    if folder is None:
        raise StoreOpenError("only an index in a folder can be checked, not an object store")
    if not await asyncio.to_thread(folder.is_dir):
        raise StoreOpenError("there is no folder of an index at IMAGE_SEARCH_STORE_URI")
    with opening(settings):
        connection = await connect(settings)
        try:
            yield connection
        finally:
            connection.close()


async def _examined(connection: "AsyncConnection") -> Examined:
    name = await current_table(connection)
    folder = Path(connection.uri)
    if name is None:
        known = max(
            (Acknowledged(folder, each).read() for each in acknowledged_tables(folder)), default=0
        )
        return Examined("", 0, known, 0, Damage([], [], 0, []))
    path = _path(connection, name)

    def look() -> Examined:
        # First: a commit that is made meanwhile is no loss.
        known = Acknowledged(folder, name).read()
        dataset = open_dataset(str(path), None)
        damage = find_damage(dataset, path, read=True)
        rows = sum(fragment.metadata.num_rows for fragment in dataset.get_fragments())
        return Examined(name, int(dataset.version), known, rows, damage)

    return await asyncio.to_thread(look)


def _path(connection: "AsyncConnection", table: str) -> Path:
    return Path(connection.uri).absolute() / f"{table}.lance"


def _leave_out(path: Path, damage: Damage) -> None:
    """Commits a version without the damaged parts."""
    if not damage.fragments:
        return
    import lance  # noqa: PLC0415 - see store.table.open

    version = open_dataset(str(path), None).version
    # LanceDB's own delete would read the rows first, which is what cannot be done.
    without = lance.LanceOperation.Delete([], damage.fragments, "true")
    lance.LanceDataset.commit(str(path), without, read_version=version)
