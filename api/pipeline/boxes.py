"""The boxes of objects: in the picture's own pixels, which are indexed, and what is cut out."""

import math
from collections.abc import Iterable, Sequence

import numpy as np

from api.errors import UnknownClassError
from images.schemas import LabelledBox, Letterboxed, PixelBox
from runners.schemas import DetectionRows
from store.schemas import ObjectBox

PADDING = 0.05
"""Of an object's side, on each of its four. Measured on mosaics of the demo's scenes: of an
object's ten nearest 1.000 showed the same, with 0.1 it was 0.997 and with 0.15 it was 0.989."""

CONFIDENCE_DIGITS, EDGE_DIGITS = 4, 6
"""Of what is stored; the confidence is that of `/run_object_detection`."""

LEAST_SIDE = 8
"""Pixels: what is smaller on either side tells the embedder nothing."""

RECIPE = f"squashed, {PADDING:g} of padding"
"""How objects are cut out, as the index has it: those of two recipes are never compared."""


def check_classes(classes: Iterable[str], known: Sequence[str]) -> None:
    """Refuse a class that a detector does not know.

    Raises:
        UnknownClassError: the first such one, with the known ones.
    """
    for each in classes:
        if each not in known:
            raise UnknownClassError(each, known)


def in_picture(
    rows: DetectionRows, boxed: Letterboxed, class_names: Sequence[str]
) -> list[LabelledBox]:
    """What the detector found, surest first, in the picture's own pixels."""
    rows = np.array(rows, np.float32)
    rows[:, :4] = boxed.to_original(rows[:, :4])
    return [
        LabelledBox((x1, y1, x2, y2), confidence, int(class_id), class_names[int(class_id)])
        for x1, y1, x2, y2, confidence, class_id in rows.tolist()
    ]


def largest(boxes: Sequence[LabelledBox], most: int) -> list[LabelledBox]:
    """The objects that are worth a vector, the largest and surest first, so many at most."""
    worth = [box for box in boxes if min(_sides(box)) >= LEAST_SIDE]
    return sorted(worth, key=lambda box: -box.confidence * math.prod(_sides(box)))[:most]


def padded(box: LabelledBox, size: tuple[int, int]) -> PixelBox:
    """An object with a little of what is around it, in whole pixels of a picture of this size."""
    left, top, right, bottom = box.xyxy
    beside, above = (PADDING * side for side in _sides(box))
    return (
        max(0, math.floor(left - beside)),
        max(0, math.floor(top - above)),
        min(size[0], math.ceil(right + beside)),
        min(size[1], math.ceil(bottom + above)),
    )


def _sides(box: LabelledBox) -> tuple[float, float]:
    left, top, right, bottom = box.xyxy
    return right - left, bottom - top


def share(box: LabelledBox, size: tuple[int, int]) -> ObjectBox:
    """An object whose edges are shares of the sides of a picture of this size."""
    left, top, right, bottom = box.xyxy
    edges = left / size[0], top / size[1], right / size[0], bottom / size[1]
    x1, y1, x2, y2 = (round(edge, EDGE_DIGITS) for edge in edges)
    return ObjectBox(box.class_name, round(box.confidence, CONFIDENCE_DIGITS), (x1, y1, x2, y2))


def on_picture(box: ObjectBox, size: tuple[int, int], class_names: Sequence[str]) -> LabelledBox:
    """An indexed object in the pixels of a picture of this size, to be drawn in."""
    left, top, right, bottom = box.xyxy
    edges = left * size[0], top * size[1], right * size[0], bottom * size[1]
    known = box.class_name in class_names
    class_id = class_names.index(box.class_name) if known else 0
    return LabelledBox(edges, box.confidence, class_id, box.class_name)
