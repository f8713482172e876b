"""YOLO without a server: letterboxed pictures to detections."""

from collections import defaultdict
from collections.abc import Iterator, Sequence
from pathlib import Path
from queue import SimpleQueue
from typing import Any, Self

import numpy as np
import torch

from runners.device.precision import Precision, resolve_precision, warn_of_fallback
from runners.device.threads import Cores, resolve_device, to_device
from runners.errors import UnsupportedModelError, WeightsInvalidError
from runners.schemas import Detection, Pixels, YoloInfo
from runners.settings import ENV_PREFIX, ModelSettings
from runners.weights.source import WeightsSource, check_sha256, identity_of, yolo_source
from runners.yolo import forward as yolo_forward
from runners.yolo import weights as yolo_weights

_FORWARD_ON_GPU = 16
_FORWARD_ON_CPU: dict[Precision, int] = {"fp32": 4, "bf16": 1, "fp16": 1}
"""Pictures per forward pass at most. On a CPU with AVX2 four of 640 x 480 took 134 ms each, alone
each took 173 (yolo11n in fp32, medians in one run). On one that computes in bf16, more gained a
millisecond or two of 60 to 110, and cost about 50 MB each at 640 x 640."""
_NMS_IOU = 0.7
_MAX_DETECTIONS = 300


