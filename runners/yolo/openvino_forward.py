"""A YOLO network as OpenVINO computes it."""

from collections.abc import Mapping
from typing import Any

import torch

from runners.device.cores import Cores
from runners.device.precision import Precision
from runners.runtime.conversions import Conversion
from runners.runtime.graph import Graph, convert
from runners.schemas import Pixels, Runtime
from runners.yolo.torch_forward import Body, Head, TorchForward, Whole, has_plain_head

_BODY, _HEAD = "body", "head"
_MOST = 4
"""Pictures of a pass: more of one shape gain nothing, and each takes memory."""
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
        return {_BODY: convert(Whole(forward.network), [pixels], [shape])}
    body, head = Body(forward.network).eval(), Head(forward.network)
    with torch.no_grad():
        levels = body(pixels)
    shapes = [[-1, level.shape[1], -1, -1] for level in levels]
    return {_BODY: convert(body, [pixels], [shape]), _HEAD: convert(head, levels, shapes)}


def facts_of(forward: TorchForward) -> dict[str, Any]:
    """What must be known to use the graphs."""
    return {"end2end": forward.end2end, "has_head": has_plain_head(forward.network)}


class OpenVinoForward:
    """Forward passes by OpenVINO, for any number of threads.

    Attributes:
        precision: What its layers but the head compute in.
        cores: one, as OpenVINO spreads each pass over its threads itself.
        most: pictures of a pass.
        end2end: whether it suppresses overlapping boxes itself.
    """

    runtime: Runtime = "openvino"
    most = _MOST

    def __init__(
        self, conversion: Conversion, facts: Mapping[str, Any], precision: Precision, threads: int
    ) -> None:
        # A network that was not taken apart has its head within, which bf16 is too coarse for.
        self.precision: Precision = precision if facts["has_head"] else "fp32"
        self.cores = Cores(1)
        self.end2end: bool = facts["end2end"]
        names = [_BODY, *([_HEAD] if facts["has_head"] else [])]
        precisions = {_BODY: self.precision, _HEAD: "fp32"}
        self._graphs = [Graph(conversion.graph(n), precisions[n], threads) for n in names]

    def predict(self, batch: Pixels) -> torch.Tensor:
        """What the network finds in pictures of one shape, as ultralytics' NMS takes it."""
        found: list[Any] = [batch]
        for graph in self._graphs:
            found = graph(*found)
        return torch.from_numpy(found[0])
