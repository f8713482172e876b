"""What a scene is called: one caption for each set of shapes."""

from collections.abc import Iterable
from typing import NamedTuple

COLORS = ("black", "blue", "green", "orange", "pink", "purple", "red", "yellow")


class Item(NamedTuple):
    """A coloured shape, as it is spoken of."""

    color: str
    kind: str


def describe(items: Iterable[Item]) -> str:
    """The caption of a scene, which names each of its shapes.

    The shapes are named in alphabetical order, wherever they are, so that two scenes have the same
    caption exactly when they show the same shapes.
    """
    *first, last = [f"{_article(item.color)} {item.color} {item.kind}" for item in sorted(items)]
    return f"{', '.join(first)} and {last}" if first else last


def _article(word: str) -> str:
    return "an" if word[0] in "aeiou" else "a"
