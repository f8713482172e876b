"""How a CLIP model is loaded: by OpenVINO without torch where it is converted, else by torch."""

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from types import ModuleType
from typing import Any

import numpy as np

from runners.clip.model import ClipModel
from runners.clip.openvino_forward import OpenVinoForward
from runners.clip.tokens import TOKENIZER, KeptTokenizer, Tokenizer
from runners.device.cores import Cores
from runners.device.precision import MIN_COSINE, Precision, warn_of_fallback
from runners.device.torch_process import prepare_torch
from runners.errors import ModelOutputError
from runners.runtime.choice import load
from runners.runtime.conversions import Arrays, Conversion, Converted
from runners.runtime.recipe import Request
from runners.schemas import ClipInfo
from runners.settings import ModelSettings
from runners.weights.source import WeightsSource, checked, clip_source, digest_of, sha256_of

_MIN_COSINE_IN_FP32 = 0.9999
_TRIAL_TEXTS = ("a photo of a cat", "", "two red cars in front of a house by the lake, in the rain")


def load_clip(settings: ModelSettings) -> ClipModel:
    """Load what the settings name, downloading published weights if they are needed and missing.

    Raises:
        DeviceError: If the device is not there.
        UnknownModelError: If the architecture or the tag is not known.
        UnsupportedModelError: If the model cannot be used here.
        WeightsError: If the weights are missing, cannot be downloaded or do not fit.
    """
    request = Request.of(settings)
    return load(ClipRecipe.of(settings, request), request)


@dataclass
class ClipRecipe:
    """How a CLIP model is loaded by either runtime, and how the two are compared."""

    source: WeightsSource
    device: str
    cores: Cores
    library = "open_clip_torch"
    modules = ("torch", "open_clip")

    @classmethod
    def of(cls, settings: ModelSettings, request: Request) -> "ClipRecipe":
        """That of the settings' model.

        Raises:
            WeightsMissingError: If it is a file that is not there.
            WeightsHashError: If it is a file that is another one than it must be.
        """
        return cls(checked(clip_source(settings)), request.device, request.cores())

    @property
    def label(self) -> str:
        """How messages name the setting and its value."""
        return self.source.label

    @property
    def key(self) -> dict[str, Any]:
        """What a conversion depends on: an architecture may have another's weights."""
        source = self.source
        return {
            "weights": digest_of(source),
            "identity": source.name,
            "architecture": source.architecture,
            "config": sha256_of(source.config) if source.config else None,
        }

    @property
    def _torch(self) -> ModuleType:
        """The module that does the rest, which imports torch and open_clip."""
        prepare_torch("open_clip")
        from runners.clip import torch_model  # noqa: PLC0415 - see above

        return torch_model

    def load_torch(self) -> ClipModel:
        """The model in torch and fp32, its published weights downloaded if they are not here yet.

        Raises:
            UnknownModelError: If the architecture or the tag is not known.
            UnsupportedModelError: If the model cannot be used here.
            WeightsError: If the weights are missing, cannot be downloaded or do not fit.
        """
        model: ClipModel = self._torch.load(self.source, self.device, self.cores)
        return model

    def in_precision(self, model: ClipModel, precision: Precision) -> ClipModel:
        """The same in another precision, or in fp32 where that is too far from it."""
        inputs = self.trial(model)
        expected = self.results(model, inputs)
        self._torch.compute_in(model, precision)
        try:
            if self.differences(expected, self.results(model, inputs)) <= (1 - MIN_COSINE,):
                return model
        except (ModelOutputError, RuntimeError):  # no such operation, or numbers out of range
            pass
        warn_of_fallback(self.label, precision)
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

    def limits(self, precision: Precision, in_torch: tuple[float, ...]) -> tuple[float, ...]:  # noqa: ARG002
        """How far embeddings may be from torch's in fp32."""
        return (1.0 - (_MIN_COSINE_IN_FP32 if precision == "fp32" else MIN_COSINE),)

    def convert(self, model: ClipModel) -> Converted:
        """A model in fp32, converted."""
        converted: Converted = self._torch.converted(model)
        return converted

    def open(self, conversion: Conversion, precision: Precision, threads: int) -> ClipModel:
        """The model as OpenVINO computes it."""
        facts: Mapping[str, Any] = conversion.facts
        if facts["tokenizer"] is None:
            tokenizer: Tokenizer = self._torch.tokenizer_of(self.source)
        else:
            tokenizer = KeptTokenizer(conversion.text(TOKENIZER), facts["tokenizer"])
        forward = OpenVinoForward(conversion, facts["ends"], precision, threads)
        return ClipModel(forward, tokenizer, ClipInfo.from_dict(facts["info"]))

    def work(self, model: ClipModel) -> list[Callable[[], Any]]:
        """A lone picture, several together, and a text."""
        images = self.trial(model)["images"]
        return [
            lambda: model.encode_images(images[:1]),
            lambda: model.encode_images(images),
            lambda: model.encode_texts(_TRIAL_TEXTS[:1]),
        ]
