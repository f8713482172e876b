"""Which table of the database is the index: `images`, then `images_2`, `images_3`, ...

Vectors of two models never share a table, so a change of the model makes a new table beside the
old one (`store.offline.reembed`). Two marks say how far that is. They are field metadata of the
`id` column: LanceDB changes that in one small commit, and it survives merges, new columns and
compaction.

- `MARK_BUILDING` on the new table, from the commit that makes it until it is complete; and on any
  table from just before it is deleted, as deleting a folder can be interrupted.
- `MARK_SUPERSEDED` on the old one, from then on: it takes no more writes. Its value is the name of
  the table that took its place, and while that is not settled it is empty.

The commit that writes the new table's name into the old one is the switch: what the other mark
says does not count any more from then on, so there is no moment, and no place to crash, at which
two tables are the index or none is.
"""

import re
from collections.abc import Iterable, Mapping
from typing import TYPE_CHECKING

import pyarrow as pa

from store.errors import StoreOpenError

if TYPE_CHECKING:
    from lancedb import AsyncConnection, AsyncTable

FIRST_TABLE = "images"
MARK_BUILDING = b"image_search:building"
MARK_SUPERSEDED = b"image_search:superseded"
MARK_STALE_WORDS = b"image_search:stale-words"
"""On a table some of whose rows may have words of a key that was dropped; of the version then."""

_DROPPING = "dropping"
_NAME = re.compile(rf"{FIRST_TABLE}(?:_([2-9]|[1-9][0-9]+))?")

Schemas = Mapping[str, pa.Schema | None]
"""Of tables by name; None for one that cannot be read."""


def table_number(name: str) -> int | None:
    """The number in a table's name, 1 for the first; None where it is no table of images."""
    match = _NAME.fullmatch(name)
    return int(match[1] or 1) if match else None


def next_name(names: Iterable[str]) -> str:
    """The name for a table that comes after these."""
    last = max((table_number(name) or 0 for name in names), default=0)
    return f"{FIRST_TABLE}_{last + 1}" if last else FIRST_TABLE


def newest_first(names: Iterable[str]) -> list[str]:
    """The tables of images among these names, the highest number first."""
    return sorted(filter(table_number, names), key=lambda name: table_number(name) or 0)[::-1]


def is_building(schema: pa.Schema) -> bool:
    """Whether the table was not complete when its schema was read."""
    return _mark(schema, MARK_BUILDING) is not None


def is_superseded(schema: pa.Schema) -> bool:
    """Whether the table takes no more writes, because another takes or took its place."""
    return _mark(schema, MARK_SUPERSEDED) is not None


def stale_words(schema: pa.Schema) -> str | None:
    """The version since which rows may have words of a dropped key; None where none has."""
    return _mark(schema, MARK_STALE_WORDS)


def successor(schema: pa.Schema) -> str | None:
    """The name of the table that took this one's place, None where none has."""
    return _mark(schema, MARK_SUPERSEDED) or None


def current_name(schemas: Schemas) -> str | None:
    """The name of the table that is the index, None where there is none.

    It is the highest-numbered one that is complete, or that took the place of the one before. A
    table that cannot be read is what is left of one whose making or deleting was interrupted,
    unless the one before it says that it is the index.

    Args:
        schemas: of all tables; those below the one that is found need not be there.

    Raises:
        StoreOpenError: the table that is the index, or each there is, cannot be read.
    """
    names = newest_first(schemas)
    if names == [FIRST_TABLE] and schemas[FIRST_TABLE] is None:
        return None  # the first table's making broke off, or goes on at this moment
    if names and all(schemas[name] is None for name in names):
        raise _unreadable(names[0])
    for position, name in enumerate(names):
        schema = schemas[name]
        if schema is None or is_building(schema):
            continue
        heir = successor(schema)
        if heir is None or heir not in names[:position]:
            return name
        if schemas[heir] is None:
            raise _unreadable(heir)
        return heir
    return None


async def table_names(connection: "AsyncConnection") -> list[str]:
    """The tables of images in a database, the highest number first."""
    page = await connection.list_tables()
    names = list(page.tables)
    while page.page_token:
        page = await connection.list_tables(page_token=page.page_token)
        names += page.tables
    return newest_first(names)


async def current_table(connection: "AsyncConnection") -> str | None:
    """The name of the table that is the index, None where there is none.

    Raises:
        StoreOpenError: the table that is the index, or each there is, cannot be read.
    """
    schemas: dict[str, pa.Schema | None] = {}
    for name in await table_names(connection):
        schema = schemas[name] = await schema_of(connection, name)
        if schema is not None and not is_building(schema):
            break  # older ones are not looked at: they may be half deleted
    return current_name(schemas)


async def schema_of(connection: "AsyncConnection", name: str) -> pa.Schema | None:
    """The schema of a table, None where it has no version: it is gone, or its making broke off."""
    try:
        table = await connection.open_table(name)
    except ValueError as error:
        # LanceDB has no exception class for this either.
        if "was not found" in str(error):
            return None
        raise
    schema = await table.schema()
    table.close()
    return schema


async def mark(table: "AsyncTable", key: bytes, value: str | None) -> None:
    """Sets a mark on a table, or with None takes it off, in one commit."""
    await table.update_field_metadata({"path": "id", "metadata": {key.decode(): value}})


async def drop(connection: "AsyncConnection", name: str) -> None:
    """Deletes a table for good; if that is interrupted, what is left of it is never opened."""
    if await schema_of(connection, name) is not None:
        table = await connection.open_table(name)
        await mark(table, MARK_BUILDING, _DROPPING)
        table.close()
    await connection.drop_table(name)


def is_remains(schema: pa.Schema | None) -> bool:
    """Whether a table is what an interrupted making or deleting left."""
    return schema is None or _mark(schema, MARK_BUILDING) == _DROPPING


def _unreadable(name: str) -> StoreOpenError:
    return StoreOpenError("the index could not be opened", detail=f"{name} has no version")


def _mark(schema: pa.Schema, key: bytes) -> str | None:
    said = (schema.field("id").metadata or {}) if "id" in schema.names else {}
    return said[key].decode() if key in said else None
