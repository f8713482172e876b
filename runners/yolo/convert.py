"""Converts a YOLO network in torch to OpenVINO's."""

from typing import Any

import torch

from runners.runtime.graph import convert
from runners.yolo.openvino_forward import BODY, HEAD
from runners.yolo.torch_forward import Body, Head, TorchForward, Whole, has_plain_head

_EXAMPLE_STRIDES = (7, 5)


def graphs_of(forward: TorchForward, stride: int) -> dict[str, Any]:
    """OpenVINO's models of a network, for any number of pictures of any shape.

    They are its body and its head, whose precision differs; or one of both where the network is of
    another kind.
    """
    height, width = (stride * count for count in _EXAMPLE_STRIDES)
    pixels = torch.zeros(2, height, width, 3, dtype=torch.uint8)
    shape = [-1, -1, -1, 3]
    if not has_plain_head(forward.network):
        return {BODY: convert(Whole(forward.network), [pixels], [shape])}
    body, head = Body(forward.network).eval(), Head(forward.network)
    with torch.no_grad():
        levels = body(pixels)
    shapes = [[-1, level.shape[1], -1, -1] for level in levels]
    return {BODY: convert(body, [pixels], [shape]), HEAD: convert(head, levels, shapes)}
