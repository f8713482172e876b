"""One commit: new columns, then all its rows; or one delete; or one restore."""

import asyncio
from collections import Counter
from collections.abc import Collection, Iterable, Mapping, Sequence
from typing import TYPE_CHECKING, Any

import pyarrow as pa

from store.errors import StoreMovedError
from store.metadata.columns import Registry
from store.metadata.filters import compile_filter
from store.metadata.literals import among
from store.metadata.rows import Row, stored, to_arrow, to_dicts, to_rows
from store.snapshot.latest import Snapshots
from store.snapshot.snapshot import Snapshot
from store.table.disk.sync import Acknowledged
from store.table.faults import CommitConflictError
from store.table.names import is_superseded
from store.table.open import ensure_ready
from store.table.versions import restore_version
from store.write.operations import Patch, Put, Upsert
from store.write.plan import Before, Clock, Plan, PutAnswer, Twin

if TYPE_CHECKING:
    from lancedb import AsyncTable


class Committer:
    """Writes commits to a table. Only one at a time: the writer and the table's lock see to that.

    Args:
        table: to write to.
        snapshots: of it.
        locked: commits are made under a lock that all writers share. Only then may a merge use the
            index on the id: without it, racing merges of a new id make two rows.
        acknowledged: where the version is written down that callers were told of; None for a table
            on an object store.
    """

    def __init__(
        self,
        table: "AsyncTable",
        snapshots: Snapshots,
        *,
        locked: bool,
        acknowledged: Acknowledged | None = None,
    ) -> None:
        self._table = table
        self._snapshots = snapshots
        self._locked = locked
        self._acknowledged = acknowledged
        self._clock = Clock()

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
            CommitConflictError: another process added columns in between; none of the rows was
                written.
            StoreMovedError: the table belongs to the past.
            StoreDamagedError: the table has lost its newest version.
            Exception: whatever LanceDB raised; none of the rows was written.
        """
        snapshot = await self._latest()
        plan = Plan(await self._before(snapshot, puts), self._clock)
        answers = [plan.apply(put) for put in puts]
        if plan.rows:
            await self._add_columns(plan.before.registry, plan.registry)
            await self._write(plan, await self._schema(snapshot, plan))
        return answers

    async def delete(self, ids: Collection[str]) -> set[str]:
        """Deletes the rows of these ids; tells which of them there were."""
        known = await asyncio.to_thread(_known, await self._latest(), ids)
        if known:
            await self._table.delete(among("id", known))
        return known

    async def delete_matching(self, filter: Mapping[str, Any]) -> int:
        """Deletes the rows that match a filter; tells how many there were.

        Raises:
            FilterError: the filter does not fit the columns.
        """
        registry = Registry.from_schema(await self._latest_schema())
        where = compile_filter(filter, registry.by_key)
        count = int(await self._table.count_rows(where))
        if count:
            await self._table.delete(where)
        return count

    async def restore(self, version: int) -> None:
        """Makes the table as it was at a version.

        Raises:
            VersionError: there is no such version.
        """
        await self._latest_schema()
        await restore_version(self._table, version)
        await ensure_ready(self._table)

    async def committed(self) -> int:
        """The version that callers are to be told of; 0 where it is not written down."""
        return 0 if self._acknowledged is None else int(await self._table.version())

    def acknowledge(self, version: int) -> None:
        """Writes down that callers are told of a version, which is on the disk. Blocks."""
        if self._acknowledged is not None:
            self._acknowledged.write(version)

    async def _latest_schema(self) -> pa.Schema:
        await self._check_out()
        return _refuse_moved(await self._table.schema())

    async def _latest(self) -> Snapshot:
        """The table at its newest version, by one look at it: each takes 0.7 ms of processor."""
        await self._check_out()
        snapshot = await self._snapshots.latest()
        _refuse_moved(snapshot.dataset.schema)
        return snapshot

    async def _check_out(self) -> None:
        acknowledged = self._acknowledged
        known = 0 if acknowledged is None else await asyncio.to_thread(acknowledged.read)
        await self._table.checkout_latest()
        if acknowledged is not None:
            # What is committed on top of an older version would settle the loss.
            acknowledged.refuse_older(int(await self._table.version()), known)

    async def _schema(self, snapshot: Snapshot, plan: Plan) -> pa.Schema:
        """The table's, after this process, or without the lock another one, has added columns."""
        if self._locked and plan.registry.columns == plan.before.registry.columns:
            return snapshot.dataset.schema
        return await self._table.schema()

    async def _before(self, snapshot: Snapshot, puts: Iterable[Put]) -> Before:
        registry = snapshot.registry
        upserts = [put for put in puts if isinstance(put, Upsert)]
        patched = {put.id for put in puts if isinstance(put, Patch)}
        ids = frozenset().union(*(put.ids() for put in upserts))
        pixels = {put.image.pixels for put in upserts if put.image.pixels is not None}
        rows = await self._rows(patched, registry)
        known, twins = await asyncio.to_thread(
            lambda: (_known(snapshot, ids), _twins(snapshot, pixels, len(ids) + 1))
        )
        return Before(registry, frozenset(known), {row.id: row for row in rows}, twins)

    async def _rows(self, ids: Collection[str], registry: Registry) -> list[Row]:
        if not ids:
            return []
        rows = self._table.query().where(among("id", ids)).select(stored(registry))
        return to_rows(await rows.to_arrow(), registry)

    async def _add_columns(self, before: Registry, after: Registry) -> None:
        added = after.columns[len(before.columns) :]
        if not added:
            return
        try:
            await self._table.add_columns([column.field() for column in added])
        except Exception as error:
            # Another process took the names first: LanceDB has several errors for that.
            await self._table.checkout_latest()
            _check_unchanged(await self._table.schema(), before, error)
            raise

    async def _write(self, plan: Plan, schema: pa.Schema) -> None:
        _check_unchanged(schema, plan.registry)
        rows = to_arrow(list(plan.rows.values()), plan.registry, schema)
        before = plan.before
        if self._locked and plan.rows.keys().isdisjoint({*before.known, *before.rows}):
            # Nobody else writes, so new rows stay new: appending them costs half of a merge.
            added = await self._table.add(rows)
            self._snapshots.added(int(added.version), rows)
            return
        merge = self._table.merge_insert("id").when_matched_update_all()
        merge = merge.when_not_matched_insert_all().use_index(self._locked)
        await merge.execute(rows)


