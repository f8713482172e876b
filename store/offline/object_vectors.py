"""The objects' vectors of a re-embedding: a table of them beside the new table of images.

A set of objects keeps its key, so that the rows of both tables name the same sets: what was found
anew meanwhile is told apart from what was copied. A set that is there is there as a whole, and is
not added twice, whatever interrupted the run before; one that no image names is swept later.
"""

from collections.abc import Sequence
from typing import TYPE_CHECKING

import pyarrow as pa

from store.metadata.objects import FIELDS, KEY, has_objects
from store.objects.detector import MARK_DETECTORS, detectors_in
from store.objects.names import object_rows, objects_name, objects_schema
from store.schemas import FloatVector, ModelIdentity, ObjectSet
from store.table.connection import open_dataset
from store.table.disk.location import Location
from store.table.faults import until_committed
from store.table.names import mark, schema_of
from store.table.open import model_metadata

if TYPE_CHECKING:
    from lancedb import AsyncConnection, AsyncTable


class ObjectVectors:
    """The table; get one with `beside`.

    Attributes:
        table: a handle of it.
    """

    def __init__(self, table: "AsyncTable", there: set[str]) -> None:
        self.table = table
        self._there = there

    @classmethod
    async def beside(
        cls, connection: "AsyncConnection", old: str, new: str, identity: ModelIdentity
    ) -> "ObjectVectors | None":
        """Opens the table of a new table of images, or makes it; None where the old has none.

        Args:
            connection: to the database.
            old: name of the table of images that is followed.
            new: name of the one that is filled.
            identity: of the new model.
        """
        theirs = await schema_of(connection, objects_name(old))
        if theirs is None:
            return None
        name, location = objects_name(new), Location(connection.uri)
        async with location.write_lock(new):
            if await schema_of(connection, name) is None:
                schema = _schema_after(theirs, identity)
                await connection.create_table(name, schema=schema, exist_ok=True)
            table = await connection.open_table(name)
            detectors = detectors_in(theirs)
            if detectors_in(await table.schema()) != detectors:
                text = detectors.as_mark()
                await until_committed(lambda: mark(table, MARK_DETECTORS, text))
        return cls(table, await _keys_in(table))

    async def append(self, sets: Sequence[tuple[ObjectSet, FloatVector]]) -> None:
        """Adds those sets that are not there yet, with their vectors, float32 [objects, dim]."""
        new = {of.key: (of, vectors) for of, vectors in sets if of.key not in self._there}
        if any(of.boxes for of, _ in new.values()):
            await self.table.add(object_rows(list(new.values()), await self.table.schema()))
            self._there |= new.keys()


async def add_object_columns(new: "AsyncTable", old: "AsyncTable") -> None:
    """Gives a table the columns of objects, where another has got them since."""
    if has_objects(await old.schema()) and not has_objects(await new.schema()):
        await new.add_columns(list(FIELDS))


def _schema_after(old: pa.Schema, identity: ModelIdentity) -> pa.Schema:
    """That of another model's vectors; who has found the objects stays as it is."""
    schema = objects_schema(identity.dim, {**old.metadata, **model_metadata(identity)})
    return schema.set(0, old.field("id"))


async def _keys_in(table: "AsyncTable") -> set[str]:
    options = await table.latest_storage_options()
    dataset = open_dataset(await table.uri(), options)
    found = dataset.scanner(columns=[KEY], filter="n = 0").to_table()
    return set(found[KEY].to_pylist())
