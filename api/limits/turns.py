"""Turns: a request's bulk work goes on few items at a time, between the work of other requests.

A picture of a hundred objects is a hundred pictures for the embedder. Sent at once, they would
stand before everybody who searches meanwhile.
"""

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from time import monotonic

FEW = 2
"""Items of a turn while others come and go: who comes in the middle of it waits for no more."""

RECENT_S = 1.0
"""For so long after others were answered, more of them are expected."""

PATIENCE_S = 0.1
"""Where others are at work all the time, bulk work is one of them this often."""


class Turns:
    """Counts the other requests at work, and gives bulk work its turns."""

    def __init__(self) -> None:
        self._others = 0
        self._answered = float("-inf")
        self._free = asyncio.Event()
        self._free.set()
        self._one = asyncio.Lock()

    def count(self, others: int) -> None:
        """So many more other requests are at work, or fewer."""
        self._others += others
        if self._others:
            self._free.clear()
        else:
            self._free.set()

    def answered(self) -> None:
        """Another request was answered: more of them are expected."""
        self._answered = monotonic()

    @asynccontextmanager
    async def next(self, most: int) -> AsyncIterator[int]:
        """Wait for a turn, which lasts until the block exits; tells how many items it is for.

        Args:
            most: items, where nobody else is there.
        """
        if self._free.is_set() and not self._is_shared():
            yield most
            return
        async with self._one:
            if await self._is_free():
                yield min(FEW, most) if self._is_shared() else most
                return
        yield most

    def _is_shared(self) -> bool:
        return monotonic() - self._answered < RECENT_S

    async def _is_free(self) -> bool:
        """Whether others leave a gap soon."""
        try:
            async with asyncio.timeout(PATIENCE_S):
                await self._free.wait()
        except TimeoutError:
            return False
        return True
