"""Both towers of a CLIP model as OpenVINO computes them."""

from collections.abc import Mapping
from typing import Any

import numpy as np

from runners.clip.tokens import TextEnds, Tokens
from runners.device.cores import InTurn
from runners.device.precision import Precision
from runners.runtime.conversions import Conversion
from runners.runtime.graph import Graph
from runners.schemas import Embeddings, Pixels, Runtime

PICTURES, TEXTS = "pictures", "texts"
"""Names of the towers' graphs."""


class OpenVinoForward:
    """Forward passes by OpenVINO, for any number of threads.

    Attributes:
        precision: What both towers compute in.
        cores: OpenVINO spreads each pass over its threads itself.
    """

    runtime: Runtime = "openvino"

    def __init__(
        self, conversion: Conversion, facts: Mapping[str, Any], precision: Precision, threads: int
    ) -> None:
        self.precision = precision
        self.cores = InTurn()
        self._ends = TextEnds(**facts)
        self._pictures = Graph(conversion.graph(PICTURES), precision, threads)
        self._texts = Graph(conversion.graph(TEXTS), precision, threads)

    def encode_images(self, pixels: Pixels) -> Embeddings:
        """Embeddings of pictures in one pass."""
        return self._pictures(pixels)[0]

    def encode_texts(self, tokens: Tokens) -> Embeddings:
        """Embeddings of texts in one pass."""
        positions = np.arange(self._ends.length(tokens), dtype=np.int64)
        inputs = (tokens, positions) if self._ends.cuts else (tokens,)
        return self._texts(*inputs)[0]

    def release(self) -> None:
        """Give back the memory of what was read of the conversion; call it once both are warm."""
        for graph in (self._pictures, self._texts):
            graph.release()
