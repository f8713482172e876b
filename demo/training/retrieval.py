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

from demo.models import CLIP_ARCHITECTURE, register_clip
from demo.scenes.captions import COLORS, Item, describe
from demo.scenes.scenes import Scene
from demo.scenes.shapes import KINDS

Embeddings = NDArray[np.float32]
Marks = NDArray[np.bool_]
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

    def ask(relevant: dict[str, Marks]) -> NDArray[np.float64]:
        asked = {text: right for text, right in sorted(relevant.items()) if right.sum() >= k}
        scores = clip.encode_texts(list(asked)) @ pictures.T
        return precisions(scores, np.stack(list(asked.values())), k)

    by_caption = ask({str(text): captions == text for text in captions})
    by_shape = ask({describe([item]): _shows(scenes, item) for item in _all_items()})
    return RetrievalQuality(
        by_caption=float(by_caption.mean()),
        by_shape=float(by_shape.mean()),
        by_picture=nearest_has_caption(pictures @ pictures.T, captions),
        captions=len(by_caption),
        shapes=len(by_shape),
    )


def precisions(scores: Embeddings, relevant: Marks, k: int) -> NDArray[np.float64]:
    """Precision@k of each query.

    Args:
        scores: float32 [queries, scenes], higher is nearer.
        relevant: bool [queries, scenes].
        k: how many of the nearest count.

    Returns:
        float64 [queries]: the share of the k nearest that are relevant.
    """
    nearest = np.argsort(-scores, axis=1)[:, :k]
    found: NDArray[np.float64] = np.take_along_axis(relevant, nearest, axis=1).mean(axis=1)
    return found


def nearest_has_caption(scores: Embeddings, captions: NDArray[np.str_]) -> float:
    """Of the scenes whose caption recurs, the share whose nearest other scene has it, too.

    Args:
        scores: float32 [scenes, scenes], of each with each.
        captions: str [scenes].
    """
    others = np.where(np.eye(len(captions), dtype=bool), -np.inf, scores)
    counts = Counter(captions.tolist())
    recurring = np.array([counts[caption] > 1 for caption in captions.tolist()])
    same = captions[others.argmax(axis=1)] == captions
    return float(same[recurring].mean())


def _all_items() -> list[Item]:
    return [Item(color, kind) for color in COLORS for kind in KINDS]


def _shows(scenes: Sequence[Scene], item: Item) -> Marks:
    shown = [[Item(thing.color, thing.class_name) for thing in scene.objects] for scene in scenes]
    return np.array([item in items for items in shown])
