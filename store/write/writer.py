"""Group commit: one task writes what many callers wait for, in few commits.

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
from collections.abc import Awaitable, Callable, Iterable, Sequence
from functools import partial
from typing import Any, TypeVar

from store.errors import (
    StoreClosedError,
    StoreDamagedError,
    StoreError,
    StoreFault,
    StoreFullError,
    StoreReadOnlyError,
    StoreWriteError,
)
from store.settings import StoreSettings
from store.table.disk.lock import TableLock
from store.table.faults import ATTEMPTS, fault_of, is_conflict, is_failure, retried
from store.write.commit import Committer
from store.write.groups import Caller, Group, grouped
from store.write.operations import Operation
from store.write.serial import ATTEMPTS_AS_FIRST, FEW

# For a commit with the wait for the disk. A panic inside LanceDB leaves its caller waiting
# for ever, as a dead disk does; every other write would wait with it.
COMMIT_TIMEOUT_S = 300.0
# Of the time that a commit took, so much passes before the next one begins. A commit of one row
# takes some 8 ms: before the same caller's next picture is fetched and embedded, its rest is over.
# Many callers at once are written in fewer commits, and searches keep a share of the processor.
REST_SHARE = 0.5
MOST_REST_S = 0.05

_LASTING = (StoreFullError, StoreReadOnlyError, StoreDamagedError)
"""Faults that every add meets until somebody helps."""

_T = TypeVar("_T")
_Result = tuple[Caller, Any]
"""A caller, and what they are told: an answer or a `StoreError`."""

logger = logging.getLogger(__name__)


class Writer:
    """The task that writes, and its queue.

    Args:
        committer: writes commits.
        lock: the table's, held while a group is written.
        settings: how much waits, and how much goes into a commit.
        committed: called after each group, with how many of its operations were written and its
            seconds; for upkeep and metrics.

    Attributes:
        max_rows: operations of a commit at most.
        commits: how many were made.
        conflicts: attempts that another process was faster than; each is made again.
    """

    def __init__(
        self,
        committer: Committer,
        lock: TableLock,
        settings: StoreSettings,
        *,
        committed: Callable[[int, float], None],
    ) -> None:
        self.commits = self.conflicts = 0
        self._committer = committer
        self._lock = lock
        self._uri = settings.store_uri
        self._committed = committed
        self.max_rows = settings.store_max_commit_rows
        size = settings.store_queue_size
        self._queue: asyncio.Queue[tuple[Operation, Caller] | None] = asyncio.Queue(size)
        self._closing = self._ended = self._hung = False
        self._logged: type[StoreError] | None = None
        self._task = asyncio.create_task(self._run(), name="store-writer")

    @property
    def queued(self) -> int:
        """How many operations wait."""
        return self._queue.qsize()

    @property
    def healthy(self) -> bool:
        """Whether operations can go through; not after a commit that never ended."""
        return not self._task.done()

    async def write(self, operation: Operation) -> Any:
        """Writes an operation; returns its answer after the commit.

        A caller that is cancelled leaves it either written or not, never in part.

        Raises:
            StoreError: the operation cannot be done, or its commit failed; `StoreClosedError` where
                the writer was closed before.
        """
        if self._closing or self._task.done():
            raise StoreClosedError("the index is closed")
        caller: Caller = asyncio.get_running_loop().create_future()
        await self._queue.put((operation, caller))
        if self._task.done():  # while this caller waited for a place in the queue
            self._refuse_rest()
        return await caller

    async def close(self) -> None:
        """Writes what waits, then ends the task."""
        if not (self._closing or self._task.done()):
            self._closing = True
            await self._queue.put(None)
        await asyncio.wait([self._task])

    async def ended(self) -> None:
        """Waits until nothing is written any more: after `close`, or a commit that never ended."""
        await asyncio.wait([self._task])

    async def _run(self) -> None:
        try:
            while not (self._ended or self._hung):
                # A caller that was cancelled while it waited has taken its operation back.
                batch = [each for each in await self._batch() if not each[1].done()]
                began = time.monotonic()
                for group in grouped(batch):
                    if self._hung:
                        _refuse(group.callers)
                    else:
                        await self._commit_group(group)
                # Others have work for the processor too, and meanwhile more gathers for the next.
                await asyncio.sleep(min(MOST_REST_S, REST_SHARE * (time.monotonic() - began)))
        finally:
            self._refuse_rest()

    async def _batch(self) -> list[tuple[Operation, Caller]]:
        """Everything that waits, once anything does."""
        batch: list[tuple[Operation, Caller]] = []
        waiting = await self._queue.get()
        while waiting is not None:
            batch.append(waiting)
            if len(batch) == self.max_rows or self._queue.empty():
                return batch
            waiting = self._queue.get_nowait()
        self._ended = True
        return batch

    async def _commit_group(self, group: Group) -> None:
        """Lock, write, sync, answer.

        What blocks is done in threads: the loop answers searches meanwhile. Where this does not
        end, the writer does: LanceDB may go on with a commit whose caller has gone, so nothing may
        follow it, and a disk that does not answer would hold up whatever came next.
        """
        began, limit = time.monotonic(), asyncio.timeout(None)
        results: list[_Result] = []
        try:
            async with limit:
                async with self._lock.held():
                    # Others may hold the lock for as long as they need: the time starts here.
                    limit.reschedule(asyncio.get_running_loop().time() + COMMIT_TIMEOUT_S)
                    if group.puts:
                        results += await self._commit(group.puts, self._committer.put)
                    if group.deletes:
                        results += await self._commit(group.deletes, self._committer.delete)
                    if group.alone:
                        results += await self._commit(group.alone, self._committer.alone)
                written = sum(not isinstance(answer, StoreError) for _, answer in results)
                if written:
                    await asyncio.to_thread(self._committer.sync)
                    self._committed(written, time.monotonic() - began)
        except BaseException as error:
            if not is_failure(error):
                raise
            if limit.expired():  # a network file system may raise a TimeoutError, too, and go on
                self._hung = True
                logger.critical("a commit did not end: this process writes no more")
            results = self._failed(error, group.callers)
        _deliver(results)

    async def _commit(
        self,
        waiting: Sequence[tuple[Any, Caller]],
        write: Callable[[list[Any]], Awaitable[Sequence[Any]]],
    ) -> list[_Result]:
        """Makes one commit, again where it lost a race; one that fails fails its callers alone."""
        operations, callers = zip(*waiting, strict=True)
        try:
            commit = partial(write, list(operations))
            answers = await self._committed_at_last(commit)
        except BaseException as error:
            if not is_failure(error):
                raise
            return self._failed(error, callers)
        self.commits += 1
        if self._logged is not None and write == self._committer.put:
            self._logged = None
            logger.warning("the index can be written again")
        return list(zip(callers, answers, strict=True))

    async def _committed_at_last(self, commit: Callable[[], Awaitable[_T]]) -> _T:
        """Commits; where others are faster each time, with them waiting."""
        try:
            return await retried(commit, self._lost, ATTEMPTS if self._committer.is_locked else FEW)
        except Exception as error:
            if not is_conflict(error) or self._committer.is_locked:
                raise
        self._lost()
        async with self._committer.first():
            return await retried(commit, self._lost, ATTEMPTS_AS_FIRST)

    def _lost(self) -> None:
        self.conflicts += 1

    def _failed(self, error: BaseException, callers: Iterable[Caller]) -> list[_Result]:
        """The same fault for each of these callers; one that lasts is logged once."""
        fault = error
        if not isinstance(error, StoreError):
            otherwise = StoreWriteError("the index could not be written", detail=repr(error))
            fault = fault_of(error, otherwise, uri=self._uri, table=self._committer.table)
            fault.__cause__ = error
        if isinstance(fault, _LASTING):
            if not isinstance(fault, self._logged or ()):
                self._logged = type(fault)
                logger.error("%s (%s)", fault, fault.detail)
        elif isinstance(fault, StoreFault):
            logger.error("a commit failed", exc_info=fault)
        return [(caller, fault) for caller in callers]

    def _refuse_rest(self) -> None:
        while not self._queue.empty():
            waiting = self._queue.get_nowait()
            if waiting is not None:
                _refuse([waiting[1]])


def _refuse(callers: Iterable[Caller]) -> None:
    _deliver([(caller, StoreClosedError("the index is closed")) for caller in callers])


def _deliver(results: Iterable[_Result]) -> None:
    for caller, answer in results:
        if caller.done():
            continue
        if isinstance(answer, StoreError):
            caller.set_exception(answer)
        else:
            caller.set_result(answer)
