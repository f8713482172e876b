"""Undoing one key's changes: what it takes from the change log and from old versions, committed."""

import asyncio
from collections.abc import Collection, Iterable, Iterator, Sequence
from dataclasses import replace
from functools import partial
from itertools import groupby
from operator import itemgetter
from pathlib import Path
from typing import TYPE_CHECKING, TypeVar

from store.changes.change import Draft, Undone
from store.changes.reading import newest_first
from store.changes.story import Span
from store.changes.undo import DELETED, FilterOf, UndoPlan, plan_undo
from store.errors import FilterError, NoChangeLogError, StoreFullError
from store.metadata.columns import Column, Registry, Role
from store.metadata.filters import compile_filter
from store.metadata.objects import Finding
from store.metadata.rows import Row, stored, to_arrow, to_rows
from store.metadata.values import ColumnType, text_in
from store.schemas import TableVersion
from store.snapshot.snapshot import Snapshot
from store.table.connection import in_dataset
from store.table.disk.sync import has_space
from store.table.versions import restorable
from store.write.logged import LoggedTable
from store.write.lookups import existing
from store.write.operations import Undo

if TYPE_CHECKING:
    from lance import LanceDataset

_AT_ONCE = 1000
MOST_RESTORED = 20_000
"""Images of one operation: other writes wait for it."""

_T = TypeVar("_T")


async def undo(
    operation: Undo, logged: LoggedTable, snapshot: Snapshot, folder: Path | None
) -> Undone:
    """Undoes what a key has changed, or a part of it.

    Args:
        operation: whose changes, and by whom they are undone.
        logged: the table.
        snapshot: its latest.
        folder: of the store.

    Raises:
        NoChangeLogError: there is no folder, and so no log.
        StoreFullError: there is no room to bring images back.
    """
    if folder is None:
        raise NoChangeLogError
    versions = await restorable(logged.table)
    plan = await asyncio.to_thread(_plan, operation.span, folder, logged.table.name, versions)
    removed = restored = 0
    for ids in _chunks(plan.remove):
        there = await asyncio.to_thread(existing, snapshot, ids)
        if there and not operation.dry_run:
            async with logged.change([_draft(operation, there)]):
                await logged.delete(text_in("id", there))
        removed += len(there)
    for goals in _chunks(plan.restore):
        if restored >= MOST_RESTORED and not operation.dry_run:
            return plan.done(removed, restored, more=True)
        read = partial(_rows, plan=plan, goals=goals, registry=snapshot.registry)
        rows = await in_dataset(logged.table, read)
        if rows and not operation.dry_run:
            await _bring_back(operation, logged, rows, snapshot, folder)
        restored += len(rows)
    return plan.done(removed, restored)


async def _bring_back(
    operation: Undo, logged: LoggedTable, rows: Sequence[Row], snapshot: Snapshot, folder: Path
) -> None:
    if not has_space(folder):
        raise StoreFullError("what is free is reserved for deletes")
    async with logged.change([_draft(operation, [row.id for row in rows])]):
        table = to_arrow(rows, snapshot.registry, snapshot.dataset.schema)
        await logged.merge(table, by_index=True)


def _draft(operation: Undo, ids: Collection[str]) -> Draft:
    return Draft(operation.by, "undo", sorted(ids), operation.span.told())


def _chunks(whole: Sequence[_T]) -> Iterator[Sequence[_T]]:
    """Parts of what is to be undone, one commit each."""
    return (whole[at : at + _AT_ONCE] for at in range(0, len(whole), _AT_ONCE))


def _plan(span: Span, folder: Path, table: str, versions: Sequence[TableVersion]) -> UndoPlan:
    """What undoing takes. Blocks."""
    since = min([span.since, *(version.created_at for version in versions)])
    history = partial(newest_first, folder, since)
    return plan_undo(history, table, span, [version.version for version in versions])


def _rows(
    dataset: "LanceDataset", plan: UndoPlan, goals: Iterable[tuple[int, str]], registry: Registry
) -> list[Row]:
    """Rows of earlier versions, under the columns of now. Blocks.

    Values of keys that the table has no more, or with another type, are left out. What is not
    there, or was deleted by a filter since, is left in the plan.

    Args:
        dataset: of the table.
        plan: that they are of.
        goals: versions, in their order, and ids of the rows.
        registry: the columns.
    """
    rows: list[Row] = []
    here = {_what(column): column.name for column in registry.columns}
    for version, of_version in groupby(goals, key=itemgetter(0)):
        past, ids = dataset.checkout_version(version), {image_id for _, image_id in of_version}
        then = Registry.from_schema(past.schema)
        columns = stored(then, past.schema)
        found = past.scanner(columns=columns, filter=text_in("id", ids)).to_table()
        finding = registry.objects if then.objects else None
        deleted = _deleted(past, then, ids, plan, finding)
        plan.leave(deleted, DELETED)
        plan.leave(ids - deleted - set(found["id"].to_pylist()))
        names = {
            column.name: here[what] for column in then.columns if (what := _what(column)) in here
        }
        for row in to_rows(found, then):
            if row.id not in deleted:
                values = {names[own]: one for own, one in row.values.items() if own in names}
                rows.append(replace(row, values=values))
    return rows


def _what(column: Column) -> tuple[str, ColumnType, Role]:
    """What a column holds, whatever it is called."""
    return column.key, column.type, column.role


def _deleted(
    past: "LanceDataset", then: Registry, ids: set[str], plan: UndoPlan, finding: Finding | None
) -> set[str]:
    """Which rows of a version one of the later filters takes."""
    by_filter: dict[str, tuple[FilterOf, list[str]]] = {}
    for image_id in ids:
        for each in plan.deletes[image_id]:
            by_filter.setdefault(repr(each), (each, []))[1].append(image_id)
    deleted = set[str]()
    for (version, filter), of_filter in by_filter.values():
        where = text_in("id", of_filter)
        if filter:  # else it was all images, or is not known
            try:
                schema = past.checkout_version(version).schema
                keys = then.of_later(Registry.from_schema(schema))
                where = f"({where}) AND ({compile_filter(filter, keys, objects=finding)})"
            except FilterError:  # of a version that is not kept
                continue
        found = past.scanner(columns=["id"], filter=where).to_table()
        deleted.update(found["id"].to_pylist())
    return deleted
