"""What the routes of a worker work with, once it is ready: models, pictures and the index."""

import asyncio
import logging
import os
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any, Self

import aiohttp
import bentoml.exceptions
import numpy as np
from numpy.typing import NDArray

from api.limits.answers import LargeAnswers
from api.limits.slow_readers import SLOW_READERS
from api.pipeline.boxes import RECIPE
from api.pipeline.model_call import ModelCall
from api.pipeline.pictures import Pictures
from api.pipeline.replicas.replicas import ReplicaMismatchError, Replicas
from api.settings import Settings
from api.telemetry.metrics import IndexObserver
from images.fetch.headers import HeadersError
from images.workers.sandbox import Sandbox
from runners.schemas import ClipInfo, DetectionRows, ModelInfo, Serving, YoloInfo
from runners.serving.shutdown import end_service
from store.errors import ModelMismatchError, ObjectsMismatchError, StoreError
from store.index import ImageIndex
from store.schemas import Detector, ModelIdentity

logger = logging.getLogger("bentoml.image_search")
RETRY_S = 5.0
ANSWER_S = 5.0
"""Seconds for what is being answered, before a worker ends that cannot write any more."""

_READY_S = 2.0
_DESCRIBE_AGAIN_S = 1.0


@dataclass(frozen=True)
class Models:
    """The two model services as the API sees them: what they say of themselves, and their calls.

    Attributes:
        clients: of `ClipEmbedder` and `YoloDetector`: BentoML's, or `Replicas`.
        serving: of both, the first that answered where there are several.
    """

    clients: tuple[Any, Any]
    clip: ClipInfo
    yolo: YoloInfo
    serving: tuple[Serving, Serving]
    encode_image: ModelCall[NDArray[np.float32]]
    encode_text: ModelCall[NDArray[np.float32]]
    detect: ModelCall[DetectionRows]

    @classmethod
    async def connect(cls, embedder: Any, detector: Any) -> Self:
        """Wait until both models are loaded, however long that takes.

        Args:
            embedder: client of `ClipEmbedder`.
            detector: client of `YoloDetector`.

        Raises:
            ReplicaMismatchError: Services of one model on several hosts do not serve the same one.
        """
        clip, yolo = await asyncio.gather(_described(embedder), _described(detector))
        embeds, detects = Serving.from_dict(clip), Serving.from_dict(yolo)
        embedding, detecting = calls_of(embedder, embeds), calls_of(detector, detects)
        return cls(
            clients=(embedder, detector),
            clip=ClipInfo.from_dict(clip),
            yolo=YoloInfo.from_dict(yolo),
            serving=(embeds, detects),
            encode_image=ModelCall(embedder, "encode_images", np.stack, embedding, embeds.items),
            encode_text=ModelCall(embedder, "encode_texts", list, embedding, embeds.items),
            detect=ModelCall(detector, "detect", list, detecting, detects.items),
        )

    @property
    def calls(self) -> int:
        """Calls that the embedder computes at the same time, on all hosts."""
        return calls_of(self.clients[0], self.serving[0])()

    @property
    def items(self) -> int:
        """Pictures and texts that the embedder has at most at the same time."""
        return self.calls * self.serving[0].items

    @property
    def least_confidence(self) -> float:
        """Below it the detector tells of nothing."""
        return self.serving[1].min_confidence

    async def close(self) -> None:
        """Close the connections to other hosts; BentoML closes its own."""
        await asyncio.gather(*(one.close() for one in self.clients if isinstance(one, Replicas)))

    async def answer(self) -> bool:
        """Whether both answer now; for the readiness of the API.

        BentoML's own look at them (`ServiceAppFactory.readyz`, 1.4.39) waits for seconds where a
        worker is gone, and then answers 500.
        """
        try:
            async with asyncio.timeout(_READY_S):
                return all(await asyncio.gather(*(one.is_ready() for one in self.clients)))
        except (TimeoutError, aiohttp.ClientError, bentoml.exceptions.BentoMLException):
            return False


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
        object_slots: a semaphore for the pictures whose objects are embedded.
        near_duplicates_lock: makes the search for near-duplicates and the commit one step.
    """

    def __init__(
        self, settings: Settings, models: Models, index: ImageIndex, pictures: Pictures
    ) -> None:
        self.settings = settings
        self.models = models
        self.index = index
        self.pictures = pictures
        self.large_answers = LargeAnswers(SLOW_READERS)
        self.batch_slots = asyncio.Semaphore((settings.api.download_threads + 1) // 2)
        self.object_slots = asyncio.Semaphore(models.calls)
        self.near_duplicates_lock = asyncio.Lock()
        self._watching = asyncio.create_task(end_when_stuck(index))

    @classmethod
    async def open(cls, embedder: Any, detector: Any, settings: Settings) -> Self:
        """Wait for both models, then open the table of the embedder's vectors.

        Goes on trying: the models need seconds to load, and a table that cannot be opened now may
        be mended while the service runs. The log says what is missing. A table of another model
        ends the service.

        Args:
            embedder: BentoML's client of `ClipEmbedder`, or the addresses of services.
            detector: likewise of `YoloDetector`.
            settings: of the whole service.
        """
        token = settings.models.model_token
        try:
            models = await Models.connect(
                client_of(embedder, "IMAGE_SEARCH_CLIP_URLS", token, ClipInfo),
                client_of(detector, "IMAGE_SEARCH_YOLO_URLS", token, YoloInfo),
            )
        except ReplicaMismatchError as error:
            end_service(str(error))
        clip = models.clip
        identity = ModelIdentity(clip.model, clip.pretrained, clip.dim)
        finds = Detector(models.yolo.weights, RECIPE) if settings.api.objects else None
        while True:
            try:
                index = await ImageIndex.open(settings.store, identity, IndexObserver(), finds)
            except (ModelMismatchError, ObjectsMismatchError) as error:
                end_service(str(error))
            except StoreError as error:
                logger.error("%s; trying again (%s)", error, error.detail)  # noqa: TRY400 - each time
                await asyncio.sleep(RETRY_S)
            else:
                pictures = _pictures(settings)
                await pictures.decoders.ready()
                _tell_sandbox(pictures.decoders.sandbox)
                return cls(settings, models, index, pictures)

    async def close(self) -> None:
        """Write what waits, and let go of the table, the threads and the decoders."""
        self._watching.cancel()
        self.pictures.close()
        await self.models.close()
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


def _tell_sandbox(sandbox: Sandbox) -> None:
    """Say what keeps decoders in, once for each start of a worker."""
    if sandbox == "seccomp":
        logger.info("decoders are kept in by a seccomp filter")
    else:
        by = f"{sandbox} only" if sandbox else "nothing"
        logger.warning("decoders are kept in by %s: this system takes no seccomp filter", by)


def _pictures(settings: Settings) -> Pictures:
    """What brings pictures in; ends the service where the hosts' headers are not what they were."""
    try:
        return Pictures(settings)
    except HeadersError as error:
        end_service(f"IMAGE_SEARCH_FETCH_HEADERS: {error}")


def client_of(service: Any, setting: str, token: str, model: type[ModelInfo]) -> Any:
    """The client of a model service: BentoML's own, or one for the addresses of several."""
    return Replicas(setting, service, token, model) if isinstance(service, tuple) else service


def calls_of(client: Any, serving: Serving) -> Callable[[], int]:
    """How many calls a model service computes at the same time; more hosts, once they answer."""
    return (lambda: client.calls) if isinstance(client, Replicas) else lambda: serving.calls


async def _described(client: Any) -> Mapping[str, Any]:
    while True:
        try:
            if isinstance(client, Replicas):
                return await client.connect()
            described: Mapping[str, Any] = await client.to_async.call("describe")
        except (aiohttp.ClientError, bentoml.exceptions.BentoMLException, TimeoutError) as error:
            logger.info("waiting for a model service: %r", error)
            await asyncio.sleep(_DESCRIBE_AGAIN_S)
        else:
            return described
