"""The tables of a change of the model: the old one, the new one, and those that lend vectors."""

import asyncio
from collections.abc import Awaitable, Callable, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING

import pyarrow as pa

from store.objects.whole import WholeObjects
from store.offline.copy_rows import (
    BareRow,
    Filled,
    read_vectors,
)
from store.offline.object_vectors import ObjectVectors
from store.offline.turn import Check
from store.schemas import ModelIdentity, NewObjects
from store.table.disk.location import Location
from store.table.names import MARK_BUILDING
from store.table.open import table_schema

if TYPE_CHECKING:
    from lancedb import AsyncTable


@dataclass(frozen=True, eq=False)
class Donor:
    """Another table of the new model: rows that are the same lend their vectors.

    Attributes:
        objects: the table of its objects, where there is one.
    """

    table: "AsyncTable"
    objects: WholeObjects | None


@dataclass(frozen=True, eq=False)
class Tables:
    """The tables of a change of the model.

    Attributes:
        location: of the database.
        old: the table to follow; is only read.
        new: the table to fill; nobody else writes to it, but for upkeep.
        dim: length of the new vectors.
        donors: other tables of the new model.
        objects: opens, or makes, the new table of objects; None where the old one has none.
        check: whether another may have taken over.
    """

    location: Location
    old: "AsyncTable"
    new: "AsyncTable"
    dim: int
    donors: Sequence[Donor]
    objects: Callable[[], Awaitable[ObjectVectors | None]]
    check: Check


async def lent_by(donor: Donor, rows: Sequence[BareRow]) -> dict[str, Filled]:
    """Those of these rows whose vectors another table has."""
    found = await read_vectors(donor.table, {row.id for row in rows})
    same = [row for row in rows if row.id in found and found[row.id][:2] == (row.date, row.key)]
    wholes: list[NewObjects | None] = [None] * len(same)
    if donor.objects is not None:
        wholes = await asyncio.to_thread(donor.objects.with_vectors, [row.objects for row in same])
    return {
        row.id: Filled(row, found[row.id].vector, None if whole is None else whole.vectors)
        for row, whole in zip(same, wholes, strict=True)
        if row.objects is None or whole is not None
    }


def new_schema(old: pa.Schema, identity: ModelIdentity) -> pa.Schema:
    """The old table's columns, metadata columns included, for the vectors of another model."""
    base = table_schema(identity)
    mine = base.field("id")
    building = mine.with_metadata({**(mine.metadata or {}), MARK_BUILDING: b""})
    more = [field for field in old if field.name not in base.names]
    fields = [building if field.name == "id" else field for field in base]
    return pa.schema([*fields, *more], metadata=base.metadata)
