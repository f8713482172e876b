"""How many requests are in flight: as many as the service takes."""

import asyncio

FIRST = 8
MOST = 64
"""More than the 32 pictures that a service downloads at once by default, so that it never waits."""


class InFlight:
    """Places for requests. Grows with what succeeds, and halves where the service is full.

    Args:
        fixed: a number of places that stays; None adapts.
    """

    def __init__(self, fixed: int | None = None) -> None:
        self._adapts = fixed is None
        self._size = float(fixed or FIRST)
        self._taken = 0
        self._eras = 0
        self._freed = asyncio.Event()
        self._starting = True

    @property
    def size(self) -> int:
        """Places there are now."""
        return int(self._size)

    async def take(self) -> None:
        """Wait for a place."""
        while self._taken >= self.size:
            self._freed.clear()
            await self._freed.wait()
        self._taken += 1

    def free(self) -> None:
        """Give a place back."""
        self._taken -= 1
        self._freed.set()

    @property
    def era(self) -> int:
        """Changes with each halving; what was sent before is no reason for another one."""
        return self._eras

    def succeeded(self) -> None:
        """A request was answered: one more place for each, and later for each round of them."""
        if self._adapts:
            step = 1.0 if self._starting else 1.0 / self._size
            self._size = min(MOST, self._size + step)
            self._freed.set()

    def refused(self, era: int) -> None:
        """The service was full for a request that was sent in this era."""
        if self._adapts and era == self._eras:
            self._eras += 1
            self._starting = False
            self._size = max(1.0, self._size / 2)
