"""The two model services as the API sees them."""

import asyncio
import logging
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any, Self, TypeVar

import aiohttp
import bentoml.exceptions
import numpy as np
from numpy.typing import NDArray

from api.pipeline.model_call import ModelCall
from runners.schemas import ClipInfo, DetectionRows, YoloInfo
from runners.serving.service import CALL_ITEMS, LANES, WORKERS

logger = logging.getLogger("bentoml.image_search")
T = TypeVar("T")

_READY_S = 2.0
_DESCRIBE_AGAIN_S = 1.0


@dataclass(frozen=True)
class Models:
    """Both models: what they say of themselves, and their calls."""

    clip: ClipInfo
    yolo: YoloInfo
    encode_image: ModelCall[NDArray[np.float32]]
    encode_text: ModelCall[NDArray[np.float32]]
    detect: ModelCall[DetectionRows]

    @classmethod
    async def connect(cls, embedder: Any, detector: Any) -> Self:
        """Wait until both models are loaded, however long that takes.

        Args:
            embedder: BentoML's client of `ClipEmbedder`.
            detector: BentoML's client of `YoloDetector`.
        """
        most = {"calls": WORKERS * LANES, "items": CALL_ITEMS}
        return cls(
            clip=await _described(embedder, ClipInfo.from_dict),
            yolo=await _described(detector, YoloInfo.from_dict),
            encode_image=ModelCall(embedder, "encode_images", np.stack, **most),
            encode_text=ModelCall(embedder, "encode_texts", list, **most),
            detect=ModelCall(detector, "detect", list, **most),
        )


async def answering(*clients: Any) -> bool:
    """Whether these model services answer now; for the readiness of the API.

    BentoML's own look at them (`ServiceAppFactory.readyz`, 1.4.39) waits for seconds where a worker
    is gone, and then answers 500.

    Args:
        clients: BentoML's clients of model services.
    """
    try:
        async with asyncio.timeout(_READY_S):
            return all(await asyncio.gather(*(client.is_ready() for client in clients)))
    except (TimeoutError, aiohttp.ClientError, bentoml.exceptions.BentoMLException):
        return False


async def _described(client: Any, from_dict: Callable[[Mapping[str, Any]], T]) -> T:
    while True:
        try:
            return from_dict(await client.to_async.call("describe"))
        except (aiohttp.ClientError, bentoml.exceptions.BentoMLException, TimeoutError) as error:
            logger.info("waiting for a model service: %r", error)
            await asyncio.sleep(_DESCRIBE_AGAIN_S)
