"""What one group becomes: new rows, then deletes, or one operation alone; each caller's result.

One of them that fails fails its own callers. A fault that lasts is logged once, until a commit goes
through again.
"""

import asyncio
import logging
from collections.abc import Awaitable, Callable, Iterable
from pathlib import Path
from typing import Any, TypeVar

from store.errors import (
    StoreDamagedError,
    StoreError,
    StoreFault,
    StoreFullError,
    StoreReadOnlyError,
    StoreWriteError,
)
from store.table.disk.location import has_space
from store.table.faults import fault_of, is_failure, retried
from store.write.commit import Committer
from store.write.operations import DeleteMatching, Group

_T = TypeVar("_T")

logger = logging.getLogger(__name__)

Answer = asyncio.Future[Any]
Result = tuple[Answer, Any]
"""A caller, and what they are told: an answer or a `StoreError`."""

_LASTING = (StoreFullError, StoreReadOnlyError, StoreDamagedError)
"""Faults that every add meets until somebody helps."""


class GroupCommit:
    """Makes the commits of a group. Only one at a time: the writer sees to that.

    Args:
        committer: makes one.
        folder: the store's, where adds stop before its disk is full; None on an object store.
        uri: of the store.

    Attributes:
        made: commits.
        conflicts: attempts that another process was faster than; each is made again.
    """

    def __init__(self, committer: Committer, folder: Path | None, uri: str) -> None:
        self._committer = committer
        self._folder = folder
        self._uri = uri
        self._told: type[StoreFault] | None = None
        self.made = 0
        self.conflicts = 0

    async def make(self, group: Group[Answer]) -> list[Result]:
        """Makes the commits of a group. One that fails fails its own callers: the rest stands."""
        results: list[Result] = []
        for commit, callers in (
            (self._put, [answer for _, answer in group.puts]),
            (self._delete, [answer for _, answer in group.deletes]),
            (self._alone, [] if group.alone is None else [group.alone[1]]),
        ):
            try:
                results += await commit(group)
            except BaseException as error:
                if not is_failure(error):
                    raise
                results += self.failed(error, callers)
        return results

    def failed(self, error: BaseException, callers: Iterable[Answer]) -> list[Result]:
        """The same fault for each of these callers; it is logged."""
        fault = error if isinstance(error, StoreError) else self._fault(error)
        self._tell(fault)
        return [(answer, fault) for answer in callers]

    async def _put(self, group: Group[Answer]) -> list[Result]:
        if not group.puts:
            return []
        if self._folder is not None and not await asyncio.to_thread(has_space, self._folder):
            raise StoreFullError("what is free is kept for deletes")
        puts = [put for put, _ in group.puts]
        results = await self._commit(lambda: self._committer.put(puts))
        if self._told is not None:
            self._told = None
            logger.warning("the index can be written again")
        return [(answer, result) for (_, answer), result in zip(group.puts, results, strict=True)]

    async def _delete(self, group: Group[Answer]) -> list[Result]:
        if not group.deletes:
            return []
        ids = frozenset().union(*(delete.wanted for delete, _ in group.deletes))
        left = await self._commit(lambda: self._committer.delete(ids))
        results: list[Result] = []
        for delete, answer in group.deletes:
            results.append((answer, len(left & delete.wanted)))
            left -= delete.wanted
        return results

    async def _alone(self, group: Group[Answer]) -> list[Result]:
        if group.alone is None:
            return []
        operation, answer = group.alone
        if isinstance(operation, DeleteMatching):
            filter_ = operation.filter
            return [(answer, await self._commit(lambda: self._committer.delete_matching(filter_)))]
        version = operation.version
        return [(answer, await self._commit(lambda: self._committer.restore(version)))]

    async def _commit(self, attempt: Callable[[], Awaitable[_T]]) -> _T:
        result = await retried(attempt, self._lost)
        self.made += 1
        return result

    def _lost(self) -> None:
        self.conflicts += 1

    def _fault(self, error: BaseException) -> StoreFault:
        otherwise = StoreWriteError("the index could not be written", detail=repr(error))
        fault = fault_of(error, otherwise, uri=self._uri, table=self._committer.table)
        fault.__cause__ = error
        return fault

    def _tell(self, fault: StoreError) -> None:
        """Logs a fault: one that lasts once, not for each commit that meets it."""
        if isinstance(fault, _LASTING):
            if not isinstance(fault, self._told or ()):
                self._told = type(fault)
                logger.error("%s (%s)", fault, fault.detail)
        elif isinstance(fault, StoreFault):
            logger.error("a commit failed", exc_info=fault)


def count_written(results: Iterable[Result]) -> int:
    """How many of the operations were written."""
    return sum(not isinstance(result, StoreError) for _, result in results)
