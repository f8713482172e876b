"""A slow answer about a whole table, which may lag behind the table's changes."""

import time
from collections.abc import Callable, Sequence
from typing import Generic, TypeVar

from store.snapshot.coalescer import Coalescer
from store.snapshot.latest import Snapshots
from store.snapshot.snapshot import Snapshot

STALE = 10
"""An answer serves for so many times as long as it took: a large table is not read all the time."""

_Answer = TypeVar("_Answer")


class Lagging(Generic[_Answer]):
    """An answer that is read again when the table has changed; concurrent calls share it.

    Args:
        snapshots: of the table.
        read: makes the answer. Blocks.
    """

    def __init__(self, snapshots: Snapshots, read: Callable[[Snapshot], _Answer]) -> None:
        self._calls = Coalescer(snapshots, self._answers)
        self._read = read
        self._version, self._until = -1, 0.0
        self._answer: _Answer

    async def latest(self) -> tuple[_Answer, Snapshot]:
        """The answer, of the table as it is or was a moment ago; and the table as it is."""
        return await self._calls.answer(None)

    def _answers(self, snapshot: Snapshot, calls: Sequence[None]) -> list[tuple[_Answer, Snapshot]]:
        began = time.monotonic()
        if snapshot.version != self._version and began >= self._until:
            self._answer, ended = self._read(snapshot), time.monotonic()
            self._version, self._until = snapshot.version, ended + STALE * (ended - began)
        return [(self._answer, snapshot)] * len(calls)
