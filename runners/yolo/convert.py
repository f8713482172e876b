"""Converts a YOLO network in torch to OpenVINO's."""

from typing import Any

import torch

from runners.runtime.graph import convert
from runners.yolo.openvino_forward import STEM, TAIL, WHOLE
from runners.yolo.parts import Stem, Tail, Whole, can_be_cut
from runners.yolo.torch_forward import TorchForward

_EXAMPLE_STRIDES = (7, 5)


def graphs_of(forward: TorchForward, stride: int) -> dict[str, Any]:
    """OpenVINO's models of a network, for any number of pictures of any shape.

    The whole for fp32; where it can be cut, its parts for bf16.
    """
    height, width = (stride * count for count in _EXAMPLE_STRIDES)
    pixels = torch.zeros(2, height, width, 3, dtype=torch.uint8)
    shape = [-1, -1, -1, 3]
    whole = {WHOLE: convert(Whole(forward.network), [pixels], [shape])}
    if not can_be_cut(forward.network):
        return whole
    stem, tail = Stem(forward.network).eval(), Tail(forward.network)
    with torch.no_grad():
        features = stem(pixels)
    shapes = [[-1, each.shape[1], -1, -1] for each in features]
    parts = {STEM: convert(stem, [pixels], [shape]), TAIL: convert(tail, features, shapes)}
    return {**whole, **parts}
