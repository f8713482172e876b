"""What the change log is told of puts, and what undoing takes from it and from old versions."""

from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import replace
from functools import partial
from itertools import groupby
from operator import itemgetter
from pathlib import Path
from typing import TYPE_CHECKING, Any, TypeVar

from store.changes.change import Draft
from store.changes.reading import newest_first
from store.changes.story import Span
from store.changes.undo import DELETED, UndoPlan, plan_undo
from store.errors import FilterError, NoChangeLogError
from store.metadata.columns import Registry
from store.metadata.filters import compile_filter
from store.metadata.rows import Row, stored, to_rows
from store.metadata.values import text_in
from store.schemas import Author, StoredImage, TableVersion, Upserted
from store.write.plan import Put, PutAnswer

if TYPE_CHECKING:
    from lance import LanceDataset

_AT_ONCE = 1000
MOST_RESTORED = 20_000
"""Images of one operation: other writes wait for it."""

_T = TypeVar("_T")


def chunks(whole: Sequence[_T]) -> Iterator[Sequence[_T]]:
    """Parts of what is to be undone, one commit each."""
    return (whole[at : at + _AT_ONCE] for at in range(0, len(whole), _AT_ONCE))


def drafts_of(puts: Sequence[Put], answers: Sequence[PutAnswer]) -> list[Draft]:
    """What puts change: one draft for each author and action, in the order of each image's."""
    drafts: list[Draft] = []
    open_ids: dict[tuple[Author, str], list[str]] = {}
    seen: set[str] = set()
    for put, answer in zip(puts, answers, strict=True):
        if (action := _action(answer)) is None:
            continue
        if put.id in seen:  # what comes now comes after what was before
            open_ids, seen = {}, set()
        seen.add(put.id)
        if (of := (put.by, action)) not in open_ids:
            open_ids[of] = []
            drafts.append(Draft(put.by, action, open_ids[of]))
        open_ids[of].append(put.id)
    return drafts


def _action(answer: PutAnswer) -> str | None:
    match answer:
        case Upserted(skipped=False, created=created):
            return "add" if created else "replace"
        case StoredImage():
            return "patch"
    return None


def plan_of(
    span: Span, folder: Path | None, table: str, versions: Sequence[TableVersion]
) -> UndoPlan:
    """What undoing takes. Blocks.

    Args:
        span: which changes to undo.
        folder: of the store.
        table: the one in use.
        versions: of it that can be gone back to.

    Raises:
        NoChangeLogError: there is no folder, and so no log.
    """
    if folder is None:
        raise NoChangeLogError
    since = min([span.since, *(version.created_at for version in versions)])
    history = partial(newest_first, folder, since)
    return plan_undo(history, table, span, [version.version for version in versions])


def rows_of(
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
    for version, of_version in groupby(goals, key=itemgetter(0)):
        past, ids = dataset.checkout_version(version), {image_id for _, image_id in of_version}
        then = Registry.from_schema(past.schema)
        found = past.scanner(columns=stored(then), filter=text_in("id", ids)).to_table()
        deleted = _deleted(past, then, ids, plan)
        plan.leave(deleted, DELETED)
        plan.leave(ids - deleted - set(found["id"].to_pylist()))
        names = {
            column.name: now.name
            for column in then.columns
            if (now := registry.by_key.get(column.key)) and now.type == column.type
        }
        for row in to_rows(found, then):
            if row.id not in deleted:
                values = {names[own]: one for own, one in row.values.items() if own in names}
                rows.append(replace(row, values=values))
    return rows


def _deleted(past: "LanceDataset", then: Registry, ids: set[str], plan: UndoPlan) -> set[str]:
    """Which rows of a version one of the later filters takes."""
    by_filter: dict[str, tuple[Mapping[str, Any] | None, list[str]]] = {}
    for image_id in ids:
        for filter in plan.deletes[image_id]:
            by_filter.setdefault(repr(filter), (filter, []))[1].append(image_id)
    deleted = set[str]()
    for filter, of_filter in by_filter.values():
        where = text_in("id", of_filter)
        if filter:  # else it was all images, or is not known
            try:
                where = f"({where}) AND ({compile_filter(filter, then.by_key)})"
            except FilterError:  # no image had such a key
                continue
        found = past.scanner(columns=["id"], filter=where).to_table()
        deleted.update(found["id"].to_pylist())
    return deleted
