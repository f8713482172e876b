"""The one task that writes: many concurrent operations, few commits.

A commit costs about the same for one row as for a hundred, and commits that race each other are
repeated. So one task writes: it takes everything that waits, writes it as one commit, answers each
caller, and by then the next group waits. Each group is written under the table's lock, so that the
writers of several processes take turns. A caller is answered only after its commit is on the disk:
what was acknowledged survives the end of the process and, where the store's settings say so, of the
power.
"""

import asyncio
import logging
import time
from collections.abc import Callable, Iterable
from pathlib import Path
from typing import Any

from store.errors import StoreClosedError, StoreError, StoreWriteError
from store.settings import StoreSettings
from store.table.disk.lock import TableLock
from store.table.disk.sync import sync_to_disk
from store.table.faults import is_failure
from store.write.commit import Committer
from store.write.group_commit import Answer, GroupCommit, Result, count_written
from store.write.operations import Group, Operation, grouped

# For a commit, the wait for the disk and the note of the version together. A panic inside LanceDB
# leaves its caller waiting for ever, as a dead disk does; every other write would wait with it.
COMMIT_TIMEOUT_S = 300.0
# Of the time that a commit took, so much passes before the next one begins. A commit of one row
# takes some 8 ms: before the same caller's next picture is fetched and embedded, its rest is over.
# Many callers at once are written in fewer commits, and searches keep a share of the processor.
REST_SHARE = 0.5
MOST_REST_S = 0.05

logger = logging.getLogger(__name__)


class Writer:
    """The task that writes, and its queue.

    Args:
        committer: writes one group.
        lock: the table's, held while a group is written.
        settings: how much waits, and how much goes into a commit.
        folder: the store's, whose file system is written down before a group is answered, where the
            settings say so, and where adds stop before it is full; None on an object store.
        committed: called after each group, with how many of its operations were written and its
            seconds; for upkeep and whoever looks on.
    """

    def __init__(
        self,
        committer: Committer,
        lock: TableLock,
        settings: StoreSettings,
        *,
        folder: Path | None,
        committed: Callable[[int, float], None],
    ) -> None:
        self._committer = committer
        self._commits = GroupCommit(committer, folder, settings.store_uri)
        self._lock = lock
        self._folder = folder
        self._sync = settings.store_sync
        self._committed = committed
        self._max_rows = settings.store_max_commit_rows
        size = settings.store_queue_size
        self._queue: asyncio.Queue[tuple[Operation, Answer] | None] = asyncio.Queue(size)
        self._closing = self._ended = self._hung = False
        self._task = asyncio.create_task(self._run(), name="store-writer")

    @property
    def commits(self) -> int:
        """How many were made."""
        return self._commits.made

    @property
    def conflicts(self) -> int:
        """How many attempts at them another process was faster than."""
        return self._commits.conflicts

    @property
    def queued(self) -> int:
        """How many operations wait."""
        return self._queue.qsize()

    async def write(self, operation: Operation) -> Any:
        """Writes an operation; returns its answer after the commit.

        A caller that is cancelled leaves it either written or not, never in part.

        Raises:
            MetadataError: metadata does not fit the columns.
            FilterError: a filter does not fit the columns.
            VersionError: there is no such version.
            StoreMovedError: the table takes no more changes.
            StoreDamagedError: a file of the table is damaged or missing.
            StoreWriteError: the commit failed; `StoreFullError`, `StoreReadOnlyError` say why.
            StoreClosedError: the writer was closed before.
        """
        self._refuse_if_ended()
        answer: Answer = asyncio.get_running_loop().create_future()
        await self._queue.put((operation, answer))
        self._refuse_if_ended(waited=True)
        return await answer

    async def close(self) -> None:
        """Writes what waits, then ends the task."""
        if not (self._closing or self._task.done()):
            self._closing = True
            await self._queue.put(None)
        await asyncio.wait([self._task])

    async def ended(self) -> None:
        """Waits until nothing is written any more: after `close`, or a commit that never ended."""
        await asyncio.wait([self._task])

    @property
    def healthy(self) -> bool:
        """Whether operations can go through; not after a commit that never ended."""
        return not self._task.done()

    def _refuse_if_ended(self, *, waited: bool = False) -> None:
        # A caller who waited for a place in the queue was there before the writer was closed.
        if self._task.done() or (self._closing and not waited):
            self._refuse_rest()
            raise StoreClosedError("the index is closed")

    async def _run(self) -> None:
        try:
            while not (self._ended or self._hung):
                # A caller that was cancelled while it waited has taken its operation back.
                batch = [each for each in await self._batch() if not each[1].done()]
                began = time.monotonic()
                for group in grouped(batch):
                    if self._hung:
                        _refuse(group.callers())
                    else:
                        await self._write(group)
                # Others have work for the processor too, and meanwhile more gathers for the next.
                await asyncio.sleep(min(MOST_REST_S, REST_SHARE * (time.monotonic() - began)))
        finally:
            self._refuse_rest()

    async def _batch(self) -> list[tuple[Operation, Answer]]:
        """Everything that waits, once anything does."""
        batch: list[tuple[Operation, Answer]] = []
        waiting = await self._queue.get()
        while waiting is not None:
            batch.append(waiting)
            if len(batch) == self._max_rows or self._queue.empty():
                return batch
            waiting = self._queue.get_nowait()
        self._ended = True
        return batch

    async def _write(self, group: Group[Answer]) -> None:
        try:
            results = await self._written(group)
        except BaseException as error:
            if not is_failure(error):
                raise
            results = self._commits.failed(error, group.callers())
        for answer, result in results:
            _deliver(answer, result)

    async def _written(self, group: Group[Answer]) -> list[Result]:
        """Writes a group; if that does not end, the writer does.

        LanceDB may go on with a commit whose caller has gone, so nothing may follow it; and a disk
        that does not answer would hold up whatever came next.
        """
        began = time.monotonic()
        try:
            async with asyncio.timeout(None) as limit:
                results = await self._kept(group, limit)
        except TimeoutError as error:
            if not limit.expired():  # a network file system may say so itself, and go on
                raise
            logger.critical("a commit did not end: this process writes no more")
            self._hung = True
            raise StoreWriteError("the index could not be written", detail=repr(error)) from error
        if written := count_written(results):
            self._committed(written, time.monotonic() - began)
        return results

    async def _kept(self, group: Group[Answer], limit: asyncio.Timeout) -> list[Result]:
        """Commits a group, waits for the disk, then writes down which version is told of.

        Whatever of it blocks is done in threads: the loop answers searches meanwhile.
        """
        async with self._lock.held():
            # Others may hold the lock for as long as they need: the time starts here.
            limit.reschedule(asyncio.get_running_loop().time() + COMMIT_TIMEOUT_S)
            results = await self._commits.make(group)
            if not count_written(results):
                return results
            # Asked before the disk is: what others commit from now on may not be on it.
            version = await self._committer.committed()
        if self._folder is not None and self._sync:
            await asyncio.to_thread(sync_to_disk, self._folder)
        await asyncio.to_thread(self._committer.acknowledge, version)
        return results

    def _refuse_rest(self) -> None:
        while not self._queue.empty():
            waiting = self._queue.get_nowait()
            if waiting is not None:
                _refuse([waiting[1]])


def _refuse(answers: Iterable[Answer]) -> None:
    for answer in answers:
        _deliver(answer, StoreClosedError("the index is closed"))


def _deliver(answer: Answer, result: Any) -> None:
    if answer.done():
        return
    if isinstance(result, StoreError):
        answer.set_exception(result)
    else:
        answer.set_result(result)
