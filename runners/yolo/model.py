"""YOLO without a server: letterboxed pictures to detections."""

from collections import defaultdict
from collections.abc import Sequence
from queue import SimpleQueue
from typing import Any, Self

import numpy as np
import torch

from runners.device.cores import Cores, resolve_device, to_device
from runners.device.precision import DTYPES, Precision, near, resolve_precision, warn_of_fallback
from runners.schemas import DetectionRows, Pixels, YoloInfo
from runners.settings import ModelSettings
from runners.weights.source import check_sha256, yolo_source
from runners.yolo import weights as yolo_weights
from runners.yolo.build import describe, load_checkpoint, prepared, sharing

_FORWARD_ON_GPU = 16
_FORWARD_ON_CPU: dict[Precision, int] = {"fp32": 4, "bf16": 1, "fp16": 1}
"""Pictures per forward pass at most. On a CPU with AVX2 four of 640 x 480 took 134 ms each, alone
each took 173 (yolo11n in fp32, medians in one run). On one that computes in bf16, more gained a
millisecond or two of 60 to 110, and cost about 50 MB each at 640 x 640."""
_NO_DETECTIONS: DetectionRows = np.empty((0, 6), np.float32)
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
        self,
        networks: Sequence[Any],
        cores: Cores,
        info: YoloInfo,
        device: str,
        min_confidence: float,
    ) -> None:
        self.info = info
        self.precision: Precision = "fp32"
        self._networks: SimpleQueue[Any] = SimpleQueue()
        for network in networks:
            self._networks.put(network)
        self._cores = cores
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
        model = load_checkpoint(checkpoint, source)
        info = describe(model, source)
        network = prepared(model.model, device)
        precision = resolve_precision(settings.precision, device)
        if precision != "fp32" and not computes_in(precision, network, info.image_size):
            warn_of_fallback(source.label, precision)
            precision = "fp32"
            network = prepared(load_checkpoint(checkpoint, source).model, device)
        cores = Cores(settings.threads if device == "cpu" else 1)
        networks = sharing(network, cores.threads)
        detector = cls(networks, cores, info, device, settings.yolo_min_confidence)
        detector.precision = precision
        return detector

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

        most = _FORWARD_ON_CPU[self.precision] if self._device == "cpu" else _FORWARD_ON_GPU
        self._cores.compute(detect, list(by_shape.values()), most)
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

        network = self._networks.get()
        try:
            with torch.inference_mode():
                pixels = to_device(batch, self._device).permute(0, 3, 1, 2).float().div_(255.0)
                found = non_max_suppression(
                    _predictions(network, pixels),
                    self._min_confidence,
                    _NMS_IOU,
                    max_det=_MAX_DETECTIONS,
                    end2end=getattr(network, "end2end", False),
                )
                return [clip_boxes(rows, batch.shape[1:]).float().cpu().numpy() for rows in found]
        finally:
            self._networks.put(network)


def _predictions(network: Any, pixels: torch.Tensor) -> Any:
    """What a network finds, as ultralytics' `non_max_suppression` takes it.

    RT-DETR's boxes alone are centre and size, in shares of the picture (8.4 `RTDETRPredictor`).

    Args:
        network: a `prepared` one.
        pixels: float32 [n, 3, height, width], 0 to 1.
    """
    from ultralytics.nn.tasks import RTDETRDetectionModel  # noqa: PLC0415 - see yolo.build
    from ultralytics.utils.ops import xywh2xyxy  # noqa: PLC0415 - likewise

    found = network(pixels)
    if not isinstance(network, RTDETRDetectionModel):
        return found
    rows = found[0] if isinstance(found, list | tuple) else found
    height, width = pixels.shape[2:]
    boxes = xywh2xyxy(rows[..., :4]) * rows.new_tensor([width, height, width, height])
    return torch.cat([boxes, rows[..., 4:]], dim=-1)


def computes_in(precision: Precision, network: Any, image_size: int) -> bool:
    """Let all layers but the head compute in a shorter format; unusable unless it returns True.

    The head turns features into pixels, for which bf16 is too coarse: with a head in bf16 the demo
    model's boxes move by up to 1.2 pixels and its confidences by 0.0036, with one in fp32 by 0.23
    pixels and 0.0017.

    Returns:
        Whether what the head is given stays near to fp32.
    """
    from ultralytics.nn.tasks import DetectionModel  # noqa: PLC0415 - see yolo.build

    if type(network) is not DetectionModel:  # others take more than the picture, or order otherwise
        return False
    expected = _features(network, image_size)
    *body, head = network.model
    for layer in body:
        layer.to(DTYPES[precision])
    body[0].register_forward_pre_hook(lambda _, args: (args[0].to(DTYPES[precision]), *args[1:]))
    head.register_forward_pre_hook(_in_fp32)
    try:
        found = _features(network, image_size)
    except RuntimeError:  # no such operation in that format
        return False
    return all(near(*levels) for levels in zip(expected, found, strict=True))


def _features(network: Any, image_size: int) -> list[torch.Tensor]:
    """What the head is given for a few pictures, in fp32."""
    seen: list[torch.Tensor] = []
    hook = network.model[-1].register_forward_pre_hook(
        lambda _, args: seen.extend(level.float().clone() for level in args[0])
    )
    noise = torch.rand(1, 3, image_size, image_size, generator=torch.Generator().manual_seed(0))
    slope = torch.linspace(0, 1, image_size).expand_as(noise)
    device = next(network.parameters()).device
    with torch.inference_mode():
        network(torch.cat([noise, slope, slope.mT]).to(device))
    hook.remove()
    return seen


def _in_fp32(_: Any, args: Any) -> Any:
    return ([level.float() for level in args[0]], *args[1:])
