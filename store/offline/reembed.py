"""Moving the index to another model: a new table beside the old one, filled, then switched to.

The old table serves searches and takes changes until the moment of the switch. Killed at any
moment and started again, this goes on where it stopped, for the tables themselves say how far it
came.
"""

from collections.abc import AsyncIterator
from contextlib import AsyncExitStack, asynccontextmanager
from functools import partial
from typing import TYPE_CHECKING

import pyarrow as pa

from store.errors import StoreOpenError
from store.objects.detector import detectors_in
from store.objects.names import objects_name
from store.objects.whole import WholeObjects
from store.offline.embedding import Embed, Progress
from store.offline.object_vectors import ObjectVectors
from store.offline.outcome import OldTable, Outcome, may_switch
from store.offline.rebuild import Rebuild
from store.offline.switch import catch_up, switch
from store.offline.tables import Donor, Tables, new_schema
from store.offline.turn import Check, ReembedError, turn
from store.schemas import ModelIdentity
from store.settings import StoreSettings
from store.table.connection import connect
from store.table.disk.location import Location
from store.table.disk.sync import Acknowledged
from store.table.faults import as_store_errors, until_committed
from store.table.names import (
    MARK_BUILDING,
    MARK_SUPERSEDED,
    current_table,
    drop,
    is_building,
    is_remains,
    is_superseded,
    mark,
    next_name,
    schema_of,
    table_names,
    table_number,
)
from store.table.open import ensure_ready, made_by
from store.upkeep.objects import ObjectTasks
from store.upkeep.scheduler import Upkeep
from store.upkeep.status import size_of

if TYPE_CHECKING:
    from lancedb import AsyncConnection


