"""Commits: new columns, then all rows of a group; or its deletes; or one operation of its own.

Each is written down in the change log before it is made, and its version after it.
"""

import asyncio
from collections.abc import Collection, Sequence
from typing import TYPE_CHECKING, Any

import pyarrow as pa

from store.changes.change import Draft
from store.errors import MetadataError
from store.metadata.filters import refuse_broad, where_of
from store.metadata.objects import has_objects
from store.metadata.rows import to_arrow
from store.metadata.values import text_in
from store.snapshot.snapshot import Snapshot
from store.table.disk.sync import sync_to_disk
from store.table.faults import CommitConflictError
from store.table.open import ensure_ready
from store.table.versions import restore_version
from store.write.columns import (
    add_columns,
    add_object_columns,
    check_unchanged,
    declare_column,
    drop_column,
)
from store.write.logged import drafts_of
from store.write.lookups import existing, fragments_of
from store.write.operations import (
    Alone,
    DeclareColumn,
    Delete,
    DeleteMatching,
    DeleteUrls,
    DropColumn,
    Patch,
    PatchMatching,
    Put,
    Restore,
    Undo,
)
from store.write.plan import Plan, PutAnswer
from store.write.planner import Planner
from store.write.serial import delete_rows, write_rows
from store.write.undo import undo

if TYPE_CHECKING:
    from lance import LanceDataset


