"""What a worker of the API holds once it is ready: the models' clients, the pictures, the index."""

import asyncio
import logging
import os
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from typing import Any, Self

import numpy as np
from numpy.typing import NDArray

from api.limits.responses import LargeAnswers
from api.pipeline.models import Models
from api.pipeline.pictures import Pictures
from api.requests.source import Source
from api.settings import Settings
from api.telemetry.metrics import SEARCH, IndexObserver
from images.schemas import LabelledBox
from images.workers.shared_picture import HeldPicture
from runners.schemas import unpack_detections
from runners.serving.shutdown import end_service
from store.errors import ModelMismatchError, StoreError
from store.index import ImageIndex
from store.schemas import Hit, ModelIdentity, NewImage, SearchQuery
from store.search.query import Matches

logger = logging.getLogger("bentoml.image_search")
RETRY_S = 5.0
ANSWER_S = 5.0
"""Seconds for what is being answered, before a worker ends that cannot write any more."""


class Backend:
    """What a worker's routes work with; get one with `open`.

    Attributes:
        settings: of the whole service.
        index: the open index.
        pictures: brings pictures in, and draws.
        large_answers: makes these few at a time.
        batch_slots: for the images of requests with many, all such requests together: half of the
            downloads are left to the others.
        near_duplicates_lock: held from the search for near-duplicates until the commit.
    """

    def __init__(
        self, settings: Settings, models: Models, index: ImageIndex, pictures: Pictures
    ) -> None:
        self.settings = settings
        self.index = index
        self.pictures = pictures
        self.large_answers = LargeAnswers()
        self.batch_slots = asyncio.Semaphore((settings.api.download_threads + 1) // 2)
        self.near_duplicates_lock = asyncio.Lock()
        self._models = models
        self._watching = asyncio.create_task(end_when_stuck(index))

    @classmethod
    async def open(cls, embedder: Any, detector: Any, settings: Settings) -> Self:
        """Wait for both models, then open the table of the embedder's vectors.

        Goes on trying: the models need seconds to load, and a table that cannot be opened now may
        be mended while the service runs. The log says what is missing. A table of another model
        ends the service.

        Args:
            embedder: BentoML's client of `ClipEmbedder`.
            detector: BentoML's client of `YoloDetector`.
            settings: of the whole service.
        """
        models = await Models.connect(embedder, detector)
        clip = models.clip
        identity = ModelIdentity(clip.model, clip.pretrained, clip.dim)
        while True:
            try:
                index = await ImageIndex.open(settings.store, identity, IndexObserver())
            except ModelMismatchError as error:
                end_service(str(error))
            except StoreError as error:
                logger.error("%s; trying again (%s)", error, error.detail)  # noqa: TRY400 - each time
                await asyncio.sleep(RETRY_S)
            else:
                pictures = Pictures(settings)
                await pictures.decoders.ready()
                return cls(settings, models, index, pictures)

    async def embed_picture(self, source: Source) -> NDArray[np.float32]:
        """The embedding of a picture: float32 [dim], unit length.

        Raises:
            ImageError: the picture cannot be had.
            ModelUnavailableError: the embedder does not answer.
        """
        pixels = await self.pictures.for_clip(source, self._models.clip)
        embedding: NDArray[np.float32] = await self._models.encode_image(pixels)
        return embedding

    async def embed_text(self, text: str) -> NDArray[np.float32]:
        """The embedding of a text: float32 [dim], unit length.

        Raises:
            ModelUnavailableError: the embedder does not answer.
        """
        embedding: NDArray[np.float32] = await self._models.encode_text(text)
        return embedding

    async def new_image(self, source: Source) -> NewImage:
        """A picture as the index takes it; its file is stored already, where originals are.

        Raises:
            ImageError: the picture cannot be had.
            ModelUnavailableError: the embedder does not answer.
            StoreFault: its file cannot be stored.
        """
        picture, file = await self.pictures.for_index(
            source, self._models.clip, self.index.keep_original
        )
        return NewImage(
            source.url,
            await self._models.encode_image(picture.pixels),
            pixels=picture.digest,
            thumbnail=picture.thumbnail,
            file=file,
        )

    async def search(self, query: SearchQuery, matches: Matches | None) -> list[Hit]:
        """What the index finds, best first.

        Args:
            query: what to search for.
            matches: of its text; None where it has none.

        Raises:
            StoreError: the query cannot be answered.
        """
        with SEARCH():
            return await self.index.search(query, matches)

    @asynccontextmanager
    async def detected(
        self, source: Source, min_confidence: float, *, keep: bool
    ) -> AsyncIterator[tuple[HeldPicture, list[LabelledBox]]]:
        """A picture, and the objects in it, surest first, in its own pixels.

        Args:
            source: of the picture.
            min_confidence: of the objects.
            keep: whether the picture will be drawn into; else it has no pixels, only its size.

        Raises:
            ImageError: the picture cannot be had.
            ModelUnavailableError: the detector does not answer.
        """
        async with self.pictures.for_yolo(source, self._models.yolo, keep=keep) as (picture, boxed):
            rows = np.array(await self._models.detect(boxed.pixels), np.float32)
            rows[:, :4] = boxed.to_original(rows[:, :4])
            found = unpack_detections(rows, self._models.yolo.class_names)
            boxes = [LabelledBox(d.xyxy, d.confidence, d.class_id, d.class_name) for d in found]
            yield picture, [box for box in boxes if box.confidence >= min_confidence]

    async def close(self) -> None:
        """Write what waits, and let go of the table, the threads and the decoders."""
        self._watching.cancel()
        self.pictures.close()
        await self.index.close()


async def end_when_stuck(index: ImageIndex) -> None:
    """End this process once a commit did not end: the supervisor starts another one.

    Nothing is lost by it. Who waited for that commit was told that it failed, and whether it is in
    the table is settled by the one rename that LanceDB makes of it.
    """
    await index.ended()
    logger.critical("the index takes no more writes through this worker: it ends, for a new one")
    await asyncio.sleep(ANSWER_S)
    os._exit(1)  # an orderly end would wait for the thread that is stuck
