"""How well the demo's CLIP finds scenes, by text and by picture."""

from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import open_clip
import torch
from numpy.typing import NDArray
from PIL import Image

from demo.captions import COLORS, Item, describe
from demo.models import CLIP_ARCHITECTURE, register_clip
from demo.scenes import Scene
from demo.shapes import KINDS

Embeddings = NDArray[np.float32]
_BATCH_SIZE = 64


@dataclass(frozen=True)
class RetrievalQuality:
    """Shares within [0, 1], each the mean over its queries.

    Attributes:
        by_caption: precision@k of the captions which at least k of the scenes have: of the k
            scenes nearest to the caption's text, the share with just this caption.
        by_shape: precision@k of "a red circle" and the like, of which at least k scenes show one:
            of the k scenes nearest to the text, the share which show such a shape, alone or not.
        by_picture: of the scenes whose caption another scene has, too, the share whose nearest
            other scene is such a one.
        captions: how many captions were asked for.
        shapes: how many coloured shapes were asked for.
    """

    by_caption: float
    by_shape: float
    by_picture: float
    captions: int
    shapes: int


class DemoClip:
    """The demo's CLIP as open_clip loads it: pictures and texts to embeddings of unit length."""

    def __init__(self, weights: Path) -> None:
        register_clip()
        self._model, _, self._preprocess = open_clip.create_model_and_transforms(
            CLIP_ARCHITECTURE, pretrained=str(weights)
        )
        self._model.eval()
        self._tokenize = open_clip.get_tokenizer(CLIP_ARCHITECTURE)

    @torch.inference_mode()
    def encode_images(self, pictures: Sequence[Image.Image]) -> Embeddings:
        """Pictures to float32 [n, dim]."""
        parts = []
        for start in range(0, len(pictures), _BATCH_SIZE):
            part = [self._preprocess(p) for p in pictures[start : start + _BATCH_SIZE]]
            parts.append(self._model.encode_image(torch.stack(part), normalize=True).numpy())
        return np.concatenate(parts)

    @torch.inference_mode()
    def encode_texts(self, texts: Sequence[str]) -> Embeddings:
        """Texts to float32 [n, dim]."""
        tokens = self._tokenize(list(texts))
        embeddings: Embeddings = self._model.encode_text(tokens, normalize=True).numpy()
        return embeddings


def measure_retrieval(weights: Path, scenes: Sequence[Scene], k: int = 10) -> RetrievalQuality:
    """Embeds the scenes and asks for them in the three ways of `RetrievalQuality`."""
    clip = DemoClip(weights)
    pictures = clip.encode_images([scene.picture for scene in scenes])
    captions = np.array([scene.caption for scene in scenes])
    by_caption = {text: captions == text for text in set(captions)}
    by_shape = {describe([item]): _shows(scenes, item) for item in _all_items()}
    caption_scores = _precisions(clip, pictures, by_caption, k)
    shape_scores = _precisions(clip, pictures, by_shape, k)
    return RetrievalQuality(
        by_caption=float(np.mean(caption_scores)),
        by_shape=float(np.mean(shape_scores)),
        by_picture=_same_caption_nearest(pictures, captions),
        captions=len(caption_scores),
        shapes=len(shape_scores),
    )


def _all_items() -> list[Item]:
    return [Item(color, kind) for color in COLORS for kind in KINDS]


def _shows(scenes: Sequence[Scene], item: Item) -> NDArray[np.bool_]:
    return np.array(
        [
            any((thing.color, thing.class_name) == item for thing in scene.objects)
            for scene in scenes
        ]
    )


def _precisions(
    clip: DemoClip, pictures: Embeddings, relevant: dict[str, NDArray[np.bool_]], k: int
) -> list[float]:
    """Precision@k of each text of which at least k pictures are relevant."""
    asked = {text: right for text, right in sorted(relevant.items()) if right.sum() >= k}
    scores = clip.encode_texts(list(asked)) @ pictures.T
    nearest = np.argsort(-scores, axis=1)[:, :k]
    return [float(right[row].mean()) for right, row in zip(asked.values(), nearest, strict=True)]


def _same_caption_nearest(pictures: Embeddings, captions: NDArray[np.str_]) -> float:
    scores = pictures @ pictures.T
    np.fill_diagonal(scores, -np.inf)
    recurring = [count > 1 for count in map(Counter(captions).__getitem__, captions)]
    nearest = captions[scores.argmax(axis=1)]
    return float((nearest == captions)[recurring].mean())
