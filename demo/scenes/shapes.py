"""The outlines of the shapes, as polygons about a unit circle. Pure geometry, no drawing."""

from collections.abc import Callable
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

Points = NDArray[np.float64]
_ARC_STEPS = 64


@dataclass(frozen=True)
class Outline:
    """A filled polygon, perhaps with a hole.

    Attributes:
        outer: float64 [n, 2], x to the right and y down, about within [-1, 1].
        hole: float64 [m, 2] in the same coordinates, or None.
    """

    outer: Points
    hole: Points | None = None

    def placed(self, x: float, y: float, radius: float, angle: float) -> "Outline":
        """The outline turned by `angle` (radians), scaled by `radius`, moved to (x, y)."""
        turn = np.array([[np.cos(angle), np.sin(angle)], [-np.sin(angle), np.cos(angle)]])

        def move(points: Points) -> Points:
            moved: Points = points @ turn * radius + (x, y)
            return moved

        return Outline(move(self.outer), None if self.hole is None else move(self.hole))

    @property
    def xyxy(self) -> tuple[float, float, float, float]:
        """The tight box: left, top, right, bottom."""
        left, top = self.outer.min(axis=0)
        right, bottom = self.outer.max(axis=0)
        return float(left), float(top), float(right), float(bottom)


def _arc(start: float, end: float, radius: float = 1.0, x: float = 0.0) -> Points:
    angles = np.linspace(start, end, _ARC_STEPS)
    return np.stack([x + radius * np.cos(angles), radius * np.sin(angles)], axis=1)


def _regular(corners: int, inner: float | None = None) -> Points:
    """A regular polygon with a corner on top; with `inner`, a star with valleys at that radius."""
    steps = corners if inner is None else 2 * corners
    angles = -np.pi / 2 + 2 * np.pi * np.arange(steps) / steps
    radii = np.ones(steps)
    if inner is not None:
        radii[1::2] = inner
    return np.stack([radii * np.cos(angles), radii * np.sin(angles)], axis=1)


def _circle() -> Outline:
    return Outline(_arc(0, 2 * np.pi))


def _square() -> Outline:
    return Outline(0.85 * np.array([[-1.0, -1.0], [1.0, -1.0], [1.0, 1.0], [-1.0, 1.0]]))


def _triangle() -> Outline:
    return Outline(1.1 * _regular(3))


def _star() -> Outline:
    return Outline(1.1 * _regular(5, inner=0.45))


def _cross() -> Outline:
    a, b = 0.32, 1.0
    corners = [(-a, -b), (a, -b), (a, -a), (b, -a), (b, a), (a, a)]
    corners += [(a, b), (-a, b), (-a, a), (-b, a), (-b, -a), (-a, -a)]
    return Outline(np.array(corners))


def _ring() -> Outline:
    return Outline(_arc(0, 2 * np.pi), hole=_arc(0, 2 * np.pi, radius=0.55))


def _heart() -> Outline:
    t = np.linspace(0, 2 * np.pi, 2 * _ARC_STEPS)
    x = 16 * np.sin(t) ** 3
    y = -(13 * np.cos(t) - 5 * np.cos(2 * t) - 2 * np.cos(3 * t) - np.cos(4 * t))
    return Outline(np.stack([x, y], axis=1) / 16)


def _moon() -> Outline:
    """A crescent: the unit circle less a smaller one whose centre lies to the right."""
    bite, shift = 0.8, 0.45
    x = (1 - bite**2 + shift**2) / (2 * shift)  # where the two circles meet
    y = np.sqrt(1 - x**2)
    outer, inner = np.arctan2(y, x), np.arctan2(y, x - shift)
    arcs = [_arc(outer, 2 * np.pi - outer), _arc(2 * np.pi - inner, inner, bite, shift)]
    return Outline(np.concatenate(arcs))


_OUTLINES: dict[str, Callable[[], Outline]] = {
    "circle": _circle,
    "cross": _cross,
    "heart": _heart,
    "moon": _moon,
    "ring": _ring,
    "square": _square,
    "star": _star,
    "triangle": _triangle,
}

KINDS = tuple(_OUTLINES)
"""The shapes' names, which are also the detector's classes, in the order of their class ids."""


def outline(kind: str) -> Outline:
    """The outline of a kind of shape, upright, about one unit in radius."""
    return _OUTLINES[kind]()
