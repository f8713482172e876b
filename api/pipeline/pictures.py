"""From a URL to pixels and back to a JPEG: downloads, the memory for pictures, and decoders.

Downloads wait for the network, so many run at once; decoding, drawing and encoding need a core
each, and a process each (`images.workers.decoders`), so only a few do. Memory is bounded twice: by
the number of files between download and decoding, and by what the pictures take from there on.
"""

from collections.abc import AsyncIterator, Awaitable, Callable, Sequence
from contextlib import AsyncExitStack, asynccontextmanager
from dataclasses import replace
from typing import TypeVar

import numpy as np
from numpy.typing import NDArray

from api.limits.memory import MemoryBudget
from api.pipeline.downloads import Downloads
from api.requests.source import Source
from api.settings import Settings
from api.telemetry.metrics import DECODE, DECODE_MEMORY, DRAW, MEMORY_QUEUE
from images.decode.memory import ORDINARY_BYTES, MoreRoomError
from images.errors import TooLargeError
from images.fetch.fetcher import Fetcher
from images.schemas import ClipPicture, ClipTask, LabelledBox, Letterboxed, LetterboxTask
from images.workers.decoders import Decoders
from images.workers.shared_picture import HeldPicture, Use
from runners.schemas import ClipInfo, YoloInfo

T = TypeVar("T")
_Decode = Callable[[bytes, int, Use], Awaitable[tuple[T, int]]]
_ForIndex = tuple[ClipPicture, str | None]
Keep = Callable[[bytes], Awaitable[str | None]]
"""Keeps a picture's file; returns what it is called then."""


class Pictures:
    """Brings pictures in as the models want them.

    Attributes:
        decoders: the processes that decode, and how busy they are.
        memory: what pictures may take at once, and how much is left.
    """

    def __init__(self, settings: Settings) -> None:
        api = settings.api
        self.memory = MemoryBudget(api.decode_memory_bytes, DECODE_MEMORY, MEMORY_QUEUE)
        self.decoders = Decoders(
            settings.decode.limits, api.decode_processes, settings.decode.decode_timeout_s
        )
        self._downloads = Downloads(
            Fetcher(settings.fetch), api.download_threads, api.downloads_per_host
        )
        self._quality = api.jpeg_quality
        self._keep_originals = api.keep_originals
        self._thumbnail_side = settings.decode.thumbnail_size
        self._max_bytes = settings.fetch.max_image_bytes

    async def for_clip(self, source: Source, clip: ClipInfo) -> NDArray[np.uint8]:
        """Fetch and prepare a picture for the embedder: uint8 [size, size, 3].

        Raises:
            ImageError: it cannot be fetched, or is not an acceptable picture.
        """
        task = _clip_task(clip)

        async def decode(data: bytes, room_bytes: int, use: Use) -> tuple[ClipPicture, int]:
            return await self.decoders.clip(data, task, room_bytes, use), 0

        async with self._decoded(source, decode) as prepared:
            return prepared.pixels

    async def for_index(
        self, source: Source, clip: ClipInfo, keep: Keep
    ) -> tuple[ClipPicture, str | None]:
        """The same, with the digest of the whole picture's pixels and its thumbnail.

        Args:
            source: of the picture.
            clip: what the embedder takes.
            keep: is given the file, once it has proved to be a picture, if it is to be kept.

        Returns:
            The picture, and what its file is called where it is kept.

        Raises:
            ImageError: it cannot be fetched, or is not an acceptable picture.
            Exception: whatever `keep` raised.
        """
        task = replace(_clip_task(clip), digest=True, thumbnail_side=self._thumbnail_side)
        is_kept = self._keep_originals in ("all", "uploads" if source.data is not None else "all")

        async def decode(data: bytes, room_bytes: int, use: Use) -> tuple[_ForIndex, int]:
            picture = await self.decoders.clip(data, task, room_bytes, use)
            return (picture, await keep(data) if is_kept else None), 0

        async with self._decoded(source, decode) as prepared:
            return prepared

    @asynccontextmanager
    async def for_yolo(
        self, source: Source, yolo: YoloInfo, *, keep: bool = True
    ) -> AsyncIterator[tuple[HeldPicture, Letterboxed]]:
        """Fetch and prepare a picture for the detector; the picture itself is for drawing.

        Its pixels are held until the block ends, if they are to be kept at all.

        Raises:
            ImageError: it cannot be fetched, or is not an acceptable picture.
        """
        task = LetterboxTask(yolo.image_size, yolo.stride)
        with HeldPicture(keep=keep) as picture:

            async def decode(data: bytes, room_bytes: int, use: Use) -> tuple[Letterboxed, int]:
                picture.use = use
                return await self.decoders.letterbox(data, task, room_bytes, picture)

            async with self._decoded(source, decode) as boxed:
                yield picture, boxed

    async def annotated(self, picture: HeldPicture, boxes: Sequence[LabelledBox]) -> bytes:
        """Draw the boxes into a copy of the picture and return it as a JPEG.

        Raises:
            ImageError: it cannot be drawn.
        """
        with DRAW():
            return await self.decoders.draw(picture, boxes, self._quality)

    def close(self) -> None:
        """Take no more work."""
        self._downloads.close()
        self.decoders.close()

    @asynccontextmanager
    async def _decoded(self, source: Source, decode: _Decode[T]) -> AsyncIterator[T]:
        """What is made of a picture, while there is room for its pixels.

        An ordinary picture is decoded at once, in a room of one size. Only a larger one is sent
        to a decoder twice: the first tells what it needs, and it waits until there is so much.

        Args:
            source: of the picture.
            decode: takes the file, the memory it may take, and the use of that memory; returns
                the result, and the memory that is held from then on.
        """
        async with AsyncExitStack() as held:
            async with self._file(source) as data:
                try:
                    result = await self._in_room(held, data, ORDINARY_BYTES, decode)
                except MoreRoomError as more:
                    result = await self._in_room(held, data, more.needed_bytes, decode)
            yield result

    @asynccontextmanager
    async def _file(self, source: Source) -> AsyncIterator[bytes]:
        """A picture's file: downloaded, or as it came with the request.

        What came with requests is bounded by the gate, as their bodies are.
        """
        if source.data is None:
            async with self._downloads.fetched(source.url) as data:
                yield data
            return
        if len(source.data) > self._max_bytes:
            raise TooLargeError(self._max_bytes)
        yield source.data

    async def _in_room(
        self, held: AsyncExitStack, data: bytes, room_bytes: int, decode: _Decode[T]
    ) -> T:
        async with AsyncExitStack() as trying:
            room = await trying.enter_async_context(self.memory.held(room_bytes))
            with DECODE():
                result, used_bytes = await decode(data, room_bytes, room.used)
            room.shrink(used_bytes)
            held.push_async_exit(trying.pop_all())
        return result


def _clip_task(clip: ClipInfo) -> ClipTask:
    return ClipTask(
        clip.image_size, clip.interpolation, clip.resize_mode, clip.fill_color, digest=False
    )
