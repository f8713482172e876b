"""From a URL to pixels and back to a JPEG: downloads, the memory for pictures, and decoders.

Downloads wait for the network, so many run at once; decoding, drawing and encoding need a core
each, and a process each (`images.workers.decoders`), so only a few do. Memory is bounded twice: by
the number of files between download and decoding, and by what the pictures take from there on.
"""

from collections.abc import AsyncIterator, Awaitable, Callable, Iterator, Sequence
from contextlib import (
    AbstractAsyncContextManager,
    ExitStack,
    asynccontextmanager,
    contextmanager,
    nullcontext,
)
from dataclasses import replace

import numpy as np
from numpy.typing import NDArray

from api.limits.memory import MemoryBudget, Reservation
from api.pipeline.downloads import Downloads, HostLimits
from api.requests.source import Source
from api.settings import Settings
from api.telemetry.metrics import DECODE, DECODE_MEMORY, DRAW, MEMORY_QUEUE
from images.errors import MoreMemoryError, TooLargeError
from images.fetch.fetcher import Fetcher
from images.schemas import (
    LARGEST_BYTES,
    ORDINARY_BYTES,
    ClipPicture,
    ClipTask,
    CropTask,
    LabelledBox,
    Letterboxed,
    LetterboxTask,
    PixelBox,
    SharedPicture,
)
from images.workers.decoders import Decoders
from runners.schemas import ClipInfo, YoloInfo

StoreOriginal = Callable[[bytes], Awaitable[str | None]]
"""Stores a picture's file; returns what it is called then."""

InFull = Callable[[], Awaitable[NDArray[np.uint8]]]
"""Prepares a picture from all of its pixels."""

_LEAST_LETTERBOX = LetterboxTask(32, 32)
"""Where no detector is given it: a picture is decoded for parts of it in this way only."""

_MOST_HELD_BYTES = 256 << 20
"""Of all files that are kept while they are searched by."""


