"""From a URL to pixels and back to a JPEG, off the event loop.

Downloads wait for the network, so many run at once; decoding, drawing and encoding need a core
each (Pillow frees the interpreter lock), so only a few do, which also bounds the memory of large
pictures in flight.
"""

import asyncio
from collections.abc import Callable, Sequence
from concurrent.futures import ThreadPoolExecutor
from typing import TypeVar

import numpy as np
from numpy.typing import NDArray
from PIL.Image import Image

from api.settings import Settings
from images.decode import decode
from images.draw import draw_boxes, encode_jpeg
from images.fetch import Fetcher
from images.prepare import Letterboxed, clip_pixels, letterbox
from images.schemas import LabelledBox
from runners.schemas import ClipInfo, YoloInfo

T = TypeVar("T")


class Pictures:
    """Brings pictures in as the models want them."""

    def __init__(self, settings: Settings) -> None:
        self._fetcher = Fetcher(settings.fetch)
        self._limits = settings.decode
        self._quality = settings.api.jpeg_quality
        self._downloads = ThreadPoolExecutor(settings.api.download_threads, "download")
        self._work = ThreadPoolExecutor(settings.api.decode_threads, "decode")

    async def for_clip(self, url: str, clip: ClipInfo) -> NDArray[np.uint8]:
        """Fetch and prepare a picture for the embedder: uint8 [size, size, 3].

        Raises:
            ImageError: it cannot be fetched, or is not an acceptable picture.
        """
        data = await self._fetched(url)

        def prepare() -> NDArray[np.uint8]:
            picture = decode(data, self._limits)
            return clip_pixels(
                picture, clip.image_size, clip.interpolation, clip.resize_mode, clip.fill_color
            )

        return await _run(self._work, prepare)

    async def for_yolo(self, url: str, yolo: YoloInfo) -> tuple[Image, Letterboxed]:
        """Fetch and prepare a picture for the detector; the picture itself is for drawing.

        Raises:
            ImageError: it cannot be fetched, or is not an acceptable picture.
        """
        data = await self._fetched(url)

        def prepare() -> tuple[Image, Letterboxed]:
            picture = decode(data, self._limits)
            return picture, letterbox(picture, yolo.image_size, yolo.stride)

        return await _run(self._work, prepare)

    async def annotated(self, picture: Image, boxes: Sequence[LabelledBox]) -> bytes:
        """Draw the boxes into a copy of the picture and return it as a JPEG."""
        return await _run(
            self._work, lambda: encode_jpeg(draw_boxes(picture, boxes), self._quality)
        )

    def close(self) -> None:
        """Take no more work; what runs may end."""
        self._downloads.shutdown(wait=False, cancel_futures=True)
        self._work.shutdown(wait=False, cancel_futures=True)

    async def _fetched(self, url: str) -> bytes:
        return await _run(self._downloads, lambda: self._fetcher.fetch(url))


async def _run(pool: ThreadPoolExecutor, work: Callable[[], T]) -> T:
    return await asyncio.get_running_loop().run_in_executor(pool, work)