class YoloModel:
    """An ultralytics detection model on one device and all given cores, for any number of threads.

    The network, its fusing and the suppression of overlapping boxes are ultralytics' own, so that
    detections stay right for every kind of head that the installed version knows. Only its
    predictor is left out, which computes one batch at a time.

    Attributes:
        info: What the model is, and how pictures must be letterboxed for it.
        precision: What its layers but the head compute in.
    """

    def __init__(
        self, networks: Sequence[Any], info: YoloInfo, device: str, min_confidence: float
    ) -> None:
        self.info = info
        self.precision: Precision = "fp32"
        self._free: SimpleQueue[Any] = SimpleQueue()
        for network in networks:
            self._free.put(network)
        self._cores = Cores(len(networks))
        self._device = device
        self._min_confidence = min_confidence

    @classmethod
    def load(cls, settings: ModelSettings) -> Self:
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
        model = _load_checkpoint(checkpoint, source)
        info = _describe(model, source)
        network = yolo_forward.prepared(model.model, device)
        precision = resolve_precision(settings.precision, device)
        if precision != "fp32" and not yolo_forward.computes_in(
            precision, network, info.image_size
        ):
            warn_of_fallback(source.label, precision)
            precision = "fp32"
            network = yolo_forward.prepared(_load_checkpoint(checkpoint, source).model, device)
        threads = Cores(settings.threads).threads if device == "cpu" else 1
        networks = yolo_forward.sharing(network, threads)
        detector = cls(networks, info, device, settings.yolo_min_confidence)
        detector.precision = precision
        return detector

    def warm_up(self) -> None:
        """Run the model once at full size, so that the first request does not pay for it."""
        self.detect([np.zeros((self.info.image_size, self.info.image_size, 3), np.uint8)])

    def detect(self, pictures: Sequence[Pixels]) -> list[list[Detection]]:
        """Find the objects in pictures; those of one shape go through the model together.

        Args:
            pictures: n pictures, uint8 [height, width, 3], RGB, letterboxed: both sides multiples
                of `info.stride`.

        Returns:
            n lists, in the order of `pictures`, the most confident detection first. Coordinates
            are pixels of the letterboxed picture.

        Raises:
            ValueError: If a picture has another type or shape.
        """
        found: list[list[Detection]] = [[] for _ in pictures]

        def detect(indexes: list[int]) -> None:
            batch = np.stack([pictures[index] for index in indexes])
            for index, detections in zip(indexes, self._forward(batch), strict=True):
                found[index] = detections

        with self._cores.share() as share:
            share.map(detect, list(self._same_shapes(pictures, share.threads)))
        return found

    def _same_shapes(self, pictures: Sequence[Pixels], cores: int) -> Iterator[list[int]]:
        """Indexes of pictures that can be forwarded together, in parts for every core."""
        by_shape: defaultdict[tuple[int, ...], list[int]] = defaultdict(list)
        for index, picture in enumerate(pictures):
            self._check(picture)
            by_shape[picture.shape].append(index)
        for indexes in by_shape.values():
            size = min(self._most_at_once, -(-len(indexes) // cores))
            for start in range(0, len(indexes), size):
                yield indexes[start : start + size]

    @property
    def _most_at_once(self) -> int:
        return _FORWARD_ON_CPU[self.precision] if self._device == "cpu" else _FORWARD_ON_GPU

    def _check(self, picture: Pixels) -> None:
        height, width, channels = picture.shape if picture.ndim == 3 else (0, 0, 0)
        stride = self.info.stride
        fits = channels == 3 and height * width > 0 and height % stride == width % stride == 0
        if not fits or picture.dtype != np.uint8:
            raise ValueError(
                f"expected uint8 [height, width, 3] with sides that are multiples of {stride}, "
                f"got {picture.dtype} {list(picture.shape)}"
            )

    def _forward(self, batch: Pixels) -> list[list[Detection]]:
        from ultralytics.utils.nms import non_max_suppression  # noqa: PLC0415 - see yolo_weights
        from ultralytics.utils.ops import clip_boxes  # noqa: PLC0415 - likewise

        network = self._free.get()
        try:
            with torch.inference_mode():
                pixels = to_device(batch, self._device).permute(0, 3, 1, 2)
                found = non_max_suppression(
                    yolo_forward.predictions(network, pixels.float().div_(255.0)),
                    self._min_confidence,
                    _NMS_IOU,
                    max_det=_MAX_DETECTIONS,
                    end2end=getattr(network, "end2end", False),
                )
                return [
                    self._detections(clip_boxes(rows, batch.shape[1:]).tolist()) for rows in found
                ]
        finally:
            self._free.put(network)

    def _detections(self, rows: list[list[float]]) -> list[Detection]:
        names = self.info.class_names
        return [
            Detection((x1, y1, x2, y2), confidence, int(class_id), names[int(class_id)])
            for x1, y1, x2, y2, confidence, class_id in rows
        ]


def _load_checkpoint(path: Path, source: WeightsSource) -> Any:
    """Load a checkpoint of which only known classes of torch and ultralytics are unpickled."""
    from ultralytics import YOLO  # noqa: PLC0415 - reads its environment once, at import
    from ultralytics.nn.tasks import torch_safe_load  # noqa: PLC0415 - likewise
    from ultralytics.utils.checks import check_yolov5u_filename  # noqa: PLC0415 - likewise

    yolo_weights.join_log()
    if path.suffix != ".pt":
        raise WeightsInvalidError(f"{source.label}: YOLO weights are a .pt file of ultralytics")
    if "'" in str(path) or check_yolov5u_filename(str(path), verbose=False) != str(path):
        # ultralytics would look for a file of another name, and download one (8.4
        # `utils.downloads.attempt_download_asset`).
        raise WeightsInvalidError(
            f"{source.label}: ultralytics does not open a file of that name: it drops quotes and "
            "takes yolov3 and yolov5 for names of its own newer models; rename the file"
        )
    try:
        # Whether or not something imported ultralytics before its environment was set, a file
        # that holds code must be refused before `YOLO` opens it.
        torch_safe_load(str(path), safe_only=True)
        return YOLO(str(path))
    except Exception as error:  # what a wrong file makes ultralytics raise has no common class
        raise WeightsInvalidError(
            f"{source.label}: not a checkpoint of ultralytics, damaged, or it holds more than a "
            "model; it was not loaded",
            detail=repr(error),
        ) from error


def _describe(model: Any, source: WeightsSource) -> YoloInfo:
    if model.task != "detect":
        raise UnsupportedModelError(
            f"{source.label}: a model for the task {model.task}, but {ENV_PREFIX}YOLO_WEIGHTS "
            "needs one for detection, such as yolo11n.pt"
        )
    # Some heads have smaller strides, but ultralytics pads to 32 at least.
    stride = max(32, int(model.model.stride.max()))
    size = model.overrides.get("imgsz", 640)
    side = max(size) if isinstance(size, list | tuple) else int(size)
    return YoloInfo(
        weights=identity_of(source),
        class_names=tuple(model.names[index] for index in range(len(model.names))),
        image_size=-(-side // stride) * stride,
        stride=stride,
    )
