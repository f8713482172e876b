"""Re-embedding: fills a new model's table from the old one until both hold the same images.

Rows of the old table are read, their pictures embedded by whoever calls this, and written to the
new table with everything else as it was. The old table may change all the while: what is still to
do is found by comparing the two, again and again, until nothing is left.
"""

import contextlib
import time
from collections.abc import AsyncGenerator, AsyncIterator, Awaitable, Callable, Mapping, Sequence
from functools import partial

import pyarrow as pa

from store.metadata.rows import check_vector
from store.metadata.values import text_in
from store.offline.copy_rows import (
    NEW_COLUMNS,
    BareRow,
    Differences,
    Filled,
    align_columns,
    differences,
    fingerprints,
    have_same_columns,
    lay_out,
    read_rows,
    read_vectors,
    slices,
)
from store.offline.embedding import Embed, Embedded, EmbedRequest, Progress
from store.offline.object_vectors import ObjectVectors, add_object_columns
from store.offline.tables import Tables, lent_by
from store.table.faults import as_store_errors, until_committed
from store.upkeep.scheduler import Upkeep

MAX_COMMIT_ROWS = 1024
COMMIT_AFTER_S = 2.0
"""A row waits about this long for its commit: a kill costs hardly more work than that."""


class Rebuild:
    """The new table, on its way to the old one's content.

    Attributes:
        failed: images of the old table that could not be embedded, as of the last comparison.
        last_reason: why the last of them could not.
        objects: the new table of objects; None as long as there is none.
    """

    def __init__(self, tables: Tables, progress: Progress, upkeep: Upkeep) -> None:
        self.failed, self.last_reason = 0, ""
        self._tables, self._old, self._new = tables, tables.old, tables.new
        self._progress, self._upkeep = progress, upkeep
        self._awaited: dict[str, BareRow] = {}
        self._pending: list[Filled] = []
        self._pending_since = 0.0
        self.objects: ObjectVectors | None = None
        self._gave_up: dict[str, tuple[int, str]] = {}
        self._bare: dict[str, tuple[int, str]] = {}
        self._old_version = -1
        self._old_prints: pa.Table | None = None
        self._new_prints: pa.Table | None = None

    async def compare(self) -> Differences:
        """What is left to do, without the images that could not be embedded.

        Quick where neither table has changed since the last time.
        """
        with as_store_errors():
            version = await self._old.version()
            if self._old_prints is None or version != self._old_version:
                self._old_prints, self._old_version = await fingerprints(self._old), version
            if self.objects is None:
                self.objects = await self._tables.objects()
            if not await have_same_columns(self._new, self._old):
                await self._commit(lambda: align_columns(self._new, self._old))
            if self._new_prints is None:
                self._new_prints = await fingerprints(self._new)
            found = differences(_bared(self._old_prints, self._bare), self._new_prints)
        fresh = _without(found.fresh, self._gave_up)
        self.failed = found.fresh.num_rows - fresh.num_rows
        return Differences(fresh, found.changed, found.gone, found.rows)

    @property
    def bare(self) -> int:
        """Images that are without their objects now: their pictures are others by now."""
        return len(self._bare)

    async def apply(self, left: Differences, embed: Embed) -> None:
        """Does what is left to do, as of a comparison.

        Raises:
            StoreFault: a table could not be read or written.
            Exception: whatever `embed` raised.
        """
        self._progress.begin(left.rows, left.rows - left.fresh.num_rows - self.failed)
        for ids in slices(left.gone):
            await self._delete(ids)
        for ids in slices(left.changed):
            await self._copy_over(ids)
        requests = self._requests(left.fresh["id"].to_pylist())
        try:
            await embed(requests, self._take)
        finally:  # interrupted, too, it writes what it has
            await requests.aclose()
            await self._flush()

    async def _requests(self, ids: Sequence[str]) -> AsyncGenerator[EmbedRequest, None]:
        for some in slices(ids):
            with as_store_errors():
                rows = await read_rows(self._old, some)
                lent = await self._lent(rows)
            self._progress.advance(len(some) - len(rows))  # deleted since
            for row in rows:
                if row.id in lent:
                    await self._add(lent[row.id])
                else:
                    self._awaited[row.id] = row
                    yield EmbedRequest(row.id, row.url, row.file, row.pixels, row.objects)

    async def _take(self, embedded: Embedded) -> None:
        row = self._awaited.pop(embedded.id)
        if embedded.vector is None:
            self._gave_up[row.id], self.last_reason = (row.date, row.key), embedded.reason
            self._progress.failed(row.url, embedded.reason)
            return
        self._bare.pop(row.id, None)
        if row.objects is not None and embedded.objects is None:
            self._bare[row.id] = row.date, row.key
            row = row.without_objects()
        vector = check_vector(embedded.vector, self._tables.dim)
        await self._add(Filled(row, vector, embedded.objects))

    async def _lent(self, rows: Sequence[BareRow]) -> dict[str, Filled]:
        lent: dict[str, Filled] = {}
        for donor in self._tables.donors:
            lent |= await lent_by(donor, [row for row in rows if row.id not in lent])
        return lent

    async def _copy_over(self, ids: Sequence[str]) -> None:
        with as_store_errors():
            rows = [self._as_bare(row) for row in await read_rows(self._old, ids)]
            vectors = await read_vectors(self._new, ids)
        # One that was added again just now is fresh in the next comparison.
        same = [row for row in rows if (row.date, row.key) == vectors[row.id][:2]]
        self._pending += [Filled(row, vectors[row.id].vector, None) for row in same]
        await self._flush()

    def _as_bare(self, row: BareRow) -> BareRow:
        is_bare = self._bare.get(row.id) == (row.date, row.key)
        return row.without_objects() if is_bare else row

    async def _add(self, filled: Filled) -> None:
        if not self._pending:
            self._pending_since = time.monotonic()
        self._pending.append(filled)
        self._progress.advance(1)
        waited_s = time.monotonic() - self._pending_since
        if len(self._pending) >= MAX_COMMIT_ROWS or waited_s >= COMMIT_AFTER_S:
            await self._flush()

    async def _flush(self) -> None:
        rows, self._pending = self._pending, []

        async def merge() -> None:
            await align_columns(self._new, self._old)
            await self._add_objects(rows)
            merge = self._new.merge_insert("id").when_matched_update_all()
            written = lay_out(rows, await self._new.schema())
            await merge.when_not_matched_insert_all().execute(written)

        if rows:
            await self._commit(merge)

    async def _add_objects(self, rows: Sequence[Filled]) -> None:
        """Adds the objects of some rows, before the rows: these alone say that they are there."""
        sets = [
            (each.row.objects, each.objects)
            for each in rows
            if each.row.objects is not None and each.objects is not None
        ]
        if self.objects is not None and sets:
            await add_object_columns(self._new, self._old)
            await self.objects.append(sets)

    async def _delete(self, ids: Sequence[str]) -> None:
        await self._commit(partial(self._new.delete, text_in("id", ids)))

    async def _commit(self, write: Callable[[], Awaitable[object]]) -> None:
        """Commits to the new table; again where upkeep was faster."""
        self._new_prints = None
        async with self._upkeep_away():
            await until_committed(lambda: self._locked(write))
        self._upkeep.committed()

    @contextlib.asynccontextmanager
    async def _upkeep_away(self) -> AsyncIterator[None]:
        """Keeps upkeep away where columns may be dropped; see `ImageIndex.drop_column`."""
        if await have_same_columns(self._new, self._old):
            yield
            return
        async with self._upkeep.paused():
            yield

    async def _locked(self, write: Callable[[], Awaitable[object]]) -> None:
        async with self._tables.location.write_lock(self._new.name):
            await self._new.checkout_latest()
            self._tables.check()
            await write()


def _without(prints: pa.Table, others: Mapping[str, tuple[int, str]]) -> pa.Table:
    """Without these images, as long as they are as they were: date and key of each."""
    if not others:
        return prints
    return prints.join(_named(others), list(NEW_COLUMNS), join_type="left anti")


def _bared(prints: pa.Table, others: Mapping[str, tuple[int, str]]) -> pa.Table:
    """As if nobody had looked into these images, likewise: what else changes in them is seen."""
    if not others:
        return prints
    bare = prints.join(_named(others), list(NEW_COLUMNS), join_type="left semi")
    keys = pa.array([""] * len(bare), pa.string())
    bare = bare.set_column(bare.column_names.index("key"), "key", keys)
    return pa.concat_tables([_without(prints, others), bare.select(prints.column_names)])


def _named(others: Mapping[str, tuple[int, str]]) -> pa.Table:
    dates, keys = zip(*others.values(), strict=True)
    arrays = [pa.array(list(others)), pa.array(dates, pa.int64()), pa.array(keys)]
    return pa.Table.from_arrays(arrays, names=NEW_COLUMNS)
