"""The many ways to say what a scene shows: the texts the demo's CLIP learns from."""

from collections.abc import Iterable, Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from demo.scenes.captions import COLORS, Item, describe
from demo.scenes.shapes import KINDS

Rng = np.random.Generator
Features = NDArray[np.float32]

_COLOR_NAMES = {
    "black": ("black", "black", "dark", "jet black"),
    "blue": ("blue", "blue", "azure", "navy"),
    "green": ("green", "green", "emerald"),
    "orange": ("orange", "orange", "tangerine"),
    "pink": ("pink", "pink", "rose", "magenta"),
    "purple": ("purple", "purple", "violet", "lilac"),
    "red": ("red", "red", "crimson", "scarlet"),
    "yellow": ("yellow", "yellow", "golden"),
}
_KIND_NAMES = {
    "circle": ("circle", "circle", "circle", "disc", "disk", "dot", "ball", "round shape"),
    "cross": ("cross", "cross", "cross", "plus", "plus sign"),
    "heart": ("heart", "heart", "love heart", "heart shape"),
    "moon": ("moon", "moon", "moon", "crescent", "crescent moon", "half moon"),
    "ring": ("ring", "ring", "ring", "donut", "hoop"),
    "square": ("square", "square", "square", "box", "cube"),
    "star": ("star", "star", "five pointed star"),
    "triangle": ("triangle", "triangle", "triangular shape"),
}
_FRAMES = (
    "{}", "{}", "{}", "a photo of {}", "a photo with {}", "a picture of {}", "a picture with {}",
    "an image of {}", "a drawing of {}", "there is {}", "{} on a background", "show me {}",
    "find {}", "looking for {}", "{}, please", "this shows {}", "a scene with {}", "just {}",
)  # fmt: skip
_JOINERS = (" and ", " and ", " and ", " with ", ", ", " & ", " next to ", " beside ", " near ")
_ITEM_FORMS = (
    "a {color} {kind}", "a {color} {kind}", "the {color} {kind}", "{color} {kind}",
    "{color} {kind}", "one {color} {kind}", "a {kind} in {color}", "a {kind} that is {color}",
    "{color} coloured {kind}",
)  # fmt: skip
_KIND_FORMS = ("a {}", "{}", "{}", "the {}", "{}s", "some {}", "something like a {}")
_COLOR_FORMS = ("{}", "{}", "something {}", "{} things", "anything {}", "a {} shape", "{} colour")


@dataclass(frozen=True)
class Phrase:
    """A text, and what a picture must show to fit it.

    Attributes:
        text: the words.
        wanted: float32 [features] of 0 and 1, see `features`.
        count: how many shapes the text speaks of.
    """

    text: str
    wanted: Features
    count: int


def features(
    items: Iterable[Item], colors: Iterable[str] = (), kinds: Iterable[str] = ()
) -> Features:
    """Marks (0 or 1) for coloured shapes, then colours, then kinds: float32 [8 * 8 + 8 + 8]."""
    marks = np.zeros(len(COLORS) * len(KINDS) + len(COLORS) + len(KINDS), np.float32)
    for color, kind in items:
        marks[COLORS.index(color) * len(KINDS) + KINDS.index(kind)] = 1
    for color in colors:
        marks[len(COLORS) * len(KINDS) + COLORS.index(color)] = 1
    for kind in kinds:
        marks[len(COLORS) * len(KINDS) + len(COLORS) + KINDS.index(kind)] = 1
    return marks


def shown(items: Sequence[Item]) -> Features:
    """All the features a picture of these shapes has."""
    return features(items, {item.color for item in items}, {item.kind for item in items})


def say(items: Sequence[Item], strange_words: Sequence[str], rng: Rng) -> Phrase:
    """Says something true of a scene: all of it, some of its shapes, one's kind, or one's colour.

    Args:
        items: the scene's shapes.
        strange_words: words to throw in now and then, so that the model learns to pass over them;
            none where empty.
        rng: chooses what is said and how.
    """
    sort = rng.uniform()
    one = items[int(rng.integers(len(items)))]
    if sort < 0.3:
        phrase = Phrase(describe(items), features(items), len(items))
    elif sort < 0.65:
        phrase = Phrase(_say_items(items, rng), features(items), len(items))
    elif sort < 0.8:
        phrase = Phrase(_say_items([one], rng), features([one]), 1)
    elif sort < 0.9:
        text = _pick(_KIND_FORMS, rng).format(_pick(_KIND_NAMES[one.kind], rng))
        phrase = Phrase(text, features([], kinds=[one.kind]), 1)
    else:
        text = _pick(_COLOR_FORMS, rng).format(_pick(_COLOR_NAMES[one.color], rng))
        phrase = Phrase(text, features([], colors=[one.color]), 1)
    framed = _pick(_FRAMES, rng).format(phrase.text) if rng.uniform() < 0.5 else phrase.text
    return Phrase(_add_strange(framed, strange_words, rng), phrase.wanted, phrase.count)


def _say_items(items: Sequence[Item], rng: Rng) -> str:
    """Names shapes in any order, with other words for their colours and kinds."""
    names = [_say_item(items[i], rng) for i in rng.permutation(len(items))]
    if len(names) > 2:
        return ", ".join(names[:-1]) + _pick((" and ", ", "), rng) + names[-1]
    return _pick(_JOINERS, rng).join(names)


def _say_item(item: Item, rng: Rng) -> str:
    color, kind = _pick(_COLOR_NAMES[item.color], rng), _pick(_KIND_NAMES[item.kind], rng)
    return _pick(_ITEM_FORMS, rng).format(color=color, kind=kind)


def _add_strange(text: str, strange_words: Sequence[str], rng: Rng) -> str:
    if not strange_words or rng.uniform() > 0.2:
        return text
    words = text.split()
    for _ in range(rng.integers(1, 4)):
        words.insert(int(rng.integers(len(words) + 1)), _pick(strange_words, rng))
    return " ".join(words)


def _pick(options: Sequence[str], rng: Rng) -> str:
    return options[int(rng.integers(len(options)))]
