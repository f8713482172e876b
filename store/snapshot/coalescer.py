"""Request coalescing: concurrent calls that read the same snapshot share one read of it."""

import asyncio
from collections.abc import Callable, Sequence
from typing import Generic, TypeVar

from store.snapshot.latest import Snapshots
from store.snapshot.snapshot import Snapshot
from store.table.faults import is_failure

BATCH = 32
"""Calls at most that share one read: the first must not wait for hundreds."""

_Call = TypeVar("_Call")
_Answer = TypeVar("_Answer")


class Coalescer(Generic[_Call, _Answer]):
    """Request coalescing: concurrent calls share one batched read of the latest snapshot.

    A lone call is answered at once; those that come meanwhile wait and are answered together.

    Args:
        snapshots: of the table.
        read: answers calls that were made before it is called, in their order. Blocks.
    """

    def __init__(
        self, snapshots: Snapshots, read: Callable[[Snapshot, Sequence[_Call]], Sequence[_Answer]]
    ) -> None:
        self._snapshots = snapshots
        self._read = read
        self._waiting: list[tuple[_Call, asyncio.Future[_Answer]]] = []
        self._task: asyncio.Task[None] | None = None

    async def answer(self, call: _Call) -> _Answer:
        """The answer to a call.

        Raises:
            BaseException: whatever the read that it shared raised.
        """
        future: asyncio.Future[_Answer] = asyncio.get_running_loop().create_future()
        self._waiting.append((call, future))
        if self._task is None or self._task.done():
            self._task = asyncio.create_task(self._run(), name="store-coalescer")
        return await future

    async def _run(self) -> None:
        while self._waiting:
            batch, self._waiting = self._waiting[:BATCH], self._waiting[BATCH:]
            batch = [each for each in batch if not each[1].done()]  # but who was cancelled
            try:
                calls = [call for call, _ in batch]
                snapshot = await self._snapshots.latest()
                answers = await asyncio.to_thread(self._read, snapshot, calls) if calls else []
            except BaseException as error:
                for _, future in batch:
                    if not future.done():
                        future.set_exception(error)
                if not is_failure(error):
                    raise
                continue
            for (_, future), answer in zip(batch, answers, strict=True):
                if not future.done():
                    future.set_result(answer)
