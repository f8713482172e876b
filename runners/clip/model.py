"""CLIP without a server: pixels and texts to unit-length embeddings."""

import re
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Protocol, cast

import numpy as np

from runners.clip import weights as clip_weights
from runners.clip.build import Tokenizer, create, describe, tokenizer_of
from runners.clip.openvino_forward import OpenVinoForward, facts_of, graphs_of
from runners.clip.torch_forward import Tokens, TorchForward
from runners.device.cores import Cores, resolve_device
from runners.device.precision import MIN_COSINE, Precision, resolve_precision, warn_of_fallback
from runners.errors import ModelOutputError
from runners.runtime.choice import Request, load
from runners.runtime.conversions import Arrays, Conversion
from runners.schemas import ClipInfo, Embeddings, Pixels, Runtime
from runners.settings import ModelSettings
from runners.weights.source import WeightsSource, check_sha256, clip_source, sha256_of

_FORWARD_SIZE = 64
"""Most items of a forward pass."""
_UNIT_TOLERANCE = 1e-3
_CHARACTERS_PER_TOKEN = 20
"""Most characters of a token in texts of words, so that what is cut off would not count."""
_LONG_WORD = re.compile(r"(\S{64})\S+")
"""The tokenizer's time grows with the square of a word's length: one of 1,500 letters takes 0.15 s,
in which its whole batch waits."""

_MIN_COSINE_IN_FP32 = 0.9999
_TRIAL_TEXTS = ("a photo of a cat", "", "two red cars in front of a house by the lake, in the rain")


class Forward(Protocol):
    """What computes the towers: one pass at a time, for any number of threads."""

    runtime: Runtime
    precision: Precision
    cores: Cores

    def encode_images(self, pixels: Pixels) -> Embeddings:
        """Embeddings of uint8 [n, image_size, image_size, 3]."""

    def encode_texts(self, tokens: Tokens) -> Embeddings:
        """Embeddings of int64 [n, context_length]."""


class ClipModel:
    """A CLIP model on one device and all given cores, for any number of threads.

    Attributes:
        info: What the model is, and how pictures must be prepared for it.
        forward: What computes it.
    """

    def __init__(self, forward: Forward, tokenizer: Tokenizer, info: ClipInfo) -> None:
        self.info = info
        self.forward = forward
        self._tokenizer = tokenizer

    @property
    def precision(self) -> Precision:
        """What its tower of pictures computes in."""
        return self.forward.precision

    @classmethod
    def load(cls, settings: ModelSettings) -> "ClipModel":
        """Load what the settings name, downloading published weights if they are not here yet.

        Raises:
            DeviceError: If the device is not there.
            UnknownModelError: If the architecture or the tag is not known.
            UnsupportedModelError: If the model cannot be used here.
            WeightsError: If the weights are missing, cannot be downloaded or do not fit.
        """
        source = clip_source(settings)
        clip_weights.check_published(source)
        clip_weights.warn_of_wrong_activation(source)
        device = resolve_device(settings.device)
        checkpoint = source.path or clip_weights.fetch(source)
        check_sha256(checkpoint, source)
        precision = resolve_precision(settings.precision, device)
        cores = Cores(settings.threads if device == "cpu" else 1)
        recipe = ClipRecipe(source, checkpoint, device, precision, cores)
        return load(recipe, Request.of(settings, precision, device))

    def warm_up(self) -> None:
        """Run both towers once, so that the first request does not pay for it."""
        size = self.info.image_size
        self.encode_images(np.zeros((1, size, size, 3), np.uint8))
        self.encode_texts(["warm up"])

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
        return self._tokenizer(list(texts)).numpy()

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


