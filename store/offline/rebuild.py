"""Re-embedding: fills a new model's table from the old one until both hold the same images.

Rows of the old table are read, their pictures embedded by whoever calls this, and written to the
new table with everything else as it was. The old table may change all the while: what is still to
do is found by comparing the two, again and again, until nothing is left.
"""

import contextlib
import time
from collections.abc import AsyncGenerator, AsyncIterator, Awaitable, Callable, Sequence
from dataclasses import dataclass
from functools import partial
from typing import TYPE_CHECKING, Protocol

import pyarrow as pa

from store.metadata.rows import check_vector
from store.metadata.values import text_in
from store.offline.copy_rows import (
    BareRow,
    Differences,
    align_columns,
    differences,
    fingerprints,
    have_same_columns,
    lay_out,
    read_rows,
    read_vectors,
    slices,
)
from store.schemas import FloatVector
from store.table.disk.location import Location
from store.table.faults import as_store_errors, until_committed

if TYPE_CHECKING:
    from lancedb import AsyncTable

MAX_COMMIT_ROWS = 1024
COMMIT_AFTER_S = 2.0
"""A row waits about this long for its commit: a kill costs hardly more work than that."""


@dataclass(frozen=True)
class EmbedRequest:
    """An image to be embedded; `file` is what its original is called, if that is stored."""

    id: str
    url: str
    file: str | None = None


@dataclass(frozen=True, eq=False)
class Embedded:
    """An image's new vector, float32 [dim]; or None, and in one line why there is none."""

    id: str
    vector: FloatVector | None
    reason: str = ""


Embed = Callable[
    [AsyncIterator[EmbedRequest], Callable[[Embedded], Awaitable[None]]], Awaitable[None]
]
"""Embeds all images of an iterator and gives each to a function, in any order, each once."""


class Progress(Protocol):
    """Hooks for showing how far a rebuild is."""

    def begin(self, total: int, done: int) -> None:
        """A pass begins: of `total` images that there are, `done` are done."""

    def advance(self, images: int) -> None:
        """So many more are done."""

    def failed(self, url: str, reason: str) -> None:
        """One could not be embedded; that, too, is progress."""


@dataclass(frozen=True, eq=False)
class Tables:
    """The tables of a change of the model.

    Attributes:
        location: of the database.
        old: the table to follow; is only read.
        new: the table to fill; nobody else writes to it, but for upkeep.
        dim: length of the new vectors.
        donors: other tables of the new model: rows of the same id and date lend their vectors.
    """

    location: Location
    old: "AsyncTable"
    new: "AsyncTable"
    dim: int
    donors: Sequence["AsyncTable"] = ()


class Rebuild:
    """The new table, on its way to the old one's content.

    Attributes:
        failed: images of the old table that could not be embedded, as of the last comparison.
        last_reason: why the last of them could not.
    """

    def __init__(
        self, tables: Tables, progress: Progress, committed: Callable[[], None] = lambda: None
    ) -> None:
        self.failed, self.last_reason = 0, ""
        self._tables, self._old, self._new = tables, tables.old, tables.new
        self._progress, self._committed = progress, committed
        self._awaited: dict[str, BareRow] = {}
        self._pending: list[tuple[BareRow, FloatVector]] = []
        self._pending_since = 0.0
        self._gave_up: dict[str, int] = {}
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
            if not await have_same_columns(self._new, self._old):
                await self._commit(lambda: align_columns(self._new, self._old))
            if self._new_prints is None:
                self._new_prints = await fingerprints(self._new)
            found = differences(self._old_prints, self._new_prints)
        fresh = self._without_failed(found.fresh)
        self.failed = found.fresh.num_rows - fresh.num_rows
        return Differences(fresh, found.changed, found.gone, found.rows)

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
                    await self._add(row, lent[row.id])
                else:
                    self._awaited[row.id] = row
                    yield EmbedRequest(row.id, row.url, row.file)

    async def _take(self, embedded: Embedded) -> None:
        row = self._awaited.pop(embedded.id)
        if embedded.vector is None:
            self._gave_up[row.id], self.last_reason = row.date, embedded.reason
            self._progress.failed(row.url, embedded.reason)
        else:
            await self._add(row, check_vector(embedded.vector, self._tables.dim))

    async def _lent(self, rows: Sequence[BareRow]) -> dict[str, FloatVector]:
        dates = {row.id: row.date for row in rows}
        lent: dict[str, FloatVector] = {}
        for donor in self._tables.donors:
            found = await read_vectors(donor, dates.keys() - lent.keys())
            lent |= {id_: vector for id_, (date, vector) in found.items() if date == dates[id_]}
        return lent

    async def _copy_over(self, ids: Sequence[str]) -> None:
        with as_store_errors():
            rows = await read_rows(self._old, ids)
            vectors = await read_vectors(self._new, ids)
        # One that was added again just now is fresh in the next comparison.
        same = [row for row in rows if row.date == vectors[row.id][0]]
        self._pending += [(row, vectors[row.id][1]) for row in same]
        await self._flush()

    async def _add(self, row: BareRow, vector: FloatVector) -> None:
        if not self._pending:
            self._pending_since = time.monotonic()
        self._pending.append((row, vector))
        self._progress.advance(1)
        waited_s = time.monotonic() - self._pending_since
        if len(self._pending) >= MAX_COMMIT_ROWS or waited_s >= COMMIT_AFTER_S:
            await self._flush()

    async def _flush(self) -> None:
        rows, self._pending = self._pending, []

        async def merge() -> None:
            await align_columns(self._new, self._old)
            merge = self._new.merge_insert("id").when_matched_update_all()
            written = lay_out(rows, await self._new.schema())
            await merge.when_not_matched_insert_all().execute(written)

        if rows:
            await self._commit(merge)

    async def _delete(self, ids: Sequence[str]) -> None:
        await self._commit(partial(self._new.delete, text_in("id", ids)))

    async def _commit(self, write: Callable[[], Awaitable[object]]) -> None:
        """Commits to the new table; again where upkeep was faster."""
        self._new_prints = None
        async with self._upkeep_away():
            await until_committed(lambda: self._locked(write))
        self._committed()

    @contextlib.asynccontextmanager
    async def _upkeep_away(self) -> AsyncIterator[None]:
        """Keeps upkeep away where columns may be dropped; see `ImageIndex.drop_column`."""
        if await have_same_columns(self._new, self._old):
            yield
            return
        async with self._tables.location.lock(f"{self._new.name}.upkeep").held():
            yield

    async def _locked(self, write: Callable[[], Awaitable[object]]) -> None:
        async with self._tables.location.write_lock(self._new.name):
            await self._new.checkout_latest()
            await write()

    def _without_failed(self, fresh: pa.Table) -> pa.Table:
        if not self._gave_up:
            return fresh
        ids, dates = list(self._gave_up), list(self._gave_up.values())
        gave_up = pa.table({"id": ids, "created_at": pa.array(dates, pa.int64())})
        return fresh.join(gave_up, ["id", "created_at"], join_type="left anti")
