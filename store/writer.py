"""Group commit: many concurrent adds and deletes, few commits.

A commit costs about the same for one row as for a hundred, and commits that race each other are
repeated. So one task writes: it takes everything that waits, writes it as one commit, answers each
caller, and by then the next group waits. A caller is answered only after its commit; what was
acknowledged survives the process being killed (LanceDB does not call fsync: a power loss can take
the last commits).
"""

import asyncio
import logging
from collections.abc import Awaitable, Callable, Iterable, Sequence
from dataclasses import dataclass, field
from typing import Any, TypeVar

from store.commit import Committer
from store.engine import is_conflict
from store.errors import StoreClosedError, StoreError, StoreWriteError
from store.schemas import NewImage, Upserted, image_id
from store.settings import StoreSettings
from store.upkeep import Upkeep

# Another process that writes to the same table makes a commit fail; 20 ms to 0.6 s are waited.
ATTEMPTS = 6
FIRST_PAUSE_S = 0.02
_T = TypeVar("_T")

logger = logging.getLogger(__name__)


@dataclass(eq=False)
class _Upsert:
    image: NewImage
    answer: asyncio.Future[Upserted]

    def ids(self) -> frozenset[str]:
        return frozenset({image_id(self.image.url)})


@dataclass(eq=False)
class _Delete:
    wanted: frozenset[str]
    answer: asyncio.Future[int]

    def ids(self) -> frozenset[str]:
        return self.wanted


_Operation = _Upsert | _Delete


@dataclass(eq=False)
class _Group:
    """Operations of which none deletes what another adds, so adds may go before deletes."""

    upserts: list[_Upsert] = field(default_factory=list)
    deletes: list[_Delete] = field(default_factory=list)
    added: set[str] = field(default_factory=set)
    deleted: set[str] = field(default_factory=set)

    def take(self, operation: _Operation) -> bool:
        """Takes the operation in, or says no."""
        ids = operation.ids()
        if isinstance(operation, _Upsert):
            fits = self.deleted.isdisjoint(ids)
            if fits:
                self.upserts.append(operation)
                self.added |= ids
        else:
            fits = self.added.isdisjoint(ids)
            if fits:
                self.deletes.append(operation)
                self.deleted |= ids
        return fits


class Writer:
    """The task that writes, its queue, and the upkeep between commits."""

    def __init__(self, committer: Committer, upkeep: Upkeep, settings: StoreSettings) -> None:
        self._committer = committer
        self._upkeep = upkeep
        self._max_rows = settings.store_max_commit_rows
        self._queue: asyncio.Queue[_Operation | None] = asyncio.Queue(settings.store_queue_size)
        self._closing = self._ended = False
        self._task = asyncio.create_task(self._run(), name="store-writer")
        self.commits = 0

    @property
    def queued(self) -> int:
        """How many operations wait."""
        return self._queue.qsize()

    async def upsert(self, image: NewImage) -> Upserted:
        """Adds an image, or replaces its row; returns after the commit.

        A caller that is cancelled leaves the row either written or not, never in part.

        Raises:
            MetadataError: its metadata does not fit the columns.
            StoreWriteError: the commit failed.
            StoreClosedError: the writer was closed before.
        """
        answer: asyncio.Future[Upserted] = asyncio.get_running_loop().create_future()
        return await self._submit(_Upsert(image, answer), answer)

    async def delete(self, ids: Iterable[str]) -> int:
        """Deletes rows; returns after the commit how many there were.

        Raises:
            StoreWriteError: the commit failed.
            StoreClosedError: the writer was closed before.
        """
        answer: asyncio.Future[int] = asyncio.get_running_loop().create_future()
        return await self._submit(_Delete(frozenset(ids), answer), answer)

    async def close(self) -> None:
        """Writes what waits, then ends the task."""
        if not self._closing:
            self._closing = True
            await self._queue.put(None)
        await asyncio.wait([self._task])

    async def _submit(self, operation: _Operation, answer: asyncio.Future[_T]) -> _T:
        if self._closing:
            raise StoreClosedError("the index is closed")
        await self._queue.put(operation)
        if self._task.done():  # the queue was full until the writer had ended
            raise StoreClosedError("the index is closed")
        return await answer

    async def _run(self) -> None:
        try:
            while not self._ended:
                for group in _grouped(await self._batch()):
                    await self._write(group)
                await self._upkeep.run_if_due(waiting=self.queued)
        finally:
            self._refuse_rest()

    async def _batch(self) -> list[_Operation]:
        """Everything that waits, once anything does."""
        batch: list[_Operation] = []
        operation = await self._queue.get()
        while operation is not None:
            batch.append(operation)
            if len(batch) == self._max_rows or self._queue.empty():
                return batch
            operation = self._queue.get_nowait()
        self._ended = True
        return batch

    async def _write(self, group: _Group) -> None:
        # A caller that was cancelled while it waited has taken its operation back.
        upserts = [each for each in group.upserts if not each.answer.done()]
        deletes = [each for each in group.deletes if not each.answer.done()]
        try:
            if upserts:
                await self._upsert(upserts)
            if deletes:
                await self._delete(deletes)
        except Exception as error:
            fault = StoreWriteError("the index could not be written", detail=repr(error))
            for upsert in upserts:
                _fail(upsert.answer, fault)
            for delete in deletes:
                _fail(delete.answer, fault)

    async def _upsert(self, upserts: Sequence[_Upsert]) -> None:
        images = [each.image for each in upserts]
        answers = await self._committed(lambda: self._committer.upsert(images))
        for each, answer in zip(upserts, answers, strict=True):
            if isinstance(answer, StoreError):
                _fail(each.answer, answer)
            else:
                _succeed(each.answer, answer)

    async def _delete(self, deletes: Sequence[_Delete]) -> None:
        ids = frozenset().union(*(each.wanted for each in deletes))
        left = await self._committed(lambda: self._committer.delete(ids))
        for each in deletes:
            _succeed(each.answer, len(left & each.wanted))
            left -= each.wanted

    async def _committed(self, attempt: Callable[[], Awaitable[_T]]) -> _T:
        answer = await _retried(attempt)
        self.commits += 1
        self._upkeep.commits_since += 1
        return answer

    def _refuse_rest(self) -> None:
        while not self._queue.empty():
            operation = self._queue.get_nowait()
            if operation is not None:
                _fail(operation.answer, StoreClosedError("the index is closed"))


def _grouped(batch: Iterable[_Operation]) -> list[_Group]:
    groups: list[_Group] = []
    for operation in batch:
        if not groups or not groups[-1].take(operation):
            groups.append(_Group())
            groups[-1].take(operation)
    return groups


async def _retried(attempt: Callable[[], Awaitable[_T]]) -> _T:
    for failed in range(ATTEMPTS - 1):
        try:
            return await attempt()
        except Exception as error:
            if not is_conflict(error):
                raise
        await asyncio.sleep(FIRST_PAUSE_S * 2**failed)
    return await attempt()


def _succeed(answer: asyncio.Future[_T], result: _T) -> None:
    if not answer.done():
        answer.set_result(result)


def _fail(answer: asyncio.Future[Any], error: StoreError) -> None:
    if not answer.done():
        answer.set_exception(error)
