"""YOLO without a server: letterboxed pictures to detections."""

from collections import defaultdict
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Protocol, cast

import numpy as np
import torch

from runners.device.cores import Cores, resolve_device
from runners.device.precision import Precision, resolve_precision, warn_of_fallback
from runners.runtime.choice import Request, load
from runners.runtime.conversions import Arrays, Conversion
from runners.schemas import DetectionRows, Pixels, Runtime, YoloInfo
from runners.settings import ModelSettings
from runners.weights.source import WeightsSource, check_sha256, sha256_of, yolo_source
from runners.yolo import weights as yolo_weights
from runners.yolo.build import describe, load_checkpoint, prepared
from runners.yolo.openvino_forward import OpenVinoForward, facts_of, graphs_of
from runners.yolo.torch_forward import TorchForward, computes_in
from runners.yolo.trial import (
    MOST_CONFIDENCE,
    MOST_PIXELS,
    candidates,
    farthest,
    farthest_ranked,
    trial_pictures,
)

_NO_DETECTIONS: DetectionRows = np.empty((0, 6), np.float32)
_NMS_IOU = 0.7
_MAX_DETECTIONS = 300
_RANKED = "ranked-"
_TO_TORCHS_OWN = 1.5


class Forward(Protocol):
    """What computes the network: one pass at a time, for any number of threads."""

    runtime: Runtime
    precision: Precision
    cores: Cores
    most: int
    end2end: bool

    def predict(self, batch: Pixels) -> torch.Tensor:
        """What the network finds in uint8 [n, height, width, 3], as ultralytics' NMS takes it."""


class YoloModel:
    """An ultralytics detection model on one device and all given cores, for any number of threads.

    The network, its fusing and the suppression of overlapping boxes are ultralytics' own, so that
    detections stay right for every kind of head that the installed version knows.

    Attributes:
        info: What the model is, and how pictures must be letterboxed for it.
        forward: What computes it.
    """

    def __init__(self, forward: Forward, info: YoloInfo, min_confidence: float) -> None:
        self.info = info
        self.forward = forward
        self._min_confidence = min_confidence

    @property
    def precision(self) -> Precision:
        """What its layers but the head compute in."""
        return self.forward.precision

    @classmethod
    def load(cls, settings: ModelSettings) -> "YoloModel":
        """Load what the settings name, downloading published weights if they are not here yet.

        Raises:
            DeviceError: If the device is not there.
            UnknownModelError: If ultralytics publishes no model of that name.
            UnsupportedModelError: If the model is not a detector.
            WeightsError: If the weights are missing, cannot be downloaded or are unsafe.
        """
        source = yolo_source(settings)
        device = resolve_device(settings.device)
        checkpoint = source.path or yolo_weights.fetch(source, settings.cache_dir)
        check_sha256(checkpoint, source)
        yolo_weights.tame_ultralytics(settings.cache_dir)
        precision = resolve_precision(settings.precision, device)
        cores = Cores(settings.threads if device == "cpu" else 1)
        confidence = settings.yolo_min_confidence
        recipe = YoloRecipe(source, checkpoint, device, precision, cores, confidence)
        return load(recipe, Request.of(settings, precision, device))

    def warm_up(self) -> None:
        """Run the model once at full size, so that the first request does not pay for it."""
        self.detect([np.zeros((self.info.image_size, self.info.image_size, 3), np.uint8)])

    def detect(self, pictures: Sequence[Pixels]) -> list[DetectionRows]:
        """Find the objects in pictures; those of one shape share forward passes.

        Args:
            pictures: n pictures, uint8 [height, width, 3], RGB, letterboxed: both sides multiples
                of `info.stride`.

        Returns:
            n arrays, in the order of `pictures`, the most confident detection first. Coordinates
            are pixels of the letterboxed picture.

        Raises:
            ValueError: If a picture has another type or shape.
        """
        rows: list[DetectionRows] = [_NO_DETECTIONS] * len(pictures)
        by_shape: defaultdict[tuple[int, ...], list[int]] = defaultdict(list)
        for index, picture in enumerate(pictures):
            self._check(picture)
            by_shape[picture.shape].append(index)

        def detect(indexes: Sequence[int]) -> None:
            found = self._forward(np.stack([pictures[index] for index in indexes]))
            for index, one in zip(indexes, found, strict=True):
                rows[index] = one

        self.forward.cores.compute(detect, list(by_shape.values()), self.forward.most)
        return rows

    def _check(self, picture: Pixels) -> None:
        height, width, channels = picture.shape if picture.ndim == 3 else (0, 0, 0)
        stride = self.info.stride
        fits = channels == 3 and height * width > 0 and height % stride == width % stride == 0
        if not fits or picture.dtype != np.uint8:
            raise ValueError(
                f"expected uint8 [height, width, 3] with sides that are multiples of {stride}, "
                f"got {picture.dtype} {list(picture.shape)}"
            )

    def _forward(self, batch: Pixels) -> list[DetectionRows]:
        from ultralytics.utils.nms import non_max_suppression  # noqa: PLC0415 - see yolo.build
        from ultralytics.utils.ops import clip_boxes  # noqa: PLC0415 - likewise

        with torch.inference_mode():
            found = non_max_suppression(
                self.forward.predict(batch),
                self._min_confidence,
                _NMS_IOU,
                max_det=_MAX_DETECTIONS,
                end2end=self.forward.end2end,
            )
            return [clip_boxes(rows, batch.shape[1:]).float().cpu().numpy() for rows in found]


