"""From a URL to pixels and back to a JPEG, off the event loop.

Downloads wait for the network, so many run at once; decoding, drawing and encoding need a core
each (Pillow frees the interpreter lock), so only a few do. Memory is bounded twice: by the number
of files between download and decoding, and by the pixels of the pictures that are decoded.
"""

import asyncio
from collections.abc import AsyncIterator, Callable, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import AsyncExitStack, asynccontextmanager
from typing import TypeVar

import numpy as np
from numpy.typing import NDArray
from PIL.Image import Image

from api.budget import PixelBudget
from api.downloads import Downloads
from api.settings import Settings
from images.decode import count_pixels, decode
from images.digest import pixel_digest
from images.draw import draw_boxes, encode_jpeg
from images.fetch import Fetcher
from images.prepare import Letterboxed, clip_pixels, letterbox
from images.schemas import LabelledBox
from runners.schemas import ClipInfo, YoloInfo

T = TypeVar("T")


class Pictures:
    """Brings pictures in as the models want them."""

    def __init__(self, settings: Settings) -> None:
        self._downloads = Downloads(
            Fetcher(settings.fetch), settings.api.download_threads, settings.api.downloads_per_host
        )
        self._limits = settings.decode
        self._quality = settings.api.jpeg_quality
        self._pixels = PixelBudget(settings.api.pixels_in_flight)
        self._work = ThreadPoolExecutor(settings.api.decode_threads, "decode")

    async def for_clip(self, url: str, clip: ClipInfo) -> NDArray[np.uint8]:
        """Fetch and prepare a picture for the embedder: uint8 [size, size, 3].

        Raises:
            ImageError: it cannot be fetched, or is not an acceptable picture.
        """
        async with self._decoded(url, lambda picture: _for_clip(picture, clip)) as (_, pixels):
            return pixels

    async def for_index(self, url: str, clip: ClipInfo) -> tuple[NDArray[np.uint8], str]:
        """The same, and the digest of the whole picture's pixels.

        Raises:
            ImageError: it cannot be fetched, or is not an acceptable picture.
        """

        def prepare(picture: Image) -> tuple[NDArray[np.uint8], str]:
            return _for_clip(picture, clip), pixel_digest(picture)

        async with self._decoded(url, prepare) as (_, prepared):
            return prepared

    @asynccontextmanager
    async def for_yolo(self, url: str, yolo: YoloInfo) -> AsyncIterator[tuple[Image, Letterboxed]]:
        """Fetch and prepare a picture for the detector; the picture itself is for drawing.

        Its pixels are held until the block ends.

        Raises:
            ImageError: it cannot be fetched, or is not an acceptable picture.
        """

        def prepare(picture: Image) -> Letterboxed:
            return letterbox(picture, yolo.image_size, yolo.stride)

        async with self._decoded(url, prepare) as pictures:
            yield pictures

    async def annotated(self, picture: Image, boxes: Sequence[LabelledBox]) -> bytes:
        """Draw the boxes into a copy of the picture and return it as a JPEG."""
        return await _run(
            self._work, lambda: encode_jpeg(draw_boxes(picture, boxes), self._quality)
        )

    def close(self) -> None:
        """Take no more work; what runs may end."""
        self._downloads.close()
        self._work.shutdown(wait=False, cancel_futures=True)

    @asynccontextmanager
    async def _decoded(
        self, url: str, prepare: Callable[[Image], T]
    ) -> AsyncIterator[tuple[Image, T]]:
        """The picture at a URL and what a model needs of it, while there is room for its pixels."""

        def work() -> tuple[Image, T]:
            picture = decode(data, self._limits)
            return picture, prepare(picture)

        async with AsyncExitStack() as held:
            async with self._downloads.fetched(url) as data:
                pixels = await _run(self._work, lambda: count_pixels(data, self._limits))
                await held.enter_async_context(self._pixels.held(pixels))
                decoded = await _run(self._work, work)
            yield decoded


def _for_clip(picture: Image, clip: ClipInfo) -> NDArray[np.uint8]:
    return clip_pixels(
        picture, clip.image_size, clip.interpolation, clip.resize_mode, clip.fill_color
    )


async def _run(pool: ThreadPoolExecutor, work: Callable[[], T]) -> T:
    return await asyncio.get_running_loop().run_in_executor(pool, work)
