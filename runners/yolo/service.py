"""The YOLO model as a batching BentoML service."""

import logging
from typing import Any

import bentoml
import numpy as np

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
from runners.yolo.model import YoloModel
from runners.yolo.recipe import YoloRecipe

_log = logging.getLogger("bentoml.runners.yolo")


@bentoml.service(name="YoloDetector", **SERVICE_OPTIONS)
class YoloDetector:
    """Finds objects in pictures; one model in one process, ready once it is warm."""

    def __init__(self) -> None:
        self._batches = Batches("YoloDetector")
        self._model = load_in_worker(_load)
        runtime, precision = self._model.forward.runtime, self._model.precision
        self._batches.tell(runtime, precision)
        calls = WORKERS * LANES
        self._serving = Serving.of(self._model.info, calls, CALL_ITEMS, self._model.min_confidence)
        announce(self._serving)
        _log.info("YOLO is ready: %s in %s by %s", self._model.info.weights, precision, runtime)

    @bentoml.api(**BATCHED)
    def detect(self, pictures: list[np.ndarray]) -> list[np.ndarray]:
        """Find the objects in letterboxed pictures: `YoloModel.detect`."""
        return self._batches.run("detect", self._model.detect, pictures)

    @bentoml.api
    async def describe(self) -> dict[str, Any]:
        """`YoloInfo.to_dict()` of the loaded model and `Serving.to_dict()`; waits for no batch."""
        return {**self._model.info.to_dict(), **self._serving.to_dict()}


def _load(settings: ModelSettings) -> YoloModel:
    request = Request.of(settings)
    model = load_apart("yolo", YoloRecipe.of(settings, request), request)
    model.warm_up()
    return model
