"""Both towers of a CLIP model as OpenVINO computes them."""

from collections.abc import Mapping
from dataclasses import asdict
from typing import Any

import numpy as np
import torch

from runners.clip.torch_forward import TextEnds, Tokens, TorchForward
from runners.device.cores import Cores
from runners.device.precision import Precision
from runners.runtime.conversions import Conversion
from runners.runtime.graph import Graph, convert
from runners.schemas import ClipInfo, Embeddings, Pixels, Runtime

_PICTURES, _TEXTS = "pictures", "texts"


def graphs_of(forward: TorchForward, info: ClipInfo) -> dict[str, Any]:
    """OpenVINO's models of both towers, for any number of items, and of positions of texts."""
    size, length = info.image_size, info.context_length
    pixels = torch.zeros(2, size, size, 3, dtype=torch.uint8)
    tokens = torch.zeros(2, length, dtype=torch.int64)
    positions = torch.arange(length // 2)
    is_cut = forward.texts.ends.cuts
    example = (tokens, positions) if is_cut else (tokens,)
    return {
        _PICTURES: convert(forward.pictures, [pixels], [[-1, size, size, 3]]),
        _TEXTS: convert(forward.texts, example, [[-1, length], [-1]][: len(example)]),
    }


def facts_of(forward: TorchForward) -> dict[str, Any]:
    """What must be known to use the graphs."""
    return asdict(forward.texts.ends)


class OpenVinoForward:
    """Forward passes by OpenVINO, for any number of threads.

    Attributes:
        precision: What both towers compute in.
        cores: one, as OpenVINO spreads each pass over its threads itself.
    """

    runtime: Runtime = "openvino"

    def __init__(
        self, conversion: Conversion, facts: Mapping[str, Any], precision: Precision, threads: int
    ) -> None:
        self.precision = precision
        self.cores = Cores(1)
        self._ends = TextEnds(**facts)
        self._pictures = Graph(conversion.graph(_PICTURES), precision, threads)
        self._texts = Graph(conversion.graph(_TEXTS), precision, threads)

    def encode_images(self, pixels: Pixels) -> Embeddings:
        """Embeddings of pictures in one pass."""
        return self._pictures(pixels)[0]

    def encode_texts(self, tokens: Tokens) -> Embeddings:
        """Embeddings of texts in one pass."""
        positions = np.arange(self._ends.length(tokens), dtype=np.int64)
        inputs = (tokens, positions) if self._ends.cuts else (tokens,)
        return self._texts(*inputs)[0]
