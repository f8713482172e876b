"""A CLIP model in torch, made with open_clip; and what a conversion makes of it."""

from dataclasses import asdict
from typing import Any, cast

from runners.clip import weights
from runners.clip.build import create, describe
from runners.clip.build import tokenizer_of as original_of
from runners.clip.convert import graphs_of, kept_tokenizer
from runners.clip.model import ClipModel
from runners.clip.tokens import TOKENIZER, Tokenizer, Tokens
from runners.clip.torch_forward import TorchForward
from runners.device.cores import Cores
from runners.device.precision import Precision
from runners.runtime.conversions import Converted
from runners.weights.source import WeightsSource, check_sha256


class OriginalTokenizer:
    """open_clip's tokenizer of an architecture."""

    def __init__(self, original: Any) -> None:
        self.original = original

    def __call__(self, texts: list[str]) -> Tokens:
        """Tokens of n > 0 texts."""
        return self.original(texts).numpy()  # type: ignore[no-any-return]


def load(source: WeightsSource, device: str, cores: Cores) -> ClipModel:
    """A model in fp32, its published weights downloaded if they are not here yet.

    Raises:
        UnknownModelError: If the architecture or the tag is not known.
        UnsupportedModelError: If the model cannot be used here.
        WeightsError: If the weights are missing, cannot be downloaded or do not fit.
    """
    weights.check_published(source)
    weights.warn_of_wrong_activation(source)
    checkpoint = source.path or weights.fetch(source)
    check_sha256(checkpoint, source)
    model, original = create(source, checkpoint), original_of(source)
    info = describe(model, original, source)
    return ClipModel(TorchForward(model, info, device, cores), OriginalTokenizer(original), info)


def compute_in(model: ClipModel, precision: Precision) -> None:
    """Change a model to a shorter precision."""
    cast("TorchForward", model.forward).compute_in(precision)


def converted(model: ClipModel) -> Converted:
    """A model in fp32, converted with its tokenizer if that can be kept."""
    forward = cast("TorchForward", model.forward)
    kept = kept_tokenizer(cast("OriginalTokenizer", model.tokenizer).original)
    file, tokenizer = kept or ("", None)
    facts = {
        "info": model.info.to_dict(),
        "ends": asdict(forward.texts.ends),
        "tokenizer": tokenizer,
    }
    return Converted(graphs_of(forward, model.info), facts, {TOKENIZER: file} if kept else {})


def tokenizer_of(source: WeightsSource) -> Tokenizer:
    """An architecture's own tokenizer.

    Raises:
        UnknownModelError: If the architecture is not known.
        UnsupportedModelError: If it cannot be loaded.
    """
    weights.check_published(source)
    return OriginalTokenizer(original_of(source))
