"""What the routes of a worker work with, once it is ready: models, pictures and the index."""

import asyncio
import logging
import os
from typing import Any, Self

from api.limits.memory import LargeAnswers
from api.pipeline.models import Models
from api.pipeline.pictures import Pictures
from api.settings import Settings
from api.telemetry.metrics import IndexObserver
from runners.serving.shutdown import end_service
from store.errors import ModelMismatchError, StoreError
from store.index import ImageIndex
from store.schemas import ModelIdentity

logger = logging.getLogger("bentoml.image_search")
RETRY_S = 5.0
ANSWER_S = 5.0
"""Seconds for what is being answered, before a worker ends that cannot write any more."""


class Backend:
    """What a worker's routes work with; get one with `open`.

    Attributes:
        settings: of the whole service.
        models: the calls of the model services.
        index: the open index.
        pictures: brings pictures in, and draws.
        large_answers: makes large answers, few at a time.
        batch_slots: a semaphore for the images of all batch requests, which leaves half of the
            downloads to the others.
        near_duplicates_lock: makes the search for near-duplicates and the commit one step.
    """

    def __init__(
        self, settings: Settings, models: Models, index: ImageIndex, pictures: Pictures
    ) -> None:
        self.settings = settings
        self.models = models
        self.index = index
        self.pictures = pictures
        self.large_answers = LargeAnswers()
        self.batch_slots = asyncio.Semaphore((settings.api.download_threads + 1) // 2)
        self.near_duplicates_lock = asyncio.Lock()
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
