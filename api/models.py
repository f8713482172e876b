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
from api.instruments import Queue, model_calls
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

ANSWER_S = 30.0
"""What a model may take for a call, its waiting batches included. The supervisor keeps the socket
of a model worker that died, so that calls wait in it until the next one is ready, or for ever if
one hangs."""

_READY_S = 2.0
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
        self._calls: set[asyncio.Task[Any]] = set()
        self._queue, self._call = Queue(method), model_calls(method)

    async def one(self, item: NDArray[np.uint8] | str) -> Any:
        """Send a batch of one and return its one result.

        A caller that is cancelled goes at once, but its place is free only when the model has
        answered: the model service computes what it was sent, and clients that come and go must not
        pile up work there.

        Raises:
            ModelUnavailableError: the service is gone, failed or does not answer.
        """
        batch = item[None] if isinstance(item, np.ndarray) else [item]
        with self._queue.wait():
            await self._slots.acquire()
        call = asyncio.create_task(self._repeated(batch))
        self._calls.add(call)  # the event loop keeps no task alive
        call.add_done_callback(self._ended)
        results = await asyncio.shield(call)
        if len(results) != 1:
            raise ModelUnavailableError("the model service gave no result; try again")
        return results[0]

    def _ended(self, call: asyncio.Task[Any]) -> None:
        self._slots.release()
        self._calls.discard(call)
        if not call.cancelled():
            call.exception()  # where nobody waits any more, nobody misses it

    async def _repeated(self, batch: Any) -> Any:
        with self._call():
            try:
                async with asyncio.timeout(ANSWER_S):
                    return await self._attempts(batch)
            except TimeoutError as error:
                message = "the model service does not answer; try again"
                raise ModelUnavailableError(message) from error

    async def _attempts(self, batch: Any) -> Any:
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