@dataclass
class ClipRecipe:
    """How a CLIP model is loaded by either runtime, and how the two are compared."""

    source: WeightsSource
    checkpoint: Path
    device: str
    precision: Precision
    cores: Cores
    library = "open_clip_torch"

    @property
    def label(self) -> str:
        """How messages name the setting and its value."""
        return self.source.label

    @property
    def key(self) -> dict[str, Any]:
        """What a conversion depends on: an architecture may have another's weights."""
        config = self.source.config
        return {
            "weights": sha256_of(self.checkpoint),
            "identity": self.source.name,
            "architecture": self.source.architecture,
            "config": sha256_of(config) if config else None,
            "preprocessing": clip_weights.preprocessing(self.source),
        }

    def load_torch(self) -> ClipModel:
        """The model in torch and fp32."""
        model, tokenizer = create(self.source, self.checkpoint), tokenizer_of(self.source)
        info = describe(model, tokenizer, self.source)
        return ClipModel(TorchForward(model, info, self.device, self.cores), tokenizer, info)

    def in_precision(self, model: ClipModel) -> ClipModel:
        """The same in the precision of the settings, or in fp32 where that is too far from it."""
        if self.precision == "fp32":
            return model
        inputs = self.trial(model)
        expected = self.results(model, inputs)
        cast("TorchForward", model.forward).compute_in(self.precision)
        try:
            if self.differences(expected, self.results(model, inputs)) <= (1 - MIN_COSINE,):
                return model
        except (ModelOutputError, RuntimeError):  # no such operation, or numbers out of range
            pass
        warn_of_fallback(self.label, self.precision)
        return self.load_torch()

    def trial(self, model: ClipModel) -> Arrays:
        """A few pictures and texts, together and alone."""
        size = model.info.image_size
        noise = np.random.default_rng(0).integers(0, 256, (2, size, size, 3), dtype=np.uint8)
        slopes = np.linspace(0, 255, noise.size, dtype=np.float32).astype(np.uint8)
        pictures = np.concatenate([noise, slopes.reshape(noise.shape)])
        tokens = model.tokens_of(_TRIAL_TEXTS)
        return {"images": pictures, "image": pictures[:1], "texts": tokens, "text": tokens[:1]}

    def results(self, model: ClipModel, inputs: Arrays) -> Arrays:
        """Embeddings of the trial."""
        return {
            name: model.encode_tokens(items) if "text" in name else model.encode_images(items)
            for name, items in inputs.items()
        }

    def differences(self, expected: Arrays, found: Arrays) -> tuple[float, ...]:
        """One less the least cosine."""
        pairs = [(expected[name], found[name]) for name in expected]
        return (1.0 - float(np.min([np.sum(one * other, 1).min() for one, other in pairs])),)

    def limits(self, in_torch: tuple[float, ...]) -> tuple[float, ...]:  # noqa: ARG002 - the same for all
        """How far embeddings may be from torch's in fp32."""
        return (1.0 - (_MIN_COSINE_IN_FP32 if self.precision == "fp32" else MIN_COSINE),)

    def convert(self, model: ClipModel) -> tuple[dict[str, Any], dict[str, Any]]:
        """OpenVINO's models of both towers, and the facts to use them with."""
        forward = cast("TorchForward", model.forward)
        facts = {"info": model.info.to_dict(), "ends": facts_of(forward)}
        return graphs_of(forward, model.info), facts

    def open(self, conversion: Conversion, precision: Precision, threads: int) -> ClipModel:
        """The model as OpenVINO computes it."""
        facts: Mapping[str, Any] = conversion.facts
        forward = OpenVinoForward(conversion, facts["ends"], precision, threads)
        return ClipModel(forward, tokenizer_of(self.source), ClipInfo.from_dict(facts["info"]))

    def work(self, model: ClipModel) -> list[Callable[[], Any]]:
        """A lone picture, several together, and a text."""
        images = self.trial(model)["images"]
        return [
            lambda: model.encode_images(images[:1]),
            lambda: model.encode_images(images),
            lambda: model.encode_texts(_TRIAL_TEXTS[:1]),
        ]
