"""The demo's scenes as collections: found by captions, by made-up names, and by both."""

from collections.abc import Sequence
from dataclasses import dataclass
from functools import cached_property
from typing import Any

import numpy as np
from numpy.typing import NDArray

from bench.relevance.collection import Collection, Gains
from demo.models import CLIP_NAME, WEIGHTS
from demo.scenes.captions import Item
from demo.scenes.phrases import Features, say, shown
from demo.scenes.scenes import Scene, draw_scene
from demo.training.retrieval import DemoClip
from store.schemas import FloatVector
from store.search.words.word_forms import LEAST_TYPO

BRANDS, MODELS = 40, 400
_SYLLABLES = ("ka", "lo", "mi", "ne", "ru", "ta", "vo", "xi", "za", "bel", "dor", "fin", "gar")


@dataclass(frozen=True)
class Asked:
    """A query and the rows that are relevant to it, bool [rows]."""

    text: str
    relevant: NDArray[np.bool_]


class Scenes:
    """Drawn scenes with their vectors, each a product with a made-up brand and model.

    Args:
        seeds: of the scenes.
    """

    def __init__(self, seeds: Sequence[int]) -> None:
        self._clip = DemoClip(WEIGHTS / CLIP_NAME)
        self.scenes = [draw_scene(seed) for seed in seeds]
        self._rng = np.random.default_rng(7)
        brands, models = self._words(BRANDS), self._words(MODELS)
        self._brand = [brands[n % BRANDS] for n in self._rng.permutation(len(seeds))]
        self._model = [models[n % MODELS] for n in self._rng.permutation(len(seeds))]

    def _words(self, count: int) -> list[str]:
        """Made-up words, each once."""
        found: dict[str, None] = {}
        while len(found) < count:
            found["".join(self._rng.choice(_SYLLABLES, int(self._rng.integers(2, 5))))] = None
        return list(found)

    @cached_property
    def vectors(self) -> FloatVector:
        """Of the pictures."""
        return self._clip.encode_images([scene.picture for scene in self.scenes])

    @cached_property
    def _shown(self) -> Features:
        return np.stack([shown(_items(scene)) for scene in self.scenes])

    def with_captions(self, queries: int) -> Collection:
        """Each scene has its caption; asked for in words of the caption's or others."""
        metadata = [{"caption": scene.caption} for scene in self.scenes]
        asked = [self._look(self._any()) for _ in range(queries)]
        return self._collection("scenes, captions", metadata, asked)

    def with_names(self, queries: int) -> Collection:
        """Each scene has a name for its title, which says nothing of what it shows."""
        asked = [self._name(self._any()) for _ in range(queries)]
        return self._collection("scenes, made-up names", self._titles(), asked)

    def with_both(self, queries: int) -> Collection:
        """Each has a name, half have a caption; asked for by looks, names, or brands and looks."""
        metadata = self._titles()
        for n in range(0, len(metadata), 2):
            metadata[n]["caption"] = self.scenes[n].caption
        kinds = (self._look, self._name, self._look_of_brand)
        asked = [kinds[n % 3](self._any()) for n in range(queries)]
        return self._collection("scenes, both", metadata, asked)

    def _titles(self) -> list[dict[str, Any]]:
        pairs = zip(self._brand, self._model, strict=True)
        return [{"title": f"{brand.title()} {model.title()}"} for brand, model in pairs]

    def _collection(self, name: str, metadata: Any, asked: Sequence[Asked]) -> Collection:
        asked = list({each.text: each for each in asked}.values())
        texts = [each.text for each in asked]
        gains: Gains = np.stack([each.relevant for each in asked]).astype(np.float32)
        vectors = self._clip.encode_texts(texts)
        return Collection(name, self.vectors, metadata, texts, vectors, gains)

    def _any(self) -> int:
        return int(self._rng.integers(len(self.scenes)))

    def _look(self, number: int) -> Asked:
        """Something true of a scene; relevant is each scene that it is true of."""
        phrase = say(_items(self.scenes[number]), (), self._rng)
        return Asked(phrase.text, np.asarray(np.all(self._shown >= phrase.wanted, axis=1)))

    def _name(self, number: int) -> Asked:
        """A whole name, the model alone, its first letters, one of them missing, or the brand."""
        brand, model = self._brand[number], self._model[number]
        of_brand = np.array([each == brand for each in self._brand])
        of_model = np.array([each == model for each in self._model])
        sort = int(self._rng.integers(5))
        if sort == 0 or (sort == 3 and len(model) <= LEAST_TYPO):
            return Asked(f"{brand} {model}", of_brand & of_model)
        if sort == 1:
            return Asked(model, of_model)
        if sort == 2:
            begins = np.array([each.startswith(model[:5]) for each in self._model])
            return Asked(f"{brand} {model[:5]}", of_brand & begins)
        if sort == 3:
            return Asked(f"{model[1:]} {brand}", of_brand & of_model)
        return Asked(brand, of_brand)

    def _look_of_brand(self, number: int) -> Asked:
        look = self._look(number)
        of_brand = np.array(self._brand) == self._brand[number]
        fitting = np.logical_and(look.relevant, of_brand)
        return Asked(f"{self._brand[number]} {look.text}", fitting)


def _items(scene: Scene) -> list[Item]:
    return [Item(each.color, each.class_name) for each in scene.objects]