class Pictures:
    """Brings pictures in as the models take them.

    An ordinary picture is decoded at once, in memory of one size. Only a larger one is sent to a
    decoder twice: the first tells what it needs, and it waits until there is so much.

    Args:
        settings: of the whole service.
        hosts: the limits of downloads; those that the settings say without.

    Attributes:
        decoders: the processes that decode, and how busy they are.
        memory: what pictures may take at once, and how much is left.
    """

    def __init__(self, settings: Settings, hosts: HostLimits | None = None) -> None:
        api = settings.api
        self.memory = MemoryBudget(api.decode_memory_bytes, DECODE_MEMORY, MEMORY_QUEUE)
        limits = replace(
            settings.decode.limits, max_memory_bytes=max(api.decode_memory_bytes, LARGEST_BYTES)
        )
        self.decoders = Decoders(limits, api.decode_processes, settings.decode.decode_timeout_s)
        self._downloads = Downloads(
            Fetcher(settings.fetch),
            api.download_threads,
            api.downloads_per_host,
            api.request_timeout_s / 2,
            hosts,
        )
        self._quality = api.jpeg_quality
        self._keep_originals = api.keep_originals
        self._thumbnail_side = settings.decode.thumbnail_size
        self._max_bytes = settings.fetch.max_image_bytes
        self._held_bytes = 0

    async def for_clip(self, source: Source, clip: ClipInfo) -> NDArray[np.uint8]:
        """Fetch and prepare a picture for the embedder: uint8 [size, size, 3].

        Raises:
            ImageError: it cannot be fetched, or is not an acceptable picture.
        """
        async with self._file(source) as data:
            return (await self._prepared(data, _clip_task(clip))).pixels

    @asynccontextmanager
    async def for_search(
        self, source: Source, clip: ClipInfo
    ) -> AsyncIterator[tuple[NDArray[np.uint8], InFull | None]]:
        """Fetch and prepare a picture to search by, at a fraction of its size where it is large.

        Its file stays in memory until the block ends, so that it can be decoded in full without
        another download. Where files that are kept so take too much, that is done at once.

        Raises:
            ImageError: it cannot be fetched, or is not an acceptable picture.
        """
        with ExitStack() as held:
            async with self._file(source) as data:
                may_hold = self._held_bytes + len(data) <= _MOST_HELD_BYTES
                task = replace(_clip_task(clip), reduced=may_hold)
                if may_hold:
                    held.enter_context(self._holding(len(data)))
                picture = await self._prepared(data, task)
            if not picture.is_reduced:
                held.close()
                del data
                yield picture.pixels, None
                return

            async def in_full() -> NDArray[np.uint8]:
                return (await self._prepared(data, _clip_task(clip))).pixels

            yield picture.pixels, in_full

    @contextmanager
    def _holding(self, size: int) -> Iterator[None]:
        self._held_bytes += size
        try:
            yield
        finally:
            self._held_bytes -= size

    async def for_index(
        self, source: Source, clip: ClipInfo, store: StoreOriginal, *, exif: bool = False
    ) -> tuple[ClipPicture, str | None]:
        """The same, with the digest of the whole picture's pixels and its thumbnail.

        Args:
            source: of the picture.
            clip: what the embedder takes.
            store: is given the file, once it has proved to be a picture, if originals are stored.
            exif: whether to read what its EXIF tells, too.

        Returns:
            The picture, and what its file is called where it is stored.

        Raises:
            ImageError: it cannot be fetched, or is not an acceptable picture.
            Exception: whatever `store` raised.
        """
        side = self._thumbnail_side
        task = replace(_clip_task(clip), digest=True, thumbnail_side=side, exif=exif)
        async with self._file(source) as data:
            picture = await self._prepared(data, task)
            return picture, await store(data) if self._is_stored(source) else None

    @asynccontextmanager
    async def for_objects(
        self,
        source: Source,
        models: tuple[ClipInfo, YoloInfo],
        store: StoreOriginal,
        *,
        exif: bool = False,
    ) -> AsyncIterator[tuple[ClipPicture, str | None, SharedPicture, Letterboxed]]:
        """The same as `for_index`, and for the detector, too; its pixels stay until the block ends.

        Raises:
            ImageError: it cannot be fetched, or is not an acceptable picture.
            Exception: whatever `store` raised.
        """
        clip, yolo = models
        side = self._thumbnail_side
        task = replace(_clip_task(clip), digest=True, thumbnail_side=side, exif=exif)
        tasks = task, LetterboxTask(yolo.image_size, yolo.stride)
        is_stored = self._is_stored(source)
        with SharedPicture() as picture, ExitStack() as pinned:
            async with self._file(source) as data:
                clipped, boxed = await self._both(data, tasks, picture, pinned)
                file = await store(data) if is_stored else None
            yield clipped, file, picture, boxed

    @asynccontextmanager
    async def for_crops(
        self, source: Source, clip: ClipInfo
    ) -> AsyncIterator[tuple[ClipPicture, SharedPicture]]:
        """Fetch and prepare a picture for the embedder, of which parts will be cut out as well.

        Raises:
            ImageError: it cannot be fetched, or is not an acceptable picture.
        """
        tasks = replace(_clip_task(clip), digest=True), _LEAST_LETTERBOX
        with SharedPicture() as picture, ExitStack() as pinned:
            async with self._file(source) as data:
                clipped, _ = await self._both(data, tasks, picture, pinned)
            yield clipped, picture

    def _is_stored(self, source: Source) -> bool:
        return self._keep_originals in ("all", "uploads" if source.data is not None else "all")

    @asynccontextmanager
    async def for_yolo(
        self, source: Source, yolo: YoloInfo, *, keep: bool = True
    ) -> AsyncIterator[tuple[SharedPicture, Letterboxed]]:
        """Fetch and prepare a picture for the detector; the picture itself is for drawing.

        Its pixels stay in memory until the block ends, if there will be anything to draw into.

        Raises:
            ImageError: it cannot be fetched, or is not an acceptable picture.
        """
        task = LetterboxTask(yolo.image_size, yolo.stride)
        with SharedPicture(has_pixels=keep) as picture, ExitStack() as pinned:
            async with self._file(source) as data:
                try:
                    boxed = await self._letterboxed(data, task, picture, ORDINARY_BYTES, pinned)
                except MoreMemoryError as more:
                    boxed = await self._letterboxed(data, task, picture, more.needed_bytes, pinned)
            yield picture, boxed

    async def annotated(self, picture: SharedPicture, boxes: Sequence[LabelledBox]) -> bytes:
        """Draw the boxes into a copy of the picture and return it as a JPEG.

        Raises:
            ImageError: it cannot be drawn.
        """
        with DRAW():
            return await self.decoders.draw(picture, boxes, self._quality)

    async def crops(
        self, picture: SharedPicture, boxes: Sequence[PixelBox], clip: ClipInfo
    ) -> NDArray[np.uint8]:
        """Cut parts out of the picture, as the embedder takes them: uint8 [boxes, size, size, 3].

        Raises:
            ImageError: they cannot be cut out.
        """
        with DRAW():
            task = CropTask(clip.image_size, clip.interpolation)
            return await self.decoders.crop(picture, boxes, task)

    async def tiles(
        self, picture: SharedPicture, boxes: Sequence[PixelBox], yolo: YoloInfo
    ) -> list[Letterboxed]:
        """Cut parts out of the picture, as the detector takes them.

        Raises:
            ImageError: they cannot be cut out.
        """
        with DRAW():
            task = LetterboxTask(yolo.image_size, yolo.stride)
            return await self.decoders.tiles(picture, boxes, task)

    def close(self) -> None:
        """Take no more work."""
        self._downloads.close()
        self.decoders.close()

    def _file(self, source: Source) -> AbstractAsyncContextManager[bytes]:
        """A picture's file: downloaded, or as it came with the request.

        What came with requests is bounded by the in-flight limit, as their bodies are.
        """
        if source.data is None:
            return self._downloads.fetched(source.url)
        if len(source.data) > self._max_bytes:
            raise TooLargeError(self._max_bytes)
        return nullcontext(source.data)

    async def _prepared(self, data: bytes, task: ClipTask) -> ClipPicture:
        try:
            return await self._clipped(data, task, ORDINARY_BYTES)
        except MoreMemoryError as more:
            return await self._clipped(data, task, more.needed_bytes)

    async def _clipped(self, data: bytes, task: ClipTask, memory_bytes: int) -> ClipPicture:
        reservation = await self.memory.reserve(memory_bytes)
        with reservation.pin(), DECODE():
            return await self.decoders.clip(data, task, memory_bytes, reservation.pin)

    async def _letterboxed(
        self,
        data: bytes,
        task: LetterboxTask,
        picture: SharedPicture,
        memory_bytes: int,
        pinned: ExitStack,
    ) -> Letterboxed:
        """What the detector takes; the memory for drawing stays reserved until `pinned` ends."""
        async with self._reserved(picture, memory_bytes, pinned) as reservation:
            boxed, needed = await self.decoders.letterbox(data, task, memory_bytes, picture)
            reservation.shrink(needed)
        return boxed

    async def _both(
        self,
        data: bytes,
        tasks: tuple[ClipTask, LetterboxTask],
        picture: SharedPicture,
        pinned: ExitStack,
    ) -> tuple[ClipPicture, Letterboxed]:
        """What both models take; the memory for cropping stays reserved until `pinned` ends."""
        try:
            return await self._both_within(data, tasks, picture, ORDINARY_BYTES, pinned)
        except MoreMemoryError as more:
            return await self._both_within(data, tasks, picture, more.needed_bytes, pinned)

    async def _both_within(
        self,
        data: bytes,
        tasks: tuple[ClipTask, LetterboxTask],
        picture: SharedPicture,
        memory_bytes: int,
        pinned: ExitStack,
    ) -> tuple[ClipPicture, Letterboxed]:
        async with self._reserved(picture, memory_bytes, pinned) as reservation:
            clipped, boxed, needed = await self.decoders.both(data, tasks, memory_bytes, picture)
            reservation.shrink(needed)
        return clipped, boxed

    @asynccontextmanager
    async def _reserved(
        self, picture: SharedPicture, memory_bytes: int, pinned: ExitStack
    ) -> AsyncIterator[Reservation]:
        """Memory for decoding a shared picture: until `pinned` ends, where that goes well."""
        reservation = await self.memory.reserve(memory_bytes)
        with ExitStack() as trying:
            trying.enter_context(reservation.pin())
            picture.pin = reservation.pin
            with DECODE():
                yield reservation
            pinned.push(trying.pop_all())


def _clip_task(clip: ClipInfo) -> ClipTask:
    return ClipTask(
        clip.image_size, clip.interpolation, clip.resize_mode, clip.fill_color, digest=False
    )
