"""An ultralytics network as it is forwarded here: fused, and with copies that share its weights."""

import copy
from typing import Any

import torch

from runners.device.precision import DTYPES, Precision, near, shorter


def prepared(network: Any, device: str) -> Any:
    """Fuse a network and lay it out as ultralytics' own predictor does.

    Args:
        network: `YOLO(...).model`.
        device: `cpu` or `cuda:N`.
    """
    from ultralytics.nn.autobackend import AutoBackend  # noqa: PLC0415 - see yolo_weights

    fused = AutoBackend(
        network, device=torch.device(device), fuse=True, verbose=False
    ).backend.model
    if device != "cpu":  # on a CPU it has done so where that pays
        fused = fused.to(memory_format=torch.channels_last)
    return fused.eval()


def sharing(network: Any, copies: int) -> list[Any]:
    """Networks with the same weights in memory, but each with state of its own.

    A head keeps the grid of the picture's shape that it saw last (8.4 `Detect.anchors`), so that
    two threads that forward pictures of two shapes need two heads.

    Args:
        network: the first of them.
        copies: how many there are to be.
    """
    weights = [*network.parameters(), *network.buffers()]
    shared = {id(tensor): tensor for tensor in weights}
    return [network, *(copy.deepcopy(network, dict(shared)) for _ in range(copies - 1))]


def predictions(network: Any, pixels: torch.Tensor) -> Any:
    """What a network finds, as ultralytics' `non_max_suppression` takes it.

    RT-DETR's boxes alone are centre and size, in shares of the picture (8.4 `RTDETRPredictor`).

    Args:
        network: a `prepared` one.
        pixels: float32 [n, 3, height, width], 0 to 1.
    """
    from ultralytics.nn.tasks import RTDETRDetectionModel  # noqa: PLC0415 - see yolo_weights
    from ultralytics.utils.ops import xywh2xyxy  # noqa: PLC0415 - likewise

    found = network(pixels)
    if not isinstance(network, RTDETRDetectionModel):
        return found
    rows = found[0] if isinstance(found, list | tuple) else found
    height, width = pixels.shape[2:]
    boxes = xywh2xyxy(rows[..., :4]) * rows.new_tensor([width, height, width, height])
    return torch.cat([boxes, rows[..., 4:]], dim=-1)


def computes_in(precision: Precision, network: Any, image_size: int) -> bool:
    """Let all layers but the head compute in a shorter format; only if it returns True, of use.

    The head turns features into pixels, for which bf16 is too coarse: with a head in bf16 the demo
    model's boxes move by up to 1.2 pixels and its confidences by 0.0036, with one in fp32 by 0.23
    pixels and 0.0017.

    Args:
        precision: bf16 or fp16.
        network: a `prepared` one.
        image_size: side of the pictures that it is tried with.

    Returns:
        Whether what the head is given stays near to fp32.
    """
    from ultralytics.nn.tasks import DetectionModel  # noqa: PLC0415 - see yolo_weights

    if type(network) is not DetectionModel:  # others take more than the picture, or order otherwise
        return False
    expected = _features(network, image_size)
    *body, head = network.model
    for layer in body:
        layer.to(DTYPES[precision])
    body[0].register_forward_pre_hook(_first_in(DTYPES[precision]))
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
        lambda _, args: seen.extend(shorter(level, torch.float32).clone() for level in args[0])
    )
    noise = torch.rand(1, 3, image_size, image_size, generator=torch.Generator().manual_seed(0))
    slope = torch.linspace(0, 1, image_size).expand_as(noise)
    device = next(network.parameters()).device
    with torch.inference_mode():
        network(torch.cat([noise, slope, slope.mT]).to(device))
    hook.remove()
    return seen


def _first_in(dtype: torch.dtype) -> Any:
    return lambda _, args: (shorter(args[0], dtype), *args[1:])


def _in_fp32(_: Any, args: Any) -> Any:
    return ([shorter(level, torch.float32) for level in args[0]], *args[1:])
