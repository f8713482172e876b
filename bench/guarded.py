"""The service's own way from a URL to pixels, by the same parts, for `bench.guard`.

The one place of the benchmarks that knows how `api.pictures` puts them together.
"""

import asyncio
from collections.abc import AsyncIterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import asynccontextmanager
from typing import ClassVar, Self

from PIL import Image

from images.decode import count_pixels, decode
from images.fetch import Fetcher
from images.settings import DecodeSettings, FetchSettings


class Guarded:
    """Fetches and decodes as the API worker does. Get one with `open`."""

    INCLUDES: ClassVar[str] = (
        "URL and address checks, guarded download in a thread, limits of the header in a thread,"
        " decoding in a thread, orientation"
    )

    def __init__(self) -> None:
        self._fetcher = Fetcher(FetchSettings(allow_networks="127.0.0.1/32"))
        self._limits = DecodeSettings()
        self._downloads = ThreadPoolExecutor(1)
        self._work = ThreadPoolExecutor(1)

    @classmethod
    @asynccontextmanager
    async def open(cls) -> AsyncIterator[Self]:
        """With its threads, until the block ends."""
        guarded = cls()
        try:
            yield guarded
        finally:
            guarded._downloads.shutdown()
            guarded._work.shutdown()

    async def picture(self, url: str) -> Image.Image:
        """The whole way."""
        return await self.decode(await self.fetch(url))

    async def fetch(self, url: str) -> bytes:
        """From the URL to the file."""
        loop = asyncio.get_running_loop()
        return await loop.run_in_executor(self._downloads, self._fetcher.fetch, url)

    async def decode(self, data: bytes) -> Image.Image:
        """From the file to pixels, with the hops that this takes."""
        loop = asyncio.get_running_loop()
        await loop.run_in_executor(self._work, count_pixels, data, self._limits)
        return await loop.run_in_executor(self._work, decode, data, self._limits)

    def decode_in_place(self, data: bytes) -> Image.Image:
        """The same without any hop."""
        count_pixels(data, self._limits)
        return decode(data, self._limits)