class Committer(Planner):
    """Writes commits to a table, one at a time: the writer and the table's lock see to that."""

    @property
    def table(self) -> str:
        """The table's name."""
        return str(self._table.name)

    async def put(self, puts: Sequence[Put]) -> list[PutAnswer]:
        """Writes all puts at once, in their order: of two of the same id the later one stays.

        One whose metadata does not fit the columns, those of the earlier ones included, is left
        out.

        Returns:
            An answer per put, in order.

        Raises:
            CommitConflictError: another process added columns in between.
            Exception: whatever else; in either case none of the rows was written.
        """
        snapshot = await self._latest()
        plan = await self._plan(snapshot, puts)
        answers = plan.apply(puts)
        await self._commit_plan(plan, snapshot, puts, answers)
        return answers

    async def _commit_plan(
        self, plan: Plan, snapshot: Snapshot, puts: Sequence[Put], answers: Sequence[PutAnswer]
    ) -> None:
        if plan.rows:
            await self._append_objects(plan)
            written = [each for each in zip(puts, answers, strict=True) if each[0].id in plan.rows]
            async with self._logged.change(drafts_of(written)):
                await self._write(plan, snapshot)
            self._appended.clear()

    async def _append_objects(self, plan: Plan) -> None:
        """Adds the objects that no attempt at this commit has added yet."""
        new = [each for each in plan.new_objects if each[0].key not in self._appended]
        if self._objects is not None and new:
            await self._objects.append(new)
            self._appended |= {of.key for of, _ in new}

    async def delete(self, deletes: Sequence[Delete]) -> list[int]:
        """Deletes the rows of all deletes at once; tells how many there were of each, in order."""
        ids = frozenset().union(*(delete.ids for delete in deletes))
        snapshot = await self._latest()
        there = await asyncio.to_thread(existing, snapshot, ids)
        found, left = [], set(there)
        for delete in deletes:
            found.append(left & delete.ids)
            left -= delete.ids
        drafts = [
            Draft(delete.by, "delete", sorted(those))
            for delete, those in zip(deletes, found, strict=True)
            if those
        ]
        if there:
            async with self._logged.change(drafts):
                await self._delete(text_in("id", there), snapshot, there)
        return [len(those) for those in found]

    async def alone(self, operations: Sequence[Alone]) -> list[Any]:
        """Does what is no put and no delete by id: each says itself what.

        Args:
            operations: one.

        Returns:
            How many rows were deleted, changed, or had a value; whether a column was made; which
            version was restored; what was `Undone`.

        Raises:
            FilterError: the filter does not fit the columns or keeps every row, or there is no such
                column.
            MetadataError: a patch does not fit a row, and none of them was changed; or a key has
                another type than is declared.
            VersionError: there is no such version.
        """
        [operation] = operations
        snapshot = await self._latest()
        match operation:
            case DeleteMatching():
                answer: Any = await self._delete_matching(operation, snapshot)
            case DeleteUrls():
                answer = await self._delete_urls(operation, snapshot)
            case PatchMatching():
                answer = await self._patch_matching(operation, snapshot)
            case DropColumn():
                answer = await drop_column(operation, self._logged, snapshot.registry)
            case DeclareColumn():
                answer = await declare_column(operation, self._logged, snapshot.registry)
            case Undo():
                answer = await undo(operation, self._logged, snapshot, self._folder)
            case Restore():
                answer = await self._restore(operation)
        return [answer]

    async def _restore(self, restore: Restore) -> int:
        more = {"restored": restore.version}
        async with self._logged.change([Draft(restore.by, "restore", more=more)]):
            async with self.first():  # or upkeep could remove what is restored
                await restore_version(self._table, restore.version)
                await ensure_ready(self._table)
            self._logged.version = int(await self._table.version())
        return restore.version

    def sync(self) -> None:
        """Notes which versions were made, and waits until the commits are on the disk. Blocks."""
        self._logged.settle()
        if self._folder is not None and self._acknowledged is not None:
            sync_to_disk(self._folder)
            self._acknowledged.write(self._logged.version)

    async def _delete_matching(self, delete: DeleteMatching, snapshot: Snapshot) -> int:
        where = where_of(delete.filter, snapshot.registry)
        ids = await self._ids(where, snapshot)
        refuse_broad(delete.filter, "delete", len(ids), await self._table.count_rows())
        draft = Draft(delete.by, "delete_matching", ids, {"filter": delete.filter or {}})
        return await self._delete_where(where, draft, snapshot)

    async def _delete_urls(self, delete: DeleteUrls, snapshot: Snapshot) -> int:
        where = text_in("url", delete.urls)
        draft = Draft(delete.by, "delete", await self._ids(where, snapshot))
        return await self._delete_where(where, draft, snapshot)

    async def _delete_where(self, where: str, draft: Draft, snapshot: Snapshot) -> int:
        if draft.ids:
            async with self._logged.change([draft]):
                await self._delete(where, snapshot)
        return len(draft.ids)

    async def _delete(self, where: str, snapshot: Snapshot, ids: Collection[str] = ()) -> None:
        """Deletes the rows of a predicate: those of some ids, where it says no more than these."""
        if self._locked:
            await self._logged.delete(where)
            return

        def delete() -> int:
            among = fragments_of(snapshot, ids) if ids else None
            return int(delete_rows(snapshot.dataset, where, among).version)

        self._logged.version = await asyncio.to_thread(delete)

    async def _patch_matching(self, patch: PatchMatching, snapshot: Snapshot) -> int:
        where = f"{text_in('id', patch.ids)} AND ({where_of(patch.filter, snapshot.registry)})"
        puts = [Patch(each, patch.metadata, patch.by) for each in await self._ids(where, snapshot)]
        plan = await self._plan(snapshot, puts)
        answers = plan.apply(puts)
        for answer in answers:
            if isinstance(answer, MetadataError):
                raise answer
        plan.leave_unchanged()
        await self._commit_plan(plan, snapshot, puts, answers)
        return len(puts)

    async def _write(self, plan: Plan, snapshot: Snapshot) -> None:
        dataset, added = snapshot.dataset, await self._add_columns(plan, snapshot)
        schema = dataset.schema
        if added:
            schema = await self._table.schema()
            check_unchanged(schema, plan.registry)
        rows = to_arrow(list(plan.rows.values()), plan.registry, schema)
        if not self._locked:
            if added:
                dataset = await self._right_after(snapshot, added)
            made = await asyncio.to_thread(_written, dataset, rows, plan.replaced, snapshot)
            self._logged.version = int(made.version)
            self._snapshots.added(self._logged.version, rows, made)
        elif plan.replaced:
            await self._logged.merge(rows, by_index=True)
        else:
            # Nobody else writes, so new rows stay new: appending them costs half of a merge.
            self._logged.version = int((await self._table.add(rows)).version)
            self._snapshots.added(self._logged.version, rows)

    async def _add_columns(self, plan: Plan, snapshot: Snapshot) -> int:
        """Adds the columns that a plan's rows need; tells in how many commits."""
        added = plan.registry.columns[len(snapshot.registry.columns) :]
        if added:
            await add_columns(self._table, added, snapshot.registry)
        objects = bool(plan.vectors) and not has_objects(snapshot.dataset.schema)
        if objects:
            await add_object_columns(self._table)
        return bool(added) + objects

    async def _right_after(self, snapshot: Snapshot, commits: int) -> "LanceDataset":
        """The table after so many commits of this process alone.

        Raises:
            CommitConflictError: there were others, which the plan has not seen.
        """
        version = snapshot.version + commits
        if int(await self._table.version()) != version:
            raise CommitConflictError("another process was faster")
        return await asyncio.to_thread(snapshot.dataset.checkout_version, version)


def _written(
    dataset: "LanceDataset", rows: pa.Table, replaced: Collection[str], snapshot: Snapshot
) -> "LanceDataset":
    """Commits rows right behind a snapshot, or behind the columns that it was just given."""
    among = fragments_of(snapshot, replaced) if replaced else None
    return write_rows(dataset, rows, replaced, among)
