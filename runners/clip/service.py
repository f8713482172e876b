"""The CLIP model as a batching BentoML service."""

import logging
from collections.abc import Callable
from typing import TYPE_CHECKING, Any

import bentoml
import numpy as np

from runners.device.torch_process import prepare_torch, trim_memory
from runners.errors import ModelOutputError
from runners.schemas import Embeddings
from runners.serving.metrics import BatchMeasures
from runners.serving.service import (
    SERVICE_OPTIONS,
    batched,
    begin_worker,
    load_or_end,
    one_each,
    unbatched,
    worker_settings,
)
from runners.settings import ModelSettings

if TYPE_CHECKING:
    from runners.clip.model import ClipModel

_log = logging.getLogger("bentoml.runners.clip")


@bentoml.service(name="ClipEmbedder", **SERVICE_OPTIONS)
class ClipEmbedder:
    """Embeds pictures and texts; one model in one process, ready once it is warm."""

    def __init__(self) -> None:
        begin_worker()
        self._measures = BatchMeasures("ClipEmbedder")
        self._model = load_or_end(self._load)
        _log.info("CLIP is ready: %s in %s", self._model.info.identity, self._model.precision)

    @staticmethod
    def _load() -> "ClipModel":
        prepare_torch("open_clip")
        from runners.clip.model import ClipModel  # noqa: PLC0415 - brings torch; a worker's alone

        model = ClipModel.load(worker_settings(ModelSettings()))
        model.warm_up()
        trim_memory()
        return model

    @batched
    def encode_images(self, pixels: np.ndarray) -> np.ndarray:
        """Embed prepared pictures.

        Args:
            pixels: uint8 [n, image_size, image_size, 3], RGB; a call usually brings one.

        Returns:
            float32 [n, dim], unit length, in the order of `pixels`; NaN where the model fails.
        """
        with self._measures.batch("encode_images"):
            return one_each(each_alone(self._model.encode_images, pixels), len(pixels))

    @batched
    def encode_texts(self, texts: list[str]) -> np.ndarray:
        """Embed texts.

        Args:
            texts: n texts; a call usually brings one.

        Returns:
            float32 [n, dim], unit length, in the order of `texts`; NaN where the model fails.
        """
        with self._measures.batch("encode_texts"):
            return one_each(each_alone(self._model.encode_texts, texts), len(texts))

    @unbatched
    def describe(self) -> dict[str, Any]:
        """`ClipInfo.to_dict()` of the loaded model."""
        return self._model.info.to_dict()


def each_alone(encode: Callable[[Any], Embeddings], items: Any) -> Embeddings:
    """Embed a batch; where the model fails at it, each item by itself.

    A batch holds the items of several callers, and one of them that has no embedding must not fail
    the others: its row is NaN, which no embedding is.

    Args:
        encode: embeds n items as float32 [n, dim].
        items: n of them.

    Raises:
        ModelOutputError: If no item has an embedding.
    """
    try:
        return encode(items)
    except ModelOutputError:
        rows = [_or_none(encode, items[index : index + 1]) for index in range(len(items))]
    done = [row for row in rows if row is not None]
    if not done:
        raise ModelOutputError("the model's output is not of finite, unit length")
    failed = np.full_like(done[0], np.nan)
    return np.concatenate([failed if row is None else row for row in rows])


def _or_none(encode: Callable[[Any], Embeddings], item: Any) -> Embeddings | None:
    try:
        return encode(item)
    except ModelOutputError:
        return None
