"""The service's own way from a URL to pixels, and its parts, for `bench.guard`.

The one place of the benchmarks that knows how `api.pictures` puts them together.
"""

import asyncio
from collections.abc import AsyncIterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import asynccontextmanager
from typing import ClassVar, Self

import numpy as np
from numpy.typing import NDArray
from PIL import Image

from api.pictures import Pictures
from api.settings import ApiSettings, Settings
from images.decode import count_pixels, decode
from images.fetch import Fetcher
from images.prepare import clip_pixels
from images.settings import DecodeSettings, FetchSettings
from runners.schemas import ClipInfo
from runners.settings import ModelSettings
from store.settings import StoreSettings

_SIDE = 224
_HALF = (0.5, 0.5, 0.5)
_CLIP = ClipInfo("ViT-B-32", "none", 512, _SIDE, "bicubic", "shortest", 0, _HALF, _HALF, 77)


class Guarded:
    """Fetches and decodes as the API worker does. Get one with `open`."""

    INCLUDES: ClassVar[str] = (
        "api.pictures for the embedder: checks of URL and address, download in a thread, limits,"
        " decoding in a thread, orientation, preparation"
    )

    def __init__(self) -> None:
        fetch, limits = FetchSettings(allow_networks="127.0.0.1/32"), DecodeSettings()
        settings = Settings(ApiSettings(), fetch, limits, ModelSettings(), StoreSettings())
        self._pictures = Pictures(settings)
        self._fetcher, self._limits = Fetcher(fetch), limits
        self._threads = ThreadPoolExecutor(1)

    @classmethod
    @asynccontextmanager
    async def open(cls) -> AsyncIterator[Self]:
        """With its threads and processes, until the block ends."""
        guarded = cls()
        try:
            yield guarded
        finally:
            guarded._pictures.close()
            guarded._threads.shutdown()

    async def picture(self, url: str) -> NDArray[np.uint8]:
        """The whole way, to what the embedder takes: uint8 [224, 224, 3]."""
        return await self._pictures.for_clip(url, _CLIP)

    async def fetch(self, url: str) -> bytes:
        """From the URL to the file."""
        loop = asyncio.get_running_loop()
        return await loop.run_in_executor(self._threads, self._fetcher.fetch, url)

    async def decode(self, data: bytes) -> NDArray[np.uint8]:
        """From the file to what the embedder takes, with the hops that this takes."""
        loop = asyncio.get_running_loop()
        return await loop.run_in_executor(self._threads, self.decode_in_place, data)

    def decode_in_place(self, data: bytes) -> NDArray[np.uint8]:
        """The same without any hop."""
        count_pixels(data, self._limits)
        return self.prepare(decode(data, self._limits))

    @staticmethod
    def prepare(picture: Image.Image) -> NDArray[np.uint8]:
        """Scale and crop a decoded picture for the embedder."""
        return clip_pixels(picture, _SIDE, _CLIP.interpolation, _CLIP.resize_mode, _CLIP.fill_color)
