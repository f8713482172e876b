"""How many pixels of decoded pictures are held at once."""

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager


class PixelBudget:
    """Lets pictures in, first come, first served, while there is room for their pixels.

    Counting pictures would not do: a photograph of 50 megapixels takes as much memory as a
    thousand thumbnails, of which many should be in flight for batches to form.

    Args:
        pixels: room in all; a larger picture comes in alone.
    """

    def __init__(self, pixels: int) -> None:
        self._all = self._free = pixels
        self._line = asyncio.Lock()
        self._returned = asyncio.Event()

    @asynccontextmanager
    async def held(self, pixels: int) -> AsyncIterator[None]:
        """Wait for room, and hold it until the block ends."""
        wanted = min(pixels, self._all)
        async with self._line:  # a large one is not overtaken for ever by small ones
            while self._free < wanted:
                self._returned.clear()
                await self._returned.wait()
            self._free -= wanted
        try:
            yield
        finally:
            self._free += wanted
            self._returned.set()
