"""Embedding of URLs in this process, without the service.

Many pictures are downloaded at once, as each waits for its server; the model takes whatever is
ready, up to a batch, so that neither waits for the other.
"""

import asyncio
from collections.abc import AsyncIterator, Awaitable, Callable, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from typing import NamedTuple

import numpy as np

from api.pipeline.boxes import on_picture, padded
from api.pipeline.pictures import Pictures
from api.requests.source import Source, is_upload_url
from api.settings import Settings
from images.errors import (
    BadAnswerError,
    FetchTimeoutError,
    HttpStatusError,
    ImageError,
    UnreachableError,
)
from runners.clip.model import ClipModel
from runners.errors import ModelOutputError
from runners.schemas import Pixels
from store.offline.embedding import Embedded, EmbedRequest
from store.pictures.files import PictureFiles
from store.schemas import FloatVector, ObjectSet
from store.table.disk.location import Location

FIRST_PAUSE_S = 1.0
"""Pause before a download is tried again; each further one is four times as long."""

UPLOADED = "the image was uploaded, and its file is not kept: upload it again"

_PASSING_STATUS = frozenset({408, 425, 429, 500, 502, 503, 504})

Done = Callable[[Embedded], Awaitable[None]]


@dataclass(eq=False)
class _Image:
    """An image on its way, and its vectors so far: its own, then those of its objects.

    Attributes:
        has_objects: whether these are embedded, too.
        failed: whether it was given up.
    """

    id: str
    vectors: list[FloatVector | None]
    has_objects: bool
    failed: bool = False

    @property
    def embedded(self) -> Embedded | None:
        """All of it, once all is there."""
        there = [each for each in self.vectors if each is not None]
        if len(there) < len(self.vectors):
            return None
        own, *objects = there
        none = np.empty((0, len(own)), np.float32)
        stacked = np.stack(objects) if objects else none
        return Embedded(self.id, own, objects=stacked if self.has_objects else None)


class _Ready(NamedTuple):
    """A picture, or an object in it, that waits for the model: uint8 [size, size, 3]."""

    image: _Image
    place: int
    pixels: Pixels


class Embedder:
    """Fetches pictures and embeds them; `store.offline.embedding.Embed`."""

    def __init__(
        self, settings: Settings, model: ClipModel, *, batch_size: int, retries: int
    ) -> None:
        self._pictures = Pictures(settings)
        folder = Location(settings.store.store_uri).folder
        self._files = PictureFiles(folder) if folder else None
        self._downloads = settings.api.download_threads
        self._model = model
        self._thread = ThreadPoolExecutor(1, "model")
        self._batch_size, self._retries = batch_size, retries

    async def __call__(self, wanted: AsyncIterator[EmbedRequest], done: Done) -> None:
        """Embed all images of an iterator, and give each to `done`.

        Raises:
            Exception: whatever `wanted` or `done` raised.
        """
        ready: asyncio.Queue[_Ready | None] = asyncio.Queue(2 * self._batch_size)
        turn = asyncio.Lock()
        try:
            async with asyncio.TaskGroup() as tasks:
                tasks.create_task(self._embed(ready, done))
                async with asyncio.TaskGroup() as downloads:
                    for _ in range(self._downloads):
                        downloads.create_task(self._download(wanted, turn, ready, done))
                await ready.put(None)
        except BaseExceptionGroup as group:
            raise _first(group) from group

    def close(self) -> None:
        """End the threads."""
        self._pictures.close()
        self._thread.shutdown(wait=False, cancel_futures=True)

    async def _download(
        self,
        wanted: AsyncIterator[EmbedRequest],
        turn: asyncio.Lock,
        ready: "asyncio.Queue[_Ready | None]",
        done: Done,
    ) -> None:
        while True:
            async with turn:  # an async generator serves one at a time
                image = await anext(wanted, None)
            if image is None:
                return
            source = await asyncio.to_thread(self._source, image)
            if source is None:
                await done(Embedded(image.id, None, UPLOADED))
                continue
            try:
                pixels, has_objects = await self._fetched(source, image)
            except ImageError as error:
                await done(Embedded(image.id, None, str(error)))
            else:
                own = _Image(image.id, [None] * len(pixels), has_objects)
                for place, each in enumerate(pixels):
                    await ready.put(_Ready(own, place, each))

    def _source(self, image: EmbedRequest) -> Source | None:
        """The original if it is stored, else the url; None for an upload whose file is not."""
        kept = image.file and self._files and self._files.read("originals", image.file)
        if kept:
            return Source(image.url, kept)
        return None if is_upload_url(image.url) else Source(image.url)

    async def _fetched(self, source: Source, image: EmbedRequest) -> tuple[list[Pixels], bool]:
        for failed in range(self._retries):
            try:
                return await self._prepared(source, image.pixels, image.objects)
            except ImageError as error:
                if not _may_pass(error):
                    raise
            await asyncio.sleep(FIRST_PAUSE_S * 4**failed)
        return await self._prepared(source, image.pixels, image.objects)

    async def _prepared(
        self, source: Source, digest: str | None, objects: ObjectSet | None
    ) -> tuple[list[Pixels], bool]:
        """A picture, and the objects in it if it is the one that they were found in."""
        clip = self._model.info
        if objects is None:
            return [await self._pictures.for_clip(source, clip)], False
        async with self._pictures.for_crops(source, clip) as (picture, shared):
            known = digest is None or digest == picture.digest
            if not known or shared.size != objects.size:
                return [picture.pixels], False
            size = shared.size
            boxes = [padded(on_picture(box, size, ()), size) for box in objects.boxes]
            crops = await self._pictures.crops(shared, boxes, clip) if boxes else ()
            return [picture.pixels, *crops], True

    async def _embed(self, ready: "asyncio.Queue[_Ready | None]", done: Done) -> None:
        last = False
        while not last:
            batch = [await ready.get()]
            while len(batch) < self._batch_size and not ready.empty():
                batch.append(ready.get_nowait())
            last = batch[-1] is None
            pictures = [each for each in batch if each is not None and not each.image.failed]
            for embedded in await self._embedded(pictures):
                await done(embedded)

    async def _embedded(self, pictures: Sequence[_Ready]) -> list[Embedded]:
        """The images that are done with these; where the model fails, each picture by itself."""
        if not pictures:
            return []
        try:
            pixels = np.stack([each.pixels for each in pictures])
            loop = asyncio.get_running_loop()
            encoded = loop.run_in_executor(self._thread, self._model.encode_images, pixels)
            vectors = await encoded
        except ModelOutputError as error:
            if len(pictures) == 1:
                return _given_up(pictures[0].image, str(error))
            return [one for each in pictures for one in await self._embedded([each])]
        for each, vector in zip(pictures, vectors, strict=True):
            each.image.vectors[each.place] = vector
        images = dict.fromkeys(each.image for each in pictures if not each.image.failed)
        return [embedded for each in images if (embedded := each.embedded) is not None]


def _given_up(image: _Image, reason: str) -> list[Embedded]:
    if image.failed:
        return []
    image.failed = True
    return [Embedded(image.id, None, reason)]


def _may_pass(error: ImageError) -> bool:
    if isinstance(error, HttpStatusError):
        return error.status in _PASSING_STATUS
    return isinstance(error, UnreachableError | FetchTimeoutError | BadAnswerError)


def _first(group: BaseExceptionGroup) -> BaseException:
    """The first of the errors: each of the others came of it, or at the same time."""
    error = group.exceptions[0]
    return _first(error) if isinstance(error, BaseExceptionGroup) else error
