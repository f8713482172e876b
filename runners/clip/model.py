"""CLIP without a server: pixels and texts to unit-length embeddings."""

import re
import threading
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any, Self

import numpy as np
import torch

from runners.clip import weights as clip_weights
from runners.clip.build import Tokenizer, compute_blocks_in, create, describe, tokenizer_of
from runners.device.cores import Cores, resolve_device, to_device
from runners.device.precision import Precision, near, resolve_precision, warn_of_fallback
from runners.errors import ModelOutputError
from runners.schemas import ClipInfo, Embeddings, Pixels
from runners.settings import ModelSettings
from runners.weights.source import WeightsSource, check_sha256, clip_source

_FORWARD_SIZE = 64
"""Most items of a forward pass."""
_UNIT_TOLERANCE = 1e-3
_CHARACTERS_PER_TOKEN = 20
"""Most characters of a token in texts of words, so that what is cut off would not count."""
_LONG_WORD = re.compile(r"(\S{64})\S+")
"""The tokenizer's time grows with the square of a word's length: one of 1,500 letters takes 0.15 s,
in which its whole batch waits."""

_TRIAL_TEXTS = ("a photo of a cat", "", "two red cars in front of a house by the lake, in the rain")


class ClipModel:
    """An open_clip model on one device and all given cores, for any number of threads.

    Attributes:
        info: What the model is, and how pictures must be prepared for it.
        precision: What its tower of pictures computes in. Where that has no blocks that could
            change (ResNet, ConvNeXt), it stays fp32 although texts are computed in less.
    """

    def __init__(
        self,
        model: torch.nn.Module,
        tokenizer: Tokenizer,
        info: ClipInfo,
        device: str,
        cores: Cores,
    ) -> None:
        self.info = info
        self.precision: Precision = "fp32"
        self._model: Any = model.eval().to(device)
        self._tokenizer = tokenizer
        self._text_cut = TextCut(self._model)
        self._device = device
        self._cores = cores
        self._mean = torch.tensor(info.mean, device=device).view(1, 3, 1, 1)
        self._std = torch.tensor(info.std, device=device).view(1, 3, 1, 1)

    @classmethod
    def load(cls, settings: ModelSettings) -> Self:
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
        cores = Cores(settings.threads if device == "cpu" else 1)
        checkpoint = source.path or clip_weights.fetch(source)
        check_sha256(checkpoint, source)

        clip = cls._of(source, checkpoint, device, cores)
        precision = resolve_precision(settings.precision, device)
        if clip._computes_in(precision):
            return clip
        warn_of_fallback(source.label, precision)
        return cls._of(source, checkpoint, device, cores)

    @classmethod
    def _of(cls, source: WeightsSource, checkpoint: Path, device: str, cores: Cores) -> Self:
        model, tokenizer = create(source, checkpoint), tokenizer_of(source)
        return cls(model, tokenizer, describe(model, tokenizer, source), device, cores)

    def _computes_in(self, precision: Precision) -> bool:
        """Change to a precision; the model is unusable unless this returns True."""
        if precision == "fp32":
            return True
        expected = self._trial()
        if compute_blocks_in(self._model, precision):
            self.precision = precision
        try:
            found = self._trial()
        except (ModelOutputError, RuntimeError):  # no such operation, or numbers out of range
            return False
        return near(expected, found)

    def _trial(self) -> torch.Tensor:
        """Embeddings of a few pictures and texts."""
        size = self.info.image_size
        noise = np.random.default_rng(0).integers(0, 256, (2, size, size, 3), dtype=np.uint8)
        slopes = np.linspace(0, 255, noise.size, dtype=np.float32).astype(np.uint8)
        pictures = np.concatenate([noise, slopes.reshape(noise.shape)])
        embeddings = [self.encode_images(pictures), self.encode_texts(_TRIAL_TEXTS)]
        return torch.from_numpy(np.concatenate(embeddings))

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
        return self._encode(pixels, self._forward_images)

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
        return self._encode(self._tokenizer(shortened), self._forward_texts)

    def _encode(self, items: Any, forward: Callable[[Any], torch.Tensor]) -> Embeddings:
        """Embed in passes of bounded size, as callers may bring thousands of items."""
        embeddings = np.empty((len(items), self.info.dim), np.float32)

        def encode(part: range) -> None:
            with torch.inference_mode():
                embeddings[part.start : part.stop] = (
                    forward(items[part.start : part.stop]).float().cpu()
                )

        self._cores.compute(encode, [range(len(items))], _FORWARD_SIZE)
        # Written so that a NaN counts as wrong.
        if not (np.abs(np.linalg.norm(embeddings, axis=1) - 1.0) < _UNIT_TOLERANCE).all():
            raise ModelOutputError("the model's output is not of finite, unit length")
        return embeddings

    def _forward_images(self, pixels: Pixels) -> torch.Tensor:
        # The bytes travel to the device, not the four times larger floats.
        batch = to_device(pixels, self._device).permute(0, 3, 1, 2)
        batch = batch.float().div_(255.0).sub_(self._mean).div_(self._std)
        return self._model.encode_image(batch.contiguous(), normalize=True)  # type: ignore[no-any-return]

    def _forward_texts(self, tokens: torch.Tensor) -> torch.Tensor:
        self._text_cut.fit(tokens)
        return self._model.encode_text(tokens.to(self._device), normalize=True)  # type: ignore[no-any-return]


class TextCut:
    """Cuts the padding off texts, which most of a context is, for the same embeddings.

    A token of a causal tower sees only those before it, and the embedding is read off at the end of
    the text: what comes after changes nothing. Other kinds of towers compute all. A text of nine
    words takes 37 ms in place of 99 (ViT-B-32 on one core).
    """

    def __init__(self, model: Any) -> None:
        self._tower = tower = getattr(model, "text", model)
        self._pool = getattr(tower, "pool_type", getattr(tower, "text_pool_type", None))
        self._of_thread = threading.local()
        if self._can_cut():
            tower.transformer.register_forward_pre_hook(self._shorten, with_kwargs=True)

    def fit(self, tokens: torch.Tensor) -> None:
        """Have this thread compute only as many positions as these texts need, until the next call.

        Args:
            tokens: int [n, context_length], n > 0.
        """
        if self._pool == "eos":  # as open_clip finds it (3.3 `transformer.text_global_pool`)
            ends = (tokens == self._eos).int().argmax(dim=-1)
        else:
            ends = tokens.argmax(dim=-1)
        self._of_thread.length = int(ends.max()) + 1

    @property
    def _eos(self) -> int:
        return getattr(self._tower, "eos_id", None) or self._tower.text_eos_id  # type: ignore[no-any-return]

    def _can_cut(self) -> bool:
        mask = getattr(self._tower, "attn_mask", None)
        if not torch.is_tensor(mask) or getattr(self._tower, "cls_emb", None) is not None:
            return False
        causal = torch.full_like(mask, float("-inf")).triu(1)
        return torch.equal(mask, causal) and self._pool in {"argmax", "eos"}

    def _shorten(self, _: Any, args: Any, kwargs: Any) -> tuple[Any, Any]:
        mask, length = kwargs.get("attn_mask"), getattr(self._of_thread, "length", None)
        if length is None or mask is None or mask.dim() != 2:
            return args, kwargs
        return (args[0][:, :length], *args[1:]), {**kwargs, "attn_mask": mask[:length, :length]}
