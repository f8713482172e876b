"""Pictures that two runtimes are compared by, and how far apart what they find is."""

import numpy as np
from numpy.typing import NDArray

from runners.runtime.conversions import Arrays
from runners.schemas import Pixels

Candidates = NDArray[np.float32]
"""All that a network may have found in pictures [n, k, 4 + classes]: box, confidence of each."""

_SURE = 0.1
"""Confidence from which a candidate counts."""
_MOST_CANDIDATES, _LEAST_CANDIDATES = 100, 20
MOST_PIXELS, MOST_CONFIDENCE = 0.5, 0.01
"""How far candidates may be from torch's."""
_GROUND, _COLOURS = (225, 222, 210), ((200, 30, 40), (30, 60, 190), (20, 20, 20))


def trial_pictures(image_size: int, stride: int) -> Arrays:
    """Photographs and shapes, in batches of one shape each.

    The photographs are those that come with ultralytics, for models of everyday things.
    """
    half = max(1, image_size // stride // 2) * stride
    shapes = {"square": (image_size, image_size), "wide": (half, image_size)}
    return {
        name: np.stack([_drawn(*shape), *_photographs(*shape)]) for name, shape in shapes.items()
    }


def _photographs(height: int, width: int) -> list[Pixels]:
    from PIL import Image  # noqa: PLC0415 - where torch is, too
    from ultralytics.utils import ASSETS  # noqa: PLC0415 - see yolo.build

    pictures = []
    for path in sorted(ASSETS.glob("*.jpg")):
        with Image.open(path) as picture:
            pictures.append(np.asarray(picture.convert("RGB").resize((width, height))))
    return pictures


def _drawn(height: int, width: int) -> Pixels:
    """Discs and squares on a light ground."""
    picture = np.full((height, width, 3), _GROUND, np.uint8)
    rows, columns = np.mgrid[:height, :width]
    radius = min(height, width) / 6
    for number, colour in enumerate(_COLOURS):
        above, left = height * (number + 1) / 4, width * (number + 1) / 4
        down, across = np.abs(rows - above), np.abs(columns - left)
        inside = np.maximum(down, across) if number % 2 else np.hypot(down, across)
        picture[inside < radius * (number + 2) / 4] = colour
    return picture


def candidates(predictions: NDArray[np.float32]) -> Candidates:
    """Candidates of predictions [n, 4 + classes, k], or of RT-DETR's [n, k, 4 + classes]."""
    is_last = predictions.shape[1] > predictions.shape[2]
    return predictions if is_last else predictions.swapaxes(1, 2)


def farthest(expected: Candidates, found: Candidates) -> tuple[float, float]:
    """How far the candidates that count are from those in the same place.

    Returns:
        Pixels of an edge, and confidence of any class.
    """
    pixels = confidence = 0.0
    for one, other in zip(expected, found, strict=True):
        which = _counting(one[:, 4:].max(1))
        apart = np.abs(one[which] - other[which])
        pixels = max(pixels, float(apart[:, :4].max()))
        confidence = max(confidence, float(apart[:, 4:].max()))
    return pixels, confidence


def farthest_ranked(expected: Candidates, found: Candidates) -> tuple[float, float]:
    """The same of candidates that a network ranks itself, each to the one that is nearest to it.

    Args:
        expected: [n, k, 6], box, confidence and class id.
        found: likewise.

    Returns:
        Likewise; infinite where a candidate has no counterpart.
    """
    pairs = [
        _nearest(row, rows)
        for one, rows in zip(expected, found, strict=True)
        for row in one[_counting(one[:, 4])]
    ]
    pixels, confidence = np.max(pairs, axis=0)
    return float(pixels), float(confidence)


def _counting(confidences: NDArray[np.float32]) -> NDArray[np.intp]:
    """Which candidates of a picture are sure; a few where none is."""
    surest = np.argsort(-confidences, kind="stable")
    sure = int((confidences >= _SURE).sum())
    return surest[: min(sure, _MOST_CANDIDATES) or _LEAST_CANDIDATES]


def _nearest(row: Candidates, rows: Candidates) -> tuple[float, float]:
    same = rows[rows[:, 5] == row[5]] if row[4] >= _SURE else rows
    if not len(same):
        return np.inf, np.inf
    pixels, confidence = np.abs(same[:, :4] - row[:4]).max(1), np.abs(same[:, 4] - row[4])
    best = np.argmin(np.maximum(pixels / MOST_PIXELS, confidence / MOST_CONFIDENCE))
    return float(pixels[best]), float(confidence[best])
