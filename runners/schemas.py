"""Values that cross the border of the models: pictures, embeddings, detections, descriptions."""

import hashlib
import json
from collections.abc import Mapping
from dataclasses import asdict, dataclass, fields
from typing import Any, Literal, Self

import numpy as np
from numpy.typing import NDArray

Runtime = Literal["torch", "openvino"]
"""What computes a model."""

Pixels = NDArray[np.uint8]
"""RGB picture [height, width, 3], or a batch of them [n, height, width, 3]."""

Embeddings = NDArray[np.float32]
"""Unit-length vectors [n, dim]."""

Predictions = NDArray[np.float32]
"""What a YOLO network says of n pictures: [n, 4 + classes, k], the centre and size of each box and
the confidence of each class; or [n, k, 6], as detections, where it suppresses overlaps itself."""

DetectionRows = NDArray[np.float32]
"""One picture's detections [k, 6]: x1, y1, x2, y2, confidence, class id.

The edges are in pixels of the picture that was given."""


@dataclass(frozen=True)
class ModelInfo:
    """Base of the models' descriptions, which `describe` sends as JSON."""

    def to_dict(self) -> dict[str, Any]:
        """Plain JSON types."""
        return {k: list(v) if isinstance(v, tuple) else v for k, v in asdict(self).items()}

    @classmethod
    def from_dict(cls, values: Mapping[str, Any]) -> Self:
        """Rebuild what `to_dict` made, whatever stands beside it."""
        given = {each.name: values[each.name] for each in fields(cls) if each.name in values}
        return cls(**{k: tuple(v) if isinstance(v, list) else v for k, v in given.items()})


@dataclass(frozen=True)
class ClipInfo(ModelInfo):
    """What a CLIP model is, and how a picture must be prepared for it.

    Attributes:
        model: Name of the open_clip architecture.
        pretrained: Published tag, or `sha256:<hex>` of the checkpoint file.
        dim: Length of an embedding.
        image_size: Side of the square picture that the model takes, in pixels.
        interpolation: `bicubic`, `bilinear` or `random`, as open_clip names it.
        resize_mode: `shortest` (then centre crop), `longest` (then pad) or `squash`.
        fill_color: Grey level of the padding, 0 to 255.
        mean: Per channel, of values from 0 to 1; the runner subtracts it.
        std: Per channel; the runner divides by it.
        context_length: Tokens of a text that count; the tokenizer cuts off the rest.
    """

    model: str
    pretrained: str
    dim: int
    image_size: int
    interpolation: str
    resize_mode: str
    fill_color: int
    mean: tuple[float, float, float]
    std: tuple[float, float, float]
    context_length: int

    @property
    def identity(self) -> str:
        """Name of the vector space: vectors of different identities must never be compared."""
        return f"{self.model}/{self.pretrained}"


@dataclass(frozen=True)
class YoloInfo(ModelInfo):
    """What a detector is, and how a picture must be letterboxed for it.

    Attributes:
        weights: ultralytics name, or `sha256:<hex>` of the checkpoint file.
        class_names: Names by class id.
        image_size: Longer side of a letterboxed picture, in pixels.
        stride: Both sides of a letterboxed picture must be multiples of this.
    """

    weights: str
    class_names: tuple[str, ...]
    image_size: int
    stride: int


@dataclass(frozen=True)
class Serving(ModelInfo):
    """How a model service serves its model; `describe` sends it beside the model's own description.

    Attributes:
        calls: That it computes at the same time.
        items: Of a call at most.
        min_confidence: Detections below it are never told; 0 for an embedder.
        fingerprint: Of all by which the results of two services can differ: their model and
            `min_confidence`, but not how they are computed.
    """

    calls: int
    items: int
    min_confidence: float = 0.0
    fingerprint: str = ""

    @classmethod
    def of(cls, info: ModelInfo, calls: int, items: int, min_confidence: float = 0.0) -> "Serving":
        """That of a model."""
        same = json.dumps([info.to_dict(), min_confidence], sort_keys=True)
        digest = hashlib.sha256(same.encode()).hexdigest()[:32]
        return cls(calls, items, min_confidence, digest)
