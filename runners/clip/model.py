"""CLIP without a server: pixels and texts to unit-length embeddings, whatever computes them."""

import re
from collections.abc import Callable, Sequence
from typing import Any, Protocol

import numpy as np

from runners.clip.tokens import Tokenizer, Tokens
from runners.device.cores import Parts
from runners.device.precision import Precision
from runners.errors import ModelOutputError
from runners.schemas import ClipInfo, Embeddings, Pixels, Runtime

_FORWARD_SIZE = 64
"""Most items of a forward pass."""
_UNIT_TOLERANCE = 1e-3
_CHARACTERS_PER_TOKEN = 20
"""Most characters of a token in texts of words, so that what is cut off would not count."""
_LONG_WORD = re.compile(r"(\S{64})\S+")
"""The tokenizer's time grows with the square of a word's length: one of 1,500 letters takes 0.15 s,
in which its whole batch waits."""


class Forward(Protocol):
    """What computes the towers: one pass at a time, for any number of threads."""

    runtime: Runtime
    precision: Precision

    @property
    def cores(self) -> Parts:
        """What the parts of a batch are computed on."""

    def release(self) -> None:
        """Give back what only loading needs of memory, once it has computed something."""

    def encode_images(self, pixels: Pixels) -> Embeddings:
        """Embeddings of uint8 [n, image_size, image_size, 3]."""

    def encode_texts(self, tokens: Tokens) -> Embeddings:
        """Embeddings of int64 [n, context_length]."""


class ClipModel:
    """A CLIP model on one device and all given cores, for any number of threads.

    Attributes:
        info: What the model is, and how pictures must be prepared for it.
        forward: What computes it.
        tokenizer: Tokens of texts.
    """

    def __init__(self, forward: Forward, tokenizer: Tokenizer, info: ClipInfo) -> None:
        self.info = info
        self.forward = forward
        self.tokenizer = tokenizer

    @property
    def precision(self) -> Precision:
        """What its tower of pictures computes in."""
        return self.forward.precision

    def warm_up(self) -> None:
        """Run both towers once, so that the first request does not pay for it."""
        size = self.info.image_size
        self.encode_images(np.zeros((1, size, size, 3), np.uint8))
        self.encode_texts(["warm up"])
        self.forward.release()

    def encode_images(self, pixels: Pixels) -> Embeddings:
        """Embed pictures that were resized and cropped as open_clip's own transform does.

        Args:
            pixels: uint8 [n, image_size, image_size, 3], RGB.

        Returns:
            float32 [n, dim], in the order of `pixels`, each of unit length.

        Raises:
            ValueError: If `pixels` has another shape or type.
            ModelOutputError: If the model's output is no embedding.
        """
        size = self.info.image_size
        if pixels.dtype != np.uint8 or pixels.shape[1:] != (size, size, 3):
            raise ValueError(
                f"expected uint8 [n, {size}, {size}, 3], got {pixels.dtype} {list(pixels.shape)}"
            )
        return self._encode(pixels, self.forward.encode_images)

    def encode_texts(self, texts: Sequence[str]) -> Embeddings:
        """Embed texts, to float32 [n, dim], each of unit length and in their order.

        What exceeds `context_length` tokens of 20 characters is cut off.

        Raises:
            ModelOutputError: If the model's output is no embedding.
        """
        limit = _CHARACTERS_PER_TOKEN * self.info.context_length
        # White space counts for nothing, as in open_clip's own cleaning, and so not as length.
        plain = (" ".join(text.split())[:limit] for text in texts)
        shortened = [_LONG_WORD.sub(r"\1", text) for text in plain]
        if not shortened:
            return np.empty((0, self.info.dim), np.float32)
        return self.encode_tokens(self.tokens_of(shortened))

    def encode_tokens(self, tokens: Tokens) -> Embeddings:
        """Embed texts by their tokens; otherwise as `encode_texts`."""
        return self._encode(tokens, self.forward.encode_texts)

    def tokens_of(self, texts: Sequence[str]) -> Tokens:
        """Tokens of texts as they are; n > 0."""
        return self.tokenizer(list(texts))

    def _encode(self, items: Any, forward: Callable[[Any], Embeddings]) -> Embeddings:
        """Embed in passes of bounded size, as callers may bring thousands of items."""
        embeddings = np.empty((len(items), self.info.dim), np.float32)

        def encode(part: range) -> None:
            embeddings[part.start : part.stop] = forward(items[part.start : part.stop])

        self.forward.cores.compute(encode, [range(len(items))], _FORWARD_SIZE)
        # Written so that a NaN counts as wrong.
        if not (np.abs(np.linalg.norm(embeddings, axis=1) - 1.0) < _UNIT_TOLERANCE).all():
            raise ModelOutputError("the model's output is not of finite, unit length")
        return embeddings
