"""A YOLO network as OpenVINO computes it: whole in fp32, or all but its last layers in bf16."""

from collections.abc import Mapping
from typing import Any

from runners.device.cores import InTurn
from runners.device.precision import Precision
from runners.runtime.conversions import Conversion
from runners.runtime.graph import Graph
from runners.schemas import DetectionRows, Pixels, Predictions, Runtime
from runners.yolo.suppression import detections, surest

WHOLE, STEM, TAIL = "whole", "stem", "tail"
"""Names of a network's graphs."""
_MOST = 4
"""Pictures of a pass: more of one shape gain nothing, and each takes memory."""


class OpenVinoForward:
    """Forward passes by OpenVINO, for any number of threads.

    Attributes:
        precision: What all but the last layers of its head compute in.
        cores: OpenVINO spreads each pass over its threads itself.
        most: pictures of a pass.
        end2end: whether it suppresses overlapping boxes itself.
    """

    runtime: Runtime = "openvino"
    most = _MOST

    def __init__(
        self, conversion: Conversion, facts: Mapping[str, Any], precision: Precision, threads: int
    ) -> None:
        # For one that was not cut bf16 is too coarse.
        self.precision: Precision = precision if facts["is_cut"] else "fp32"
        self.cores = InTurn()
        self.end2end: bool = facts["end2end"]
        is_whole = self.precision == "fp32"
        parts = {WHOLE: self.precision} if is_whole else {STEM: self.precision, TAIL: "fp32"}
        self._graphs = [Graph(conversion.graph(n), p, threads) for n, p in parts.items()]

    def predict(self, batch: Pixels) -> Predictions:
        """What the network says of pictures of one shape."""
        found: list[Any] = [batch]
        for graph in self._graphs:
            found = graph(*found)
        predictions: Predictions = found[0]
        return predictions

    def detect(self, batch: Pixels, confidence: float) -> list[DetectionRows]:
        """The detections in pictures of one shape that are surer than so much."""
        pick = surest if self.end2end else detections
        return [pick(one, confidence, batch.shape[1:3]) for one in self.predict(batch)]

    def release(self) -> None:
        """Give back the memory of what was read of the conversion; call it once it is warm."""
        for graph in self._graphs:
            graph.release()
