"""The YOLO model as a batching BentoML service."""

import logging
from typing import TYPE_CHECKING, Any

import bentoml
import numpy as np

from runners.device.torch_process import prepare_torch, trim_memory
from runners.schemas import pack_detections
from runners.serving.metrics import BatchMeasures
from runners.serving.service import (
    SERVICE_OPTIONS,
    batched,
    begin_worker,
    load_or_end,
    one_each,
    unbatched,
    worker_settings,
)
from runners.settings import ModelSettings

if TYPE_CHECKING:
    from runners.yolo.model import YoloModel

_log = logging.getLogger("bentoml.runners.yolo")


@bentoml.service(name="YoloDetector", **SERVICE_OPTIONS)
class YoloDetector:
    """Finds objects in pictures; one model in one process, ready once it is warm."""

    def __init__(self) -> None:
        begin_worker()
        self._measures = BatchMeasures("YoloDetector")
        self._model = load_or_end(self._load)
        _log.info("YOLO is ready: %s in %s", self._model.info.weights, self._model.precision)

    @staticmethod
    def _load() -> "YoloModel":
        prepare_torch("torchvision")
        from runners.yolo.model import YoloModel  # noqa: PLC0415 - brings torch; a worker's alone

        model = YoloModel.load(worker_settings(ModelSettings()))
        model.warm_up()
        trim_memory()
        return model

    @batched
    def detect(self, pictures: list[np.ndarray]) -> list[np.ndarray]:
        """Find the objects in letterboxed pictures.

        Args:
            pictures: n pictures, uint8 [height, width, 3], RGB, sides multiples of the stride;
                a call usually brings one.

        Returns:
            n arrays float32 [k, 6] for `runners.schemas.unpack_detections`, in the order of
            `pictures`, in pixels of the letterboxed picture.
        """
        with self._measures.batch("detect"):
            found = one_each(self._model.detect(pictures), len(pictures))
        return [pack_detections(detections) for detections in found]

    @unbatched
    def describe(self) -> dict[str, Any]:
        """`YoloInfo.to_dict()` of the loaded model."""
        return self._model.info.to_dict()