def _known(snapshot: Snapshot, ids: Collection[str]) -> set[str]:
    """Which of these ids there are."""
    return set(snapshot.having("id", ids, ["id"])["id"].to_pylist())


def _twins(snapshot: Snapshot, pixels: Collection[str], count: int) -> list[Twin]:
    """The oldest rows of each of these pixels, so many that one stays that is not replaced.

    A picture such as "not available" may be there a million times. It must not crowd out the
    others: those of which enough was seen are left out and the rest is asked for again.
    """
    twins: list[Twin] = []
    left = set(pixels)
    while left:
        limit = count * len(left)  # if so many come, some pixels have `count` of them
        rows = snapshot.having("pixels", left, ["id", "created_at", "pixels"], limit)
        found = [Twin(**row) for row in to_dicts(rows)]
        seen = Counter(twin.pixels for twin in found)
        enough = left if len(found) < limit else {one for one in left if seen[one] >= count}
        twins += [twin for twin in found if twin.pixels in enough]
        left -= enough
    return twins


def _refuse_moved(schema: pa.Schema) -> pa.Schema:
    if is_superseded(schema):
        raise StoreMovedError
    return schema


def _check_unchanged(schema: pa.Schema, registry: Registry, cause: Exception | None = None) -> None:
    if Registry.from_schema(schema).columns != registry.columns:
        raise CommitConflictError("another process added columns first") from cause
