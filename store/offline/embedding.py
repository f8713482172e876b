"""What a re-embedding asks of a model, what it is given back, and whom it tells how far it is."""

from collections.abc import AsyncIterator, Awaitable, Callable
from dataclasses import dataclass
from typing import Protocol

from store.schemas import FloatVector, ObjectSet


@dataclass(frozen=True)
class EmbedRequest:
    """An image to be embedded.

    Attributes:
        file: what its original is called, if that is stored.
        pixels: digest of the picture that was added, if that is known.
        objects: to be embedded as well; None where nobody has looked into it.
    """

    id: str
    url: str
    file: str | None = None
    pixels: str | None = None
    objects: ObjectSet | None = None


@dataclass(frozen=True, eq=False)
class Embedded:
    """An image's new vectors.

    Attributes:
        vector: float32 [dim]; None where there is none.
        reason: why, in one line.
        objects: float32 [objects, dim]; None where none were asked for, or the picture is another
            one by now, in which they need not be.
    """

    id: str
    vector: FloatVector | None
    reason: str = ""
    objects: FloatVector | None = None


Embed = Callable[
    [AsyncIterator[EmbedRequest], Callable[[Embedded], Awaitable[None]]], Awaitable[None]
]
"""Embeds all images of an iterator and gives each to a function, in any order, each once."""


class Progress(Protocol):
    """Hooks for showing how far a rebuild is."""

    def begin(self, total: int, done: int) -> None:
        """A pass begins: of `total` images that there are, `done` are done."""

    def advance(self, images: int) -> None:
        """So many more are done."""

    def failed(self, url: str, reason: str) -> None:
        """One could not be embedded; that, too, is progress."""