class Reembedding:
    """A change of the model, and what is left of earlier ones. Get one with `opened`."""

    def __init__(
        self,
        connection: "AsyncConnection",
        settings: StoreSettings,
        check: Check = lambda: None,
    ) -> None:
        self._connection = connection
        self._settings = settings
        self._check = check
        self._location = Location(settings.store_uri)

    @classmethod
    @asynccontextmanager
    async def opened(cls, settings: StoreSettings) -> AsyncIterator["Reembedding"]:
        """Keeps a second one away.

        Raises:
            ReembedError: another process is at it.
            StoreOpenError: there is no index yet, it cannot be opened or is another user's.
        """
        with as_store_errors():
            location = Location(settings.store_uri)
            location.refuse_unless_folder()
            location.refuse_anothers(settings.umask)
            connection = await connect(settings)
        try:
            with as_store_errors():
                if (current := await current_table(connection)) is None:
                    raise location.no_index()
                index = await connection.open_table(current)
            async with AsyncExitStack() as stack:
                with as_store_errors():
                    check = await stack.enter_async_context(turn(location, index))
                    reembedding = cls(connection, settings, check)
                    await reembedding._tidy()
                yield reembedding
        finally:
            connection.close()

    async def model(self) -> ModelIdentity:
        """The model of the index."""
        return made_by(await self._schema(await self._current()))

    async def check_recipe(self, recipe: str) -> None:
        """Refuses to cut objects out in another way than those of the index were.

        Raises:
            ReembedError: there are such.
        """
        with as_store_errors():
            schema = await schema_of(self._connection, objects_name(await self._current()))
        if schema is not None and (theirs := detectors_in(schema).now.recipe) != recipe:
            raise ReembedError(
                f"the objects of this index were cut out {theirs}, and are now cut out {recipe}:"
                " find them anew first, with `image-search redetect --begin`"
            )

    async def check_half_made(self, model: str, pretrained: str, *, start_over: bool) -> None:
        """Refuses to go on with a half-made table of another model; or throws any away.

        Raises:
            ReembedError: there is one.
        """
        name = await self._half_made()
        if name is None:
            return
        if start_over:
            with as_store_errors():
                await self._delete(name)
            return
        maker = made_by(await self._schema(name))
        if (maker.model, maker.pretrained) != (model, pretrained):
            raise ReembedError(
                f"a table for the model {maker} is half made: run with that model to finish it,"
                " or with --start-over to throw it away"
            )

    async def run(
        self, identity: ModelIdentity, embed: Embed, progress: Progress, *, leave_out_failed: bool
    ) -> Outcome:
        """Fills the new table and switches to it.

        Args:
            identity: the new model; not that of the index.
            embed: what embeds images.
            progress: is told how far it is.
            leave_out_failed: switch although some images could not be embedded.

        Raises:
            StoreError: a table cannot be read or written.
            Exception: whatever `embed` raised.
        """
        with as_store_errors():
            tables = await self._tables(identity)
            upkeep = Upkeep(await self._connection.open_table(tables.new.name), self._settings)
        try:
            rebuild = Rebuild(tables, progress, upkeep)
            await catch_up(rebuild, embed)
            switched = False
            if await may_switch(rebuild, leave_out_failed=leave_out_failed):
                with as_store_errors():
                    await ensure_ready(tables.new)
                    await self._lay_down(tables, rebuild.objects, upkeep)
                switched = await switch(rebuild, tables, embed, leave_out_failed=leave_out_failed)
            with as_store_errors():
                images = await tables.new.count_rows()
                return Outcome(images, rebuild.failed, switched, rebuild.bare)
        finally:
            await upkeep.close()

    async def _lay_down(
        self, tables: Tables, objects: ObjectVectors | None, upkeep: Upkeep
    ) -> None:
        """Builds the indexes of the new tables.

        Those of the objects only now, as no more come: upkeep sweeps what no image names yet.
        """
        if objects is not None:
            theirs = await self._connection.open_table(objects.table.name)
            images = await self._connection.open_table(tables.new.name)
            upkeep.objects = ObjectTasks(theirs, images, self._settings)
        await upkeep.run(everything=True)
        upkeep.objects = None

    async def old_tables(self) -> list[OldTable]:
        """The tables that were the index once, newest first."""
        with as_store_errors():
            return [
                OldTable(name, made_by(schema), await size_of(f"{self._location.uri}/{name}.lance"))
                for name, schema in (await self._older()).items()
                if schema is not None
            ]

    async def delete_old(self) -> int:
        """Deletes the tables that were the index once; tells how many."""
        with as_store_errors():
            older = await self._older()
            for name in older:
                await self._delete(name)
            return len(older)

    async def _older(self) -> dict[str, pa.Schema | None]:
        """The tables before the index by name, newest first; None for one that cannot be read."""
        number = table_number(await self._current()) or 0
        names = await table_names(self._connection)
        older = [name for name in names if (table_number(name) or 0) < number]
        return {name: await schema_of(self._connection, name) for name in older}

    async def _delete(self, name: str) -> None:
        """Deletes a table for good, and what was written down beside it."""
        if (folder := self._location.folder) is not None:
            # Before the table: if this is interrupted, the table is what the next run looks for.
            for file in folder.glob(f"{name}.upkeep.*"):
                file.unlink(missing_ok=True)
            Acknowledged(folder, name).forget()
        await drop(self._connection, name)
        if await schema_of(self._connection, objects_name(name)) is not None:
            await self._connection.drop_table(objects_name(name))

    async def _tidy(self) -> None:
        """Finishes what an earlier run that was killed had begun but for its last step."""
        current = await self._current()
        for name in await table_names(self._connection):
            if name != current and is_remains(await schema_of(self._connection, name)):
                await self._delete(name)
        async with self._location.write_lock(current):
            table = await self._connection.open_table(current)
            for key, is_marked in ((MARK_BUILDING, is_building), (MARK_SUPERSEDED, is_superseded)):
                if is_marked(await table.schema()):
                    await until_committed(partial(mark, table, key, None))

    async def _tables(self, identity: ModelIdentity) -> Tables:
        current = await self._current()
        old = await self._connection.open_table(current)
        name = await self._half_made()
        if name is None:
            name = next_name(await table_names(self._connection))
            schema = new_schema(await old.schema(), identity)
            async with self._location.write_lock(name):
                new = await self._connection.create_table(name, schema=schema)
        else:
            new = await self._connection.open_table(name)
            await ensure_ready(new)  # begun by an earlier release
        donors = [
            Donor(
                await self._connection.open_table(name),
                await WholeObjects.beside(self._connection, name),
            )
            for name, schema in (await self._older()).items()
            if schema is not None and made_by(schema) == identity
        ]
        objects = partial(ObjectVectors.beside, self._connection, current, name, identity)
        return Tables(self._location, old, new, identity.dim, donors, objects, self._check)

    async def _current(self) -> str:
        name = await current_table(self._connection)
        if name is None:
            raise StoreOpenError("the index could not be opened", detail="it is gone")
        return name

    async def _half_made(self) -> str | None:
        newest = (await table_names(self._connection))[0]
        return None if newest == await self._current() else newest

    async def _schema(self, name: str) -> pa.Schema:
        return await (await self._connection.open_table(name)).schema()
