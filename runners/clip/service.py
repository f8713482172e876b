"""The CLIP model as a batching BentoML service."""

import logging
from typing import Any

import bentoml
import numpy as np

from runners.clip.model import ClipModel
from runners.clip.recipe import ClipRecipe
from runners.runtime.recipe import Request
from runners.schemas import Serving
from runners.serving.apart import load_apart
from runners.serving.batches import Batches
from runners.serving.serde import announce
from runners.serving.service import (
    BATCHED,
    CALL_ITEMS,
    LANES,
    SERVICE_OPTIONS,
    WORKERS,
    load_in_worker,
)
from runners.settings import ModelSettings

_log = logging.getLogger("bentoml.runners.clip")


@bentoml.service(name="ClipEmbedder", **SERVICE_OPTIONS)
class ClipEmbedder:
    """Embeds pictures and texts; one model in one process, ready once it is warm.

    A batch that holds an item without an embedding fails as a whole: who called with several items
    sends each by itself then.
    """

    def __init__(self) -> None:
        self._batches = Batches("ClipEmbedder")
        self._model = load_in_worker(_load)
        runtime, precision = self._model.forward.runtime, self._model.precision
        self._batches.tell(runtime, precision)
        calls = WORKERS * LANES
        self._serving = Serving.of(self._model.info, calls, CALL_ITEMS)
        announce(self._serving)
        _log.info("CLIP is ready: %s in %s by %s", self._model.info.identity, precision, runtime)

    @bentoml.api(**BATCHED)
    def encode_images(self, pixels: np.ndarray) -> np.ndarray:
        """Embed prepared pictures: `ClipModel.encode_images`."""
        return self._batches.run("encode_images", self._model.encode_images, pixels)

    @bentoml.api(**BATCHED)
    def encode_texts(self, texts: list[str]) -> np.ndarray:
        """Embed texts: `ClipModel.encode_texts`."""
        return self._batches.run("encode_texts", self._model.encode_texts, texts)

    @bentoml.api
    async def describe(self) -> dict[str, Any]:
        """`ClipInfo.to_dict()` of the loaded model and `Serving.to_dict()`; waits for no batch."""
        return {**self._model.info.to_dict(), **self._serving.to_dict()}


def _load(settings: ModelSettings) -> ClipModel:
    request = Request.of(settings)
    model = load_apart("clip", ClipRecipe.of(settings, request), request)
    model.warm_up()
    return model
