"""The CLIP model as a batching BentoML service."""

import logging
from typing import TYPE_CHECKING, Any

import bentoml
import numpy as np

from runners.serving import SERVICE_OPTIONS, batched, begin_worker, load_or_end, one_each, unbatched
from runners.settings import ModelSettings

if TYPE_CHECKING:
    from runners.clip_model import ClipModel

_log = logging.getLogger("bentoml.runners.clip")


@bentoml.service(name="ClipEmbedder", **SERVICE_OPTIONS)
class ClipEmbedder:
    """Embeds pictures and texts; one model in one process, ready once it is warm."""

    def __init__(self) -> None:
        begin_worker()
        self._model = load_or_end(self._load)
        _log.info("CLIP is ready: %s", self._model.info.identity)

    @staticmethod
    def _load() -> "ClipModel":
        from runners.clip_model import ClipModel  # noqa: PLC0415 - brings torch; a worker's alone

        model = ClipModel.load(ModelSettings())
        model.warm_up()
        return model

    @batched
    def encode_images(self, pixels: np.ndarray) -> np.ndarray:
        """Embed prepared pictures.

        Args:
            pixels: uint8 [n, image_size, image_size, 3], RGB; a call usually brings one.

        Returns:
            float32 [n, dim], unit length, in the order of `pixels`.
        """
        return one_each(self._model.encode_images(pixels), len(pixels))

    @batched
    def encode_texts(self, texts: list[str]) -> np.ndarray:
        """Embed texts.

        Args:
            texts: n texts; a call usually brings one.

        Returns:
            float32 [n, dim], unit length, in the order of `texts`.
        """
        return one_each(self._model.encode_texts(texts), len(texts))

    @unbatched
    def describe(self) -> dict[str, Any]:
        """`ClipInfo.to_dict()` of the loaded model."""
        return self._model.info.to_dict()
