"""The two model services as the API sees them: bounded calls, repeated where a connection broke."""

import asyncio
import functools
import logging
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any, Self, TypeVar

import aiohttp
import bentoml.exceptions
import numpy as np
from numpy.typing import NDArray

from api.errors import ModelUnavailableError
from runners.schemas import ClipInfo, YoloInfo
from runners.serving import MAX_BATCH_SIZE

logger = logging.getLogger("bentoml.image_search")
T = TypeVar("T")

MAX_IN_FLIGHT = MAX_BATCH_SIZE
"""Calls to one model at a time: one batch then takes all that wait, and the rest wait here, where
their number is bounded."""

_PAUSES_S = (0.0, 0.0, 0.05, 0.5)
"""Before each attempt. A model service closes a connection that idled for 5 s at the very moment
when a burst may be using it again; its calls can be repeated without harm."""


_DESCRIBE_AGAIN_S = 1.0


class ModelCall:
    """One method of a model service, called from the event loop.

    Args:
        client: BentoML's client of the service, a dependency of the API service.
        method: name of a batching method of it.
    """

    def __init__(self, client: Any, method: str) -> None:
        # Once, and by name: looking the method up costs 0.3 ms a call, and the client has it as an
        # attribute only some time after the API service started.
        self._method = functools.partial(client.to_async.call, method)
        self._slots = asyncio.Semaphore(MAX_IN_FLIGHT)

    async def one(self, item: NDArray[np.uint8] | str) -> Any:
        """Send a batch of one and return its one result.

        Raises:
            ModelUnavailableError: the service is gone or failed.
        """
        batch = item[None] if isinstance(item, np.ndarray) else [item]
        async with self._slots:
            results = await self._repeated(batch)
        if len(results) != 1:
            raise ModelUnavailableError("the model service gave no result; try again")
        return results[0]

    async def _repeated(self, batch: Any) -> Any:
        for pause_s in _PAUSES_S:
            await asyncio.sleep(pause_s)
            try:
                return await self._method(batch)
            except aiohttp.ClientError as error:
                broken = error
            except bentoml.exceptions.BentoMLException as error:
                raise ModelUnavailableError("the model service failed; try again") from error
        raise ModelUnavailableError("the model service cannot be reached; try again") from broken


@dataclass(frozen=True)
class Models:
    """Both models: what they say of themselves, and their calls."""

    clip: ClipInfo
    yolo: YoloInfo
    encode_image: ModelCall
    encode_text: ModelCall
    detect: ModelCall

    @classmethod
    async def connect(cls, embedder: Any, detector: Any) -> Self:
        """Wait until both models are loaded, however long that takes.

        Args:
            embedder: BentoML's client of `ClipEmbedder`.
            detector: BentoML's client of `YoloDetector`.
        """
        return cls(
            clip=await _described(embedder, ClipInfo.from_dict),
            yolo=await _described(detector, YoloInfo.from_dict),
            encode_image=ModelCall(embedder, "encode_images"),
            encode_text=ModelCall(embedder, "encode_texts"),
            detect=ModelCall(detector, "detect"),
        )


async def _described(client: Any, from_dict: Callable[[Mapping[str, Any]], T]) -> T:
    while True:
        try:
            return from_dict(await client.to_async.call("describe"))
        except (aiohttp.ClientError, bentoml.exceptions.BentoMLException, TimeoutError) as error:
            logger.info("waiting for a model service: %r", error)
            await asyncio.sleep(_DESCRIBE_AGAIN_S)
