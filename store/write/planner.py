"""Planner: what of the table the operations of the next commit can see, and what puts become."""

import asyncio
import contextlib
from collections.abc import AsyncIterator, Collection, Sequence
from datetime import UTC, datetime

import pyarrow as pa

from store.changes.since import OthersChanges
from store.errors import StoreFullError, StoreMovedError
from store.metadata.columns import Registry
from store.metadata.rows import Row, stored, to_rows
from store.metadata.values import text_in
from store.objects.table import ObjectTable
from store.snapshot.latest import Snapshots
from store.snapshot.snapshot import Snapshot
from store.table.disk.location import Location
from store.table.disk.sync import Acknowledged, has_space
from store.table.lease import WRITERS_WAIT, WRITERS_WAIT_S, Lease
from store.table.names import is_superseded
from store.write.logged import LoggedTable
from store.write.lookups import existing, later, matching, twins, whole
from store.write.operations import Put, Upsert
from store.write.plan import Clock, Plan, Twin

_EVER = datetime.max.replace(tzinfo=UTC)
_LOOK_S = 0.1
"""Seconds between two looks whether the writers may go on."""


class Planner:
    """Looks at the table at its latest version, once no other machine has the writers wait.

    Args:
        logged: the table to write to, with the log of its changes.
        snapshots: of it.
        location: of its store. In a folder, commits are made under a lock that all writers share;
            on an object store as `store.write.serial` says.
        objects: the table of the objects in the images; None where none are stored.
        sync: wait for the disk, and note the version that callers are told of.
    """

    def __init__(
        self,
        logged: LoggedTable,
        snapshots: Snapshots,
        location: Location,
        objects: ObjectTable | None = None,
        *,
        sync: bool,
    ) -> None:
        self._table = table = logged.table
        self._objects = objects
        self._snapshots = snapshots
        self._folder = folder = location.folder
        self._locked = folder is not None
        self._acknowledged = Acknowledged(folder, table.name) if folder and sync else None
        self._logged = logged
        self._clock = Clock()
        self._checked: Registry | None = None
        self._appended: set[str] = set()
        self._lease = Lease(logged.table, WRITERS_WAIT, WRITERS_WAIT_S)
        self._is_first = False
        self._others: OthersChanges | None = None

    @property
    def is_locked(self) -> bool:
        """Whether nobody else writes, as the writer holds the lock of a folder."""
        return self._locked

    @contextlib.asynccontextmanager
    async def first(self) -> AsyncIterator[None]:
        """Has the writers of all other machines wait during the block."""
        if self._locked or self._is_first:
            yield
            return
        async with self._lease.held():
            self._is_first = True
            try:
                yield
            finally:
                self._is_first = False

    async def _ids(self, where: str, snapshot: Snapshot) -> list[str]:
        if self._locked:
            found = await self._table.query().where(where).select(["id"]).to_arrow()
        else:  # where the table may be a later one by now
            found = await asyncio.to_thread(matching, snapshot, where)
        ids: list[str] = found["id"].to_pylist()
        return ids

    async def _latest(self) -> Snapshot:
        # Before the version is looked at: later, it may be of a commit made in between.
        known = self._acknowledged.read() if self._acknowledged else 0
        snapshot = await self._snapshots.latest()
        if not (self._locked or self._is_first):
            snapshot = await self._once_free(snapshot)
        if snapshot.registry is not self._checked:  # it is the same as long as the schema is
            if is_superseded(snapshot.dataset.schema):
                raise StoreMovedError
            self._checked = snapshot.registry
        if self._acknowledged is not None:
            # What is committed on top of an older version would settle the loss.
            self._acknowledged.refuse_older(snapshot.version, known)
        self._logged.version = snapshot.version
        return snapshot

    async def _once_free(self, snapshot: Snapshot) -> Snapshot:
        """The latest snapshot, once nobody has the writers wait."""
        while self._lease.is_held(snapshot.dataset):
            await asyncio.sleep(_LOOK_S)
            snapshot = await self._snapshots.latest()
        await self._lease.clear(snapshot.dataset)
        return snapshot

    async def _plan(self, snapshot: Snapshot, puts: Sequence[Put]) -> Plan:
        """What of the table the puts can see and change."""
        registry = snapshot.registry
        patched: list[Row] = []
        if ids := {put.id for put in puts if not isinstance(put, Upsert)}:
            columns = stored(registry, snapshot.dataset.schema)
            patched = to_rows(await self._rows(snapshot, ids, columns), registry)
        upserts = [put for put in puts if isinstance(put, Upsert)]
        seen = await asyncio.to_thread(self._seen, snapshot, upserts)
        plan = Plan(registry, seen[0], patched, seen[1], self._clock)
        plan.later = seen[2]
        if self._objects is not None:
            plan.detector = self._objects.detectors.number
        return plan

    async def _rows(self, snapshot: Snapshot, ids: Collection[str], columns: list[str]) -> pa.Table:
        if self._locked:
            query = self._table.query().where(text_in("id", ids)).select(columns)
            return await query.to_arrow()
        return await asyncio.to_thread(whole, snapshot, ids, columns)

    def _seen(
        self, snapshot: Snapshot, upserts: Sequence[Upsert]
    ) -> tuple[set[str], list[Twin], set[str]]:
        if not has_space(self._folder):
            raise StoreFullError("what is free is reserved for deletes")
        ids = {put.image.id for put in upserts}
        pixels = {put.image.pixels for put in upserts if put.image.pixels is not None}
        found = twins(snapshot, pixels, len(ids) + 1)
        return existing(snapshot, ids), found, self._later(snapshot, upserts)

    def _later(self, snapshot: Snapshot, upserts: Sequence[Upsert]) -> set[str]:
        """Ids of what others have changed since; asked for by the puts of one author alone."""
        careful = [put for put in upserts if not put.over_later]
        if not careful:
            return set()
        by, since = careful[0].by, min(put.image.created_at or _EVER for put in careful)
        if self._others is None or not self._others.covers(by.request_id, since):
            self._others = OthersChanges(self._folder, by.request_id, since)
        return later(snapshot, careful, self._others.now())
