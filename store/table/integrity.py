"""Is the table that is there the one that was, and is it whole? Asked when it is opened.

All of it is for a table in a folder; an object store looks after its own.
"""

import asyncio
import logging
from pathlib import Path
from typing import TYPE_CHECKING

from store.errors import StoreDamagedError
from store.table.damage import broken_indexes, find_damage
from store.table.dataset import open_dataset
from store.table.disk.acknowledged import Acknowledged, recorded
from store.table.disk.lock import is_local

if TYPE_CHECKING:
    from lancedb import AsyncConnection, AsyncTable

logger = logging.getLogger(__name__)


async def refuse_if_lost(connection: "AsyncConnection", table: "AsyncTable") -> None:
    """Refuses a table that lacks its newest versions.

    Raises:
        StoreDamagedError: callers were told of a later version than there is.
    """
    if is_local(connection.uri):
        acknowledged = Acknowledged(Path(connection.uri), table.name)
        known = await asyncio.to_thread(acknowledged.read)
        acknowledged.refuse_older(int(await table.version()), known)


def refuse_if_missing(uri: str) -> None:
    """Refuses to begin an index anew where there was one.

    Args:
        uri: of the store.

    Raises:
        StoreDamagedError: callers were told of a table, and there is none.
    """
    if is_local(uri):
        for name in recorded(Path(uri)):
            acknowledged = Acknowledged(Path(uri), name)
            acknowledged.refuse_older(0, acknowledged.read())


async def refuse_if_damaged(table: "AsyncTable") -> None:
    """Refuses a table of whose newest version files are missing or cut off.

    Raises:
        StoreDamagedError: it names the first.
    """
    uri = await table.uri()
    if not is_local(uri):
        return
    options = await table.latest_storage_options()
    damage = await asyncio.to_thread(
        lambda: find_damage(open_dataset(uri, options), Path(uri).absolute())
    )
    if damage.files:
        more = f" and {len(damage.files) - 1} more files are" if len(damage.files) > 1 else " is"
        raise StoreDamagedError(
            f"{damage.files[0]}{more} damaged or missing, with {damage.rows} images; put the folder"
            " back from a backup, or go on without these images: `image-search check --repair`",
            "the index is damaged",
        )


async def drop_broken_indexes(table: "AsyncTable") -> None:
    """Drops indexes that have lost files: the rows have all that is in them, upkeep builds them."""
    uri = await table.uri()
    if not is_local(uri):
        return
    options = await table.latest_storage_options()
    broken = await asyncio.to_thread(
        lambda: broken_indexes(open_dataset(uri, options), Path(uri).absolute())
    )
    for name in broken:
        logger.warning("the index %s has lost files: it is made anew", name)
        await table.drop_index(name)
