"""The table of objects beside the table of images: opening it, and adding to it.

It only grows. The image's own row is the truth: an object is there if that row names its set. So
objects are added before their image's row is committed, and whatever ends the process in between
leaves objects that no image names; `store.objects.sweep` removes those.
"""

import asyncio
from collections.abc import Sequence
from typing import TYPE_CHECKING, Self

import pyarrow as pa

from store.errors import ObjectsMismatchError
from store.objects.detector import Detectors, detector_metadata, detectors_in
from store.objects.names import object_rows, objects_name, objects_schema
from store.schemas import Detector, FloatVector, ModelIdentity, ObjectSet
from store.table.connection import create_table
from store.table.disk.location import Location
from store.table.disk.sync import set_aside_torn_manifests
from store.table.names import schema_of
from store.table.open import made_by, mismatch, model_metadata

if TYPE_CHECKING:
    from lancedb import AsyncConnection, AsyncTable


class ObjectTable:
    """The open table of objects of one table of images; get one with `open`.

    Attributes:
        table: for requests.
        upkeep_table: the same for upkeep; what it does to its handle, no request sees.
        detectors: that find the objects, and have done so before.
    """

    def __init__(
        self, table: "AsyncTable", upkeep_table: "AsyncTable", detectors: Detectors
    ) -> None:
        self.table = table
        self.upkeep_table = upkeep_table
        self.detectors = detectors

    @classmethod
    async def open(
        cls, connection: "AsyncConnection", images: str, identity: ModelIdentity, detector: Detector
    ) -> Self:
        """Opens the table, or makes it where there is none yet.

        Args:
            connection: to the database.
            images: name of the table of images.
            identity: of the model that makes the vectors.
            detector: that finds the objects.

        Raises:
            ObjectsMismatchError: another detector has found the objects that are there.
            ModelMismatchError: another model has made their vectors.
        """
        name, location = objects_name(images), Location(connection.uri)
        async with location.write_lock(images):
            if location.folder is not None:
                folder = location.folder / f"{name}.lance"
                await asyncio.to_thread(set_aside_torn_manifests, folder)
            metadata = {**model_metadata(identity), **detector_metadata(detector)}
            schema = objects_schema(identity.dim, metadata)
            if await schema_of(connection, name) is None:
                await create_table(connection, name, schema)
            table = await connection.open_table(name)
        schema = await table.schema()
        _refuse_other(schema, identity, detector)
        return cls(table, await connection.open_table(name), detectors_in(schema))

    async def append(self, sets: Sequence[tuple[ObjectSet, FloatVector]]) -> None:
        """Adds the objects of some images, which nobody sees before their images name them.

        Args:
            sets: of each image, with the vectors, float32 [objects, dim].
        """
        if any(of.boxes for of, _ in sets):
            await self.table.add(object_rows(sets, await self.table.schema()))

    def close(self) -> None:
        """Closes both handles."""
        self.table.close()
        self.upkeep_table.close()


def _refuse_other(schema: pa.Schema, identity: ModelIdentity, detector: Detector) -> None:
    if (made := detectors_in(schema).now) != detector:
        raise ObjectsMismatchError(made, detector)
    if (maker := made_by(schema)) != identity:
        raise mismatch(maker, str(identity))
