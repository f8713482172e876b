"""The moment at which the new table becomes the index.

A local table is switched under its write lock: nobody can add to the old one between the last look
at it and the mark that closes it. An object store has no such lock. There the old table is closed
first, and a fence is raised: what was already on its way is refused, and finds it closed.
"""

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

from store.changes.log import ChangeLog
from store.offline.embedding import Embed
from store.offline.rebuild import Rebuild
from store.offline.tables import Tables
from store.table.connection import in_dataset
from store.table.faults import until_committed
from store.table.fence import raise_fence
from store.table.names import MARK_BUILDING, MARK_SUPERSEDED, mark, successor

FEW = 32
"""Images that are embedded in so little time that hardly any come in meanwhile."""

_CHASES = 10


async def catch_up(rebuild: Rebuild, embed: Embed) -> None:
    """Does what is left to do until it is little, as others may go on adding for ever."""
    while left := await rebuild.compare():
        await rebuild.apply(left, embed)
        if left.fresh.num_rows <= FEW:
            return


async def switch(rebuild: Rebuild, tables: Tables, embed: Embed, *, leave_out_failed: bool) -> bool:
    """Makes the new table the index; False where images failed that must not be left out.

    Pictures are not fetched while others wait for the lock, unless new ones come in each time.
    """
    for chase in range(_CHASES + 1):
        async with _closed_to_changes(tables):
            left = await rebuild.compare()
            if chase == _CHASES or not left.fresh.num_rows:
                await rebuild.apply(left, embed)
                await rebuild.compare()
                if rebuild.failed and not leave_out_failed:
                    return False
                await _hand_over(tables)
                return True
        await catch_up(rebuild, embed)
    return False


async def _hand_over(tables: Tables) -> None:
    # What the new table holds is on the disk before the old one says that it is not needed.
    await asyncio.to_thread(tables.location.sync)
    tables.check()
    await until_committed(lambda: mark(tables.old, MARK_SUPERSEDED, tables.new.name))
    async with tables.location.write_lock(tables.new.name):
        await until_committed(lambda: mark(tables.new, MARK_BUILDING, None))
        log = ChangeLog(tables.location.folder, tables.new.name)
        await asyncio.to_thread(log.note, "reembed", int(await tables.new.version()))
    await asyncio.to_thread(tables.location.sync)


@asynccontextmanager
async def _closed_to_changes(tables: Tables) -> AsyncIterator[None]:
    if tables.location.folder is not None:
        async with tables.location.write_lock(tables.old.name):
            yield
        return
    await until_committed(lambda: mark(tables.old, MARK_SUPERSEDED, ""))
    try:
        await until_committed(lambda: in_dataset(tables.old, raise_fence))
        yield
    finally:
        if successor(await tables.old.schema()) is None:
            await until_committed(lambda: mark(tables.old, MARK_SUPERSEDED, None))