@dataclass
class YoloRecipe:
    """How a YOLO model is loaded by either runtime, and how the two are compared."""

    source: WeightsSource
    checkpoint: Path
    device: str
    precision: Precision
    cores: Cores
    min_confidence: float
    library = "ultralytics"

    @property
    def label(self) -> str:
        """How messages name the setting and its value."""
        return self.source.label

    @property
    def key(self) -> dict[str, Any]:
        """What a conversion depends on."""
        return {"weights": sha256_of(self.checkpoint), "identity": self.source.name}

    def load_torch(self) -> YoloModel:
        """The model in torch and fp32."""
        model = load_checkpoint(self.checkpoint, self.source)
        info = describe(model, self.source)
        return self._of(prepared(model.model, self.device), "fp32", info)

    def _of(self, network: Any, precision: Precision, info: YoloInfo) -> YoloModel:
        forward = TorchForward(network, precision, self.device, self.cores)
        return YoloModel(forward, info, self.min_confidence)

    def in_precision(self, model: YoloModel) -> YoloModel:
        """The same in the precision of the settings, or in fp32 where that is too far from it."""
        if self.precision == "fp32":
            return model
        network = cast("TorchForward", model.forward).network
        if computes_in(self.precision, network, model.info.image_size):
            return self._of(network, self.precision, model.info)
        warn_of_fallback(self.label, self.precision)
        return self.load_torch()

    def trial(self, model: YoloModel) -> Arrays:
        """A few pictures of several shapes."""
        return trial_pictures(model.info.image_size, model.info.stride)

    def results(self, model: YoloModel, inputs: Arrays) -> Arrays:
        """What the model finds in the trial's pictures, before overlapping boxes are suppressed."""
        found = {name: model.forward.predict(batch).cpu().numpy() for name, batch in inputs.items()}
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

    def limits(self, in_torch: tuple[float, ...]) -> tuple[float, ...]:
        """How far they may be from torch's in fp32.

        Candidates that the demo model is less sure of move by up to 0.03 of confidence where torch
        computes its body in bf16: OpenVINO need not be nearer than that.
        """
        pixels, confidence = (_TO_TORCHS_OWN * own for own in in_torch)
        return max(MOST_PIXELS, pixels), max(MOST_CONFIDENCE, confidence)

    def convert(self, model: YoloModel) -> tuple[dict[str, Any], dict[str, Any]]:
        """OpenVINO's models of the network, and the facts to use them with."""
        forward = cast("TorchForward", model.forward)
        facts = {"info": model.info.to_dict(), "network": facts_of(forward)}
        return graphs_of(forward, model.info.stride), facts

    def open(self, conversion: Conversion, precision: Precision, threads: int) -> YoloModel:
        """The model as OpenVINO computes it."""
        facts: Mapping[str, Any] = conversion.facts
        forward = OpenVinoForward(conversion, facts["network"], precision, threads)
        return YoloModel(forward, YoloInfo.from_dict(facts["info"]), self.min_confidence)

    def work(self, model: YoloModel) -> list[Callable[[], Any]]:
        """A lone picture, and several together."""
        pictures = [*next(iter(self.trial(model).values()))]
        return [lambda: model.detect(pictures[:1]), lambda: model.detect(pictures[:1] * 4)]
