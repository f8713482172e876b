"""How a YOLO model is loaded: by OpenVINO without torch where it is converted, else by torch."""

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from pathlib import Path
from types import ModuleType
from typing import Any

import numpy as np

from runners.device.cores import Cores
from runners.device.precision import Precision, warn_of_fallback
from runners.device.torch_process import prepare_torch
from runners.runtime.choice import load
from runners.runtime.conversions import Arrays, Conversion, Converted
from runners.runtime.recipe import Request
from runners.schemas import YoloInfo
from runners.settings import ModelSettings
from runners.weights.source import WeightsSource, checked, digest_of, yolo_source
from runners.yolo.model import YoloModel
from runners.yolo.openvino_forward import OpenVinoForward
from runners.yolo.trial import (
    MOST_CONFIDENCE,
    MOST_PIXELS,
    candidates,
    farthest,
    farthest_ranked,
    trial_pictures,
)

_RANKED = "ranked-"
_TO_TORCHS_OWN = 1.5


def load_yolo(settings: ModelSettings) -> YoloModel:
    """Load what the settings name, downloading published weights if they are needed and missing.

    Raises:
        DeviceError: If the device is not there.
        UnknownModelError: If ultralytics publishes no model of that name.
        UnsupportedModelError: If the model is not a detector.
        WeightsError: If the weights are missing, cannot be downloaded or are unsafe.
    """
    request = Request.of(settings)
    return load(YoloRecipe.of(settings, request), request)


@dataclass
class YoloRecipe:
    """How a YOLO model is loaded by either runtime, and how the two are compared."""

    source: WeightsSource
    cache_dir: Path
    device: str
    cores: Cores
    min_confidence: float
    library = "ultralytics"
    modules = ("torch", "ultralytics")

    @classmethod
    def of(cls, settings: ModelSettings, request: Request) -> "YoloRecipe":
        """That of the settings' model.

        Raises:
            WeightsMissingError: If it is a file that is not there.
            WeightsHashError: If it is a file that is another one than it must be.
        """
        source, confidence = checked(yolo_source(settings)), settings.yolo_min_confidence
        return cls(source, settings.cache_dir, request.device, request.cores(), confidence)

    @property
    def label(self) -> str:
        """How messages name the setting and its value."""
        return self.source.label

    @property
    def key(self) -> dict[str, Any]:
        """What a conversion depends on."""
        return {"weights": digest_of(self.source), "identity": self.source.name}

    @property
    def _torch(self) -> ModuleType:
        """The module that does the rest, which imports torch and ultralytics."""
        prepare_torch("torchvision")
        from runners.yolo import torch_model  # noqa: PLC0415 - see above

        return torch_model

    def load_torch(self) -> YoloModel:
        """The model in torch and fp32, its published weights downloaded if they are not here yet.

        Raises:
            UnknownModelError: If ultralytics publishes no model of that name.
            UnsupportedModelError: If the model is not a detector.
            WeightsError: If the weights are missing, cannot be downloaded or are unsafe.
        """
        forward, info = self._torch.load(self.source, self.cache_dir, self.device, self.cores)
        return YoloModel(forward, info, self.min_confidence)

    def in_precision(self, model: YoloModel, precision: Precision) -> YoloModel:
        """The same in another precision, or in fp32 where that is too far from it."""
        size = model.info.image_size
        forward = self._torch.computed_in(precision, model.forward, size, self.device, self.cores)
        if forward is not None:
            return YoloModel(forward, model.info, self.min_confidence)
        warn_of_fallback(self.label, precision)
        return self.load_torch()

    def trial(self, model: YoloModel) -> Arrays:
        """A few pictures of several shapes."""
        return trial_pictures(model.info.image_size, model.info.stride)

    def results(self, model: YoloModel, inputs: Arrays) -> Arrays:
        """What the model finds in the trial's pictures, before overlapping boxes are suppressed."""
        found = {name: model.forward.predict(batch) for name, batch in inputs.items()}
        if model.forward.end2end:
            return {f"{_RANKED}{name}": rows for name, rows in found.items()}
        return {name: candidates(each) for name, each in found.items()}

    def differences(self, expected: Arrays, found: Arrays) -> tuple[float, ...]:
        """How far boxes are from each other, in pixels, and confidences."""
        pairs = [
            (farthest_ranked if name.startswith(_RANKED) else farthest)(rows, found[name])
            for name, rows in expected.items()
        ]
        return tuple(np.max(pairs, axis=0).tolist())

    def limits(self, precision: Precision, in_torch: tuple[float, ...]) -> tuple[float, ...]:  # noqa: ARG002
        """How far they may be from torch's in fp32.

        Candidates that the demo model is less sure of move by up to 0.03 of confidence where torch
        computes its body in bf16: OpenVINO need not be nearer than that.
        """
        pixels, confidence = (_TO_TORCHS_OWN * own for own in in_torch)
        return max(MOST_PIXELS, pixels), max(MOST_CONFIDENCE, confidence)

    def convert(self, model: YoloModel) -> Converted:
        """A model in fp32, converted."""
        converted: Converted = self._torch.converted(model.forward, model.info)
        return converted

    def open(self, conversion: Conversion, precision: Precision, threads: int) -> YoloModel:
        """The model as OpenVINO computes it."""
        facts: Mapping[str, Any] = conversion.facts
        forward = OpenVinoForward(conversion, facts["network"], precision, threads)
        return YoloModel(forward, YoloInfo.from_dict(facts["info"]), self.min_confidence)

    def work(self, model: YoloModel) -> list[Callable[[], Any]]:
        """A lone picture, and several together."""
        pictures = [*next(iter(self.trial(model).values()))]
        return [lambda: model.detect(pictures[:1]), lambda: model.detect(pictures[:1] * 4)]
