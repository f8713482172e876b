"""Commits of columns: metadata keys that are new, widen, are declared or dropped."""

from collections.abc import Sequence
from typing import TYPE_CHECKING

import pyarrow as pa

from store.changes.change import Draft
from store.errors import UnknownKeyError
from store.metadata.columns import Column, Registry
from store.metadata.objects import FIELDS, has_objects
from store.metadata.predicates import missing
from store.metadata.words import keys_with_words
from store.table.faults import CommitConflictError
from store.table.names import MARK_STALE_WORDS, mark
from store.write.logged import LoggedTable
from store.write.operations import DeclareColumn, DropColumn

if TYPE_CHECKING:
    from lancedb import AsyncTable


async def add_columns(table: "AsyncTable", added: Sequence[Column], before: Registry) -> None:
    """Adds columns without values, which takes as long for a million rows as for none.

    Args:
        table: that gets them.
        added: the columns.
        before: those that it has.

    Raises:
        CommitConflictError: another process added some first.
    """
    try:
        await table.add_columns([column.field() for column in added])
    except Exception as error:
        # Another process took the names first: LanceDB has several errors for that.
        await table.checkout_latest()
        check_unchanged(await table.schema(), before, error)
        raise


async def add_object_columns(table: "AsyncTable") -> None:
    """Gives a table the columns of the objects in its images, without values.

    Raises:
        CommitConflictError: another process did so first.
    """
    try:
        await table.add_columns(list(FIELDS))
    except Exception as error:
        await table.checkout_latest()
        if has_objects(await table.schema()):
            raise CommitConflictError("another process added columns first") from error
        raise


def check_unchanged(schema: pa.Schema, registry: Registry, cause: Exception | None = None) -> None:
    """Checks that a table has the columns that it is thought to have.

    Raises:
        CommitConflictError: it has others.
    """
    if Registry.from_schema(schema).columns != registry.columns:
        raise CommitConflictError("another process added columns first") from cause


async def drop_column(drop: DropColumn, logged: LoggedTable, registry: Registry) -> int:
    """Takes a key's columns away; tells how many rows had a value.

    Raises:
        UnknownKeyError: there is no such key.
    """
    key = registry.by_key.get(drop.key)
    if key is None:
        raise UnknownKeyError(drop.key, registry.by_key)
    count = int(await logged.table.count_rows(f"NOT ({missing(key)})"))
    names = [column.name for column in key.all_columns]
    if count and key in keys_with_words(registry):
        # Before it is dropped: upkeep then writes the words anew, without those of the key.
        await mark(logged.table, MARK_STALE_WORDS, str(await logged.table.version()))
    async with logged.change([Draft(drop.by, "drop_column", more={"column": drop.key})]):
        logged.version = int((await logged.table.drop_columns(names)).version)
    return count


async def declare_column(declare: DeclareColumn, logged: LoggedTable, registry: Registry) -> bool:
    """Gives a key the type that it is to have; tells whether there was anything to do.

    Raises:
        MetadataError: it has another type, or there are too many keys.
        CommitConflictError: another process added columns first.
    """
    added = registry.declare(declare.key, declare.type).columns[len(registry.columns) :]
    if added:
        more = {"column": declare.key, "type": declare.type.label}
        async with logged.change([Draft(declare.by, "declare_column", more=more)]):
            await add_columns(logged.table, added, registry)
            logged.version = int(await logged.table.version())
    return bool(added)
