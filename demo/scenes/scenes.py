"""Scenes: pictures of coloured shapes, drawn from a seed, with their captions, boxes and metadata.

The same seed and size give the same picture, on every machine. Scenes are what the demo models
are trained and measured on and what the demo shows; nothing here needs torch.
"""

from dataclasses import dataclass
from itertools import islice
from typing import TypedDict

import numpy as np
from PIL import Image, ImageDraw

from demo.scenes.backgrounds import BACKGROUNDS, paint_background
from demo.scenes.captions import COLORS, Item, describe
from demo.scenes.shapes import KINDS, Outline, outline

Rng = np.random.Generator
COLORS_RGB = {
    "black": (38, 38, 44),
    "blue": (44, 98, 206),
    "green": (52, 156, 80),
    "orange": (245, 138, 34),
    "pink": (242, 122, 176),
    "purple": (122, 62, 172),
    "red": (214, 42, 44),
    "yellow": (250, 208, 40),
}
SHOPS = ("corner shop", "harbour market", "old mill", "paper house", "station kiosk")
ASPECTS = ((8, 8), (8, 8), (9, 8), (8, 9))
_OVERSAMPLING = 4
_JITTER = 8
_GAP = 2.0
"""Least distance in pixels between the boxes of two shapes, and from the picture's edge."""
_LARGEST = {1: 0.34, 2: 0.26, 3: 0.22, 4: 0.2}
"""Largest radius of a shape by the count of shapes, as a share of the shorter side."""
_TRIES = 20

USUAL_PAIRS = tuple(
    (
        Item(COLORS[(3 * i + i // 8) % 8], KINDS[i % 8]),
        Item(COLORS[(5 * i + i // 8 + 2) % 8], KINDS[(i + 1 + i // 8) % 8]),
    )
    for i in range(24)
)
"""Pairs of shapes which are drawn often, so that captions of two shapes recur, too."""


class SceneMetadata(TypedDict):
    """What a catalogue would know of a picture; filters of the demo search in it."""

    shop: str
    price: float
    count: int
    colors: list[str]
    background: str


@dataclass(frozen=True)
class SceneObject:
    """One shape of a scene; `xyxy` is its tight box in pixels: left, top, right, bottom."""

    class_name: str
    color: str
    xyxy: tuple[float, float, float, float]


@dataclass(frozen=True)
class Scene:
    """A drawn picture (RGB) and all that is known of it; `caption` names every object."""

    picture: Image.Image
    caption: str
    objects: tuple[SceneObject, ...]
    metadata: SceneMetadata


def draw_scene(seed: int, size: int = 256) -> Scene:
    """Draws the scene of a seed.

    Args:
        seed: which scene; see `demo.scenes.seeds` for the ranges in use.
        size: the shorter side in pixels; the longer is at most an eighth longer.
    """
    rng = np.random.default_rng(seed)
    wide, high = ASPECTS[rng.integers(len(ASPECTS))]
    width, height = size * wide // 8, size * high // 8
    style = str(rng.choice(BACKGROUNDS))
    placed = _place(_choose_items(rng), width, height, rng)
    metadata = _invent_metadata([item for item, _ in placed], style, rng)
    picture = paint_background(style, width, height, rng)
    for item, shape in placed:
        fill(picture, shape, item.color, rng)
    objects = tuple(SceneObject(item.kind, item.color, shape.xyxy) for item, shape in placed)
    return Scene(picture, describe(item for item, _ in placed), objects, metadata)


def _choose_items(rng: Rng) -> list[Item]:
    """One shape, a usual pair, or two to four of any; never the same colour and kind twice."""
    sort = rng.uniform()
    if sort < 0.35:
        return list(USUAL_PAIRS[rng.integers(len(USUAL_PAIRS))])
    count = 1 if sort < 0.8 else int(rng.integers(2, 5))
    codes = rng.choice(len(COLORS) * len(KINDS), size=count, replace=False)
    return [Item(COLORS[code // len(KINDS)], KINDS[code % len(KINDS)]) for code in codes]


def _place(items: list[Item], width: int, height: int, rng: Rng) -> list[tuple[Item, Outline]]:
    """Finds a place for every shape, inside the picture and apart from the others.

    Where one finds no place, all are tried again, each time smaller, so that it ends.
    """
    largest = _LARGEST[len(items)] * min(width, height)
    while True:
        shapes: list[Outline] = []
        for item in items:
            tried = (_anywhere(item, largest, (width, height), rng) for _ in range(_TRIES))
            shapes += islice((one for one in tried if _fits(one, shapes, width, height)), 1)
        if len(shapes) == len(items):
            return list(zip(items, shapes, strict=True))
        largest *= 0.95


def _anywhere(item: Item, largest: float, size: tuple[int, int], rng: Rng) -> Outline:
    radius = rng.uniform(0.5, 1.0) * largest
    x, y = rng.uniform(radius, size[0] - radius), rng.uniform(radius, size[1] - radius)
    return outline(item.kind).placed(x, y, radius, np.radians(rng.uniform(-18, 18)))


def _fits(shape: Outline, others: list[Outline], width: int, height: int) -> bool:
    left, top, right, bottom = shape.xyxy
    inside = left >= _GAP and top >= _GAP and right <= width - _GAP and bottom <= height - _GAP
    return inside and all(_apart(shape, other) for other in others)


def _apart(one: Outline, other: Outline) -> bool:
    a, b = one.xyxy, other.xyxy
    across = max(a[0], b[0]) - min(a[2], b[2])
    down = max(a[1], b[1]) - min(a[3], b[3])
    return max(across, down) >= _GAP


def fill(picture: Image.Image, shape: Outline, color: str, rng: Rng) -> None:
    """Paints a shape smoothly: its mask is drawn larger, then reduced."""
    left, top, right, bottom = shape.xyxy
    corner = np.array([np.floor(left), np.floor(top)])
    width, height = int(np.ceil(right) - corner[0]), int(np.ceil(bottom) - corner[1])
    mask = Image.new("L", (width * _OVERSAMPLING, height * _OVERSAMPLING))
    for points, value in ((shape.outer, 255), (shape.hole, 0)):
        if points is not None:
            ImageDraw.Draw(mask).polygon(
                [(x, y) for x, y in (points - corner) * _OVERSAMPLING], fill=value
            )
    rgb = np.clip(np.array(COLORS_RGB[color]) + rng.integers(-_JITTER, _JITTER + 1, 3), 0, 255)
    place = (int(corner[0]), int(corner[1]))
    picture.paste(
        tuple(int(v) for v in rgb),
        (*place, place[0] + width, place[1] + height),
        mask.reduce(_OVERSAMPLING),
    )


def _invent_metadata(items: list[Item], style: str, rng: Rng) -> SceneMetadata:
    return SceneMetadata(
        shop=str(rng.choice(SHOPS)),
        price=round(float(rng.uniform(2, 60)), 2),
        count=len(items),
        colors=sorted({item.color for item in items}),
        background=style,
    )
