"""A YOLO network in torch, as it is computed and as it is converted."""

from collections.abc import Sequence
from queue import SimpleQueue
from typing import Any

import torch

from runners.device.cores import Cores, to_device
from runners.device.layers import DTYPES, near
from runners.device.precision import Precision
from runners.schemas import DetectionRows, Pixels, Predictions, Runtime
from runners.yolo.build import sharing
from runners.yolo.suppression import MAX_DETECTIONS, MOST_OVERLAP

_FORWARD_ON_GPU = 16
_FORWARD_ON_CPU: dict[Precision, int] = {"fp32": 4, "bf16": 1, "fp16": 1}
"""Pictures per forward pass at most. On a CPU with AVX2 four of 640 x 480 took 134 ms each, alone
each took 173 (yolo11n in fp32, medians in one run). On one that computes in bf16, more gained a
millisecond or two of 60 to 110, and cost about 50 MB each at 640 x 640."""


class TorchForward:
    """Forward passes in torch on one device and all given cores, for any number of threads.

    The network and its fusing are ultralytics' own. Only its predictor is left out, which computes
    one batch at a time.

    Attributes:
        precision: What its layers but the head compute in.
        cores: that share a batch.
        most: pictures of a pass.
        end2end: whether it suppresses overlapping boxes itself.
    """

    runtime: Runtime = "torch"

    def __init__(self, network: Any, precision: Precision, device: str, cores: Cores) -> None:
        self.precision: Precision = precision
        self.cores = cores
        self.most = _FORWARD_ON_CPU[precision] if device == "cpu" else _FORWARD_ON_GPU
        self.end2end = bool(getattr(network, "end2end", False))
        self.network = network
        self._device = device
        self._networks: SimpleQueue[Any] = SimpleQueue()
        for each in sharing(network, cores.threads):
            self._networks.put(each)

    def release(self) -> None:
        """Nothing is left that could be given back."""

    def predict(self, batch: Pixels) -> Predictions:
        """What the network says of pictures of one shape."""
        return self._predict(batch).cpu().numpy()

    def detect(self, batch: Pixels, confidence: float) -> list[DetectionRows]:
        """The detections in pictures of one shape that are surer than so much; by ultralytics'
        own suppression, where the network has computed.
        """
        from ultralytics.utils.nms import non_max_suppression  # noqa: PLC0415 - see yolo.build
        from ultralytics.utils.ops import clip_boxes  # noqa: PLC0415 - likewise

        with torch.inference_mode():
            found = non_max_suppression(
                self._predict(batch),
                confidence,
                MOST_OVERLAP,
                max_det=MAX_DETECTIONS,
                end2end=self.end2end,
            )
            return [clip_boxes(rows, batch.shape[1:]).float().cpu().numpy() for rows in found]

    def _predict(self, batch: Pixels) -> torch.Tensor:
        network = self._networks.get()
        try:
            with torch.inference_mode():
                return predictions(network, normalized(to_device(batch, self._device)))
        finally:
            self._networks.put(network)


def normalized(pixels: torch.Tensor) -> torch.Tensor:
    """uint8 [n, height, width, 3] as float32 [n, 3, height, width], 0 to 1."""
    return pixels.permute(0, 3, 1, 2).float().div_(255.0)


def predictions(network: Any, pixels: torch.Tensor) -> torch.Tensor:
    """What a network finds, as ultralytics' `non_max_suppression` takes it.

    RT-DETR's boxes alone are centre and size, in shares of the picture (8.4 `RTDETRPredictor`).

    Args:
        network: a `prepared` one.
        pixels: float32 [n, 3, height, width], 0 to 1.
    """
    from ultralytics.nn.tasks import RTDETRDetectionModel  # noqa: PLC0415 - see yolo.build
    from ultralytics.utils.ops import xywh2xyxy  # noqa: PLC0415 - likewise

    rows = first(network(pixels))
    if not isinstance(network, RTDETRDetectionModel):
        return rows
    height, width = pixels.shape[2:]
    boxes = xywh2xyxy(rows[..., :4]) * rows.new_tensor([width, height, width, height])
    return torch.cat([boxes, rows[..., 4:]], dim=-1)


def first(found: Any) -> torch.Tensor:
    """A head's predictions, before whatever else it returns."""
    return found[0] if isinstance(found, list | tuple) else found  # type: ignore[no-any-return]


def has_plain_head(network: Any) -> bool:
    """Whether a network is a body and a head; others take more than the picture, or otherwise."""
    from ultralytics.nn.tasks import DetectionModel  # noqa: PLC0415 - see yolo.build

    return type(network) is DetectionModel


def computes_in(precision: Precision, network: Any, image_size: int) -> bool:
    """Let all layers but the head compute in a shorter format; unusable unless it returns True.

    The head turns features into pixels, for which bf16 is too coarse: with a head in bf16 the demo
    model's boxes move by up to 1.2 pixels and its confidences by 0.0036, with one in fp32 by 0.23
    pixels and 0.0017.

    Returns:
        Whether what the head is given stays near to fp32.
    """
    if not has_plain_head(network):
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


def _features(network: Any, image_size: int) -> Sequence[torch.Tensor]:
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
