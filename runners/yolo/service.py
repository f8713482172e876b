"""The YOLO model as a batching BentoML service."""

import logging
from typing import TYPE_CHECKING, Any

import bentoml
import numpy as np

from runners.serving.batches import Batches
from runners.serving.service import BATCHED, SERVICE_OPTIONS, load_in_worker
from runners.settings import ModelSettings

if TYPE_CHECKING:
    from runners.yolo.model import YoloModel

_log = logging.getLogger("bentoml.runners.yolo")


@bentoml.service(name="YoloDetector", **SERVICE_OPTIONS)
class YoloDetector:
    """Finds objects in pictures; one model in one process, ready once it is warm."""

    def __init__(self) -> None:
        self._batches = Batches("YoloDetector")
        self._model = load_in_worker(_load, "torchvision")
        runtime, precision = self._model.forward.runtime, self._model.precision
        self._batches.tell(runtime, precision)
        _log.info("YOLO is ready: %s in %s by %s", self._model.info.weights, precision, runtime)

    @bentoml.api(**BATCHED)
    def detect(self, pictures: list[np.ndarray]) -> list[np.ndarray]:
        """Find the objects in letterboxed pictures: `YoloModel.detect`."""
        return self._batches.run("detect", self._model.detect, pictures)

    @bentoml.api
    def describe(self) -> dict[str, Any]:
        """`YoloInfo.to_dict()` of the loaded model."""
        return self._model.info.to_dict()


def _load(settings: ModelSettings) -> "YoloModel":
    from runners.yolo.model import YoloModel  # noqa: PLC0415 - brings torch; a worker's alone

    model = YoloModel.load(settings)
    model.warm_up()
    return model
