"""Mosaics of drawn scenes: pictures of many objects, whose colours, shapes and places are known."""

import io
from dataclasses import dataclass

from PIL import Image

from demo.scenes.scenes import draw_scene

SIDE = 256
Box = tuple[float, float, float, float]


@dataclass(frozen=True)
class Shown:
    """An object in a mosaic: as a text says it, its class, and its place in pixels."""

    words: str
    class_name: str
    xyxy: Box


@dataclass(frozen=True)
class Mosaic:
    """A JPEG file of `across` times `across` scenes, and all that it shows."""

    file: bytes
    shown: tuple[Shown, ...]


def mosaic(first_seed: int, across: int = 2) -> Mosaic:
    """The scenes from a seed on, row by row."""
    whole, shown = Image.new("RGB", (across * SIDE, across * SIDE)), []
    for place in range(across * across):
        scene = draw_scene(first_seed + place)
        left, top = SIDE * (place % across), SIDE * (place // across)
        wide, high = SIDE / scene.picture.width, SIDE / scene.picture.height
        whole.paste(scene.picture.resize((SIDE, SIDE)), (left, top))
        for one in scene.objects:
            x1, y1, x2, y2 = one.xyxy
            box = left + x1 * wide, top + y1 * high, left + x2 * wide, top + y2 * high
            shown.append(Shown(f"a {one.color} {one.class_name}", one.class_name, box))
    file = io.BytesIO()
    whole.save(file, "JPEG", quality=92)
    return Mosaic(file.getvalue(), tuple(shown))


def overlap(one: Box, other: Box) -> float:
    """Intersection over union of two boxes."""
    wide = min(one[2], other[2]) - max(one[0], other[0])
    high = min(one[3], other[3]) - max(one[1], other[1])
    shared = max(wide, 0) * max(high, 0)
    areas = sum((box[2] - box[0]) * (box[3] - box[1]) for box in (one, other))
    return shared / (areas - shared)
