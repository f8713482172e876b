"""Pictures that make it hard to find what is in them, each in a way of its own."""

import io
from collections.abc import Callable, Mapping
from dataclasses import dataclass

import numpy as np
from PIL import Image, ImageDraw

from demo.scenes.backgrounds import BACKGROUNDS, paint_background
from demo.scenes.mosaics import Mosaic, Shown, mosaic
from demo.scenes.scenes import COLORS_RGB, fill
from demo.scenes.shapes import KINDS, Outline, outline

Rng = np.random.Generator
ARROW = "arrow"
"""A class that the detector lacks."""

LACKING = "a class it lacks"

_ARROW = Outline(
    np.array([(-1, -0.25), (0.2, -0.25), (0.2, -0.7), (1, 0), (0.2, 0.7), (0.2, 0.25), (-1, 0.25)])
)
_COVER = (150, 150, 150)


@dataclass(frozen=True)
class Kind:
    """How pictures of one kind are drawn.

    Attributes:
        side: of the picture, in pixels.
        across: cells in a row, of which `count` hold a shape each.
        count: shapes.
        share: of the picture's side that a shape takes.
        hidden: share of each shape's box that something covers.
        arrows: how many of the shapes are arrows.
    """

    side: int
    across: int
    count: int
    share: float
    hidden: float = 0
    arrows: int = 0

    def draw(self, seed: int) -> Mosaic:
        """The picture of a seed."""
        rng = np.random.default_rng(seed)
        style = str(rng.choice(BACKGROUNDS))
        picture, shown = paint_background(style, self.side, self.side, rng), []
        for n, cell in enumerate(rng.permutation(self.across**2)[: self.count].tolist()):
            kind = ARROW if n < self.arrows else str(rng.choice(KINDS))
            color = str(rng.choice(list(COLORS_RGB)))
            shape = self._placed(kind, cell, rng)
            fill(picture, shape, color, rng)
            self._cover(picture, shape, rng)
            shown.append(Shown(f"a {color} {kind}", kind, shape.xyxy))
        file = io.BytesIO()
        picture.save(file, "JPEG", quality=92)
        return Mosaic(file.getvalue(), tuple(shown))

    def _placed(self, kind: str, cell: int, rng: Rng) -> Outline:
        """A shape somewhere in a cell."""
        wide, radius = self.side / self.across, self.share * self.side / 2
        room = max(0.0, wide / 2 - 1.2 * radius)
        x, y = (wide * (at + 0.5) for at in (cell % self.across, cell // self.across))
        of = _ARROW if kind == ARROW else outline(kind)
        angle = np.radians(rng.uniform(-18, 18))
        return of.placed(x + rng.uniform(-room, room), y + rng.uniform(-room, room), radius, angle)

    def _cover(self, picture: Image.Image, shape: Outline, rng: Rng) -> None:
        """Hides a share of a shape's box, from one of its sides on."""
        left, top, right, bottom = shape.xyxy
        wide, high = self.hidden * (right - left), self.hidden * (bottom - top)
        covers = [
            (left, top, left + wide, bottom),
            (right - wide, top, right, bottom),
            (left, top, right, top + high),
            (left, bottom - high, right, bottom),
        ]
        if self.hidden:
            ImageDraw.Draw(picture).rectangle(covers[rng.integers(4)], fill=_COVER)


AXES: Mapping[str, Callable[[int], Mosaic]] = {
    "small, 5 % of the side": Kind(1024, across=4, count=8, share=0.05).draw,
    "30 % hidden": Kind(512, across=3, count=6, share=0.24, hidden=0.3).draw,
    "more than the most": lambda seed: mosaic(seed, 4),
    LACKING: Kind(512, across=3, count=4, share=0.24, arrows=2).draw,
}
"""By their names; each draws the picture of a seed."""
