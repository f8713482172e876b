"""The service's own way from a URL to pixels, for `bench.guard`."""

import os
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from typing import ClassVar, Self

import numpy as np
from numpy.typing import NDArray
from PIL import Image

from api.pipeline.downloads import Downloads
from api.pipeline.pictures import Pictures
from api.requests.source import Source
from api.settings import Settings
from images.decode.prepare import clip_pixels
from images.fetch.fetcher import Fetcher
from runners.schemas import ClipInfo

_SIDE = 224
_HALF = (0.5, 0.5, 0.5)
_CLIP = ClipInfo("ViT-B-32", "none", 512, _SIDE, "bicubic", "shortest", 0, _HALF, _HALF, 77)


class Guarded:
    """Fetches and decodes as the API worker does. Get one with `open`."""

    INCLUDES: ClassVar[str] = (
        "api.pipeline.pictures, for the embedder: checks, guarded download, limits, decoding"
        " wherever the service does it, orientation, preparation"
    )

    def __init__(self) -> None:
        os.environ["IMAGE_SEARCH_ALLOW_NETWORKS"] = "127.0.0.1/32"
        settings = Settings.from_environment()
        self._pictures = Pictures(settings)
        self._downloads = Downloads(Fetcher(settings.fetch), settings.api.download_threads)

    @classmethod
    @asynccontextmanager
    async def open(cls) -> AsyncIterator[Self]:
        """With its threads and processes, until the block ends."""
        guarded = cls()
        try:
            yield guarded
        finally:
            guarded._pictures.close()
            guarded._downloads.close()

    async def picture(self, url: str) -> NDArray[np.uint8]:
        """The whole way, to what the embedder takes: uint8 [224, 224, 3]."""
        return await self._pictures.for_clip(Source(url), _CLIP)

    async def fetch(self, url: str) -> bytes:
        """From the URL to the file alone."""
        async with self._downloads.fetched(url) as data:
            return data

    @staticmethod
    def prepare(picture: Image.Image) -> NDArray[np.uint8]:
        """Scale and crop a decoded picture for the embedder, as the service does it."""
        return clip_pixels(picture, _SIDE, _CLIP.interpolation, _CLIP.resize_mode, _CLIP.fill_color)
