"""Detections from a YOLO network's predictions, as ultralytics and torchvision pick them.

In NumPy, as what computes by OpenVINO does without those packages: OpenCV's suppression counts in
other numbers, and the same boxes are wanted (ultralytics 8.4 `utils.nms.non_max_suppression`,
torchvision 0.30 `ops.nms`).
"""

import numpy as np
from numpy.typing import NDArray

from runners.schemas import DetectionRows, Predictions

MOST_OVERLAP = 0.7
"""Of two boxes of one class that share more of what they cover, the less sure one goes."""
MAX_DETECTIONS = 300
_MOST_CANDIDATES = 30_000
_CLASS_OFFSET = 7680
"""Pixels between the boxes of two classes, so that those of different ones never overlap."""

Floats = NDArray[np.float32]


def detections(predictions: Predictions, confidence: float, size: tuple[int, ...]) -> DetectionRows:
    """Detections of one picture.

    Args:
        predictions: [4 + classes, k], of the one picture.
        confidence: what a box must be surer than, in its surest class.
        size: height and width of the picture, to which boxes are cut.
    """
    candidates = predictions[:, predictions[4:].max(0) > confidence].T
    classes = candidates[:, 4:].argmax(1)
    sure = candidates[np.arange(len(candidates)), 4 + classes]
    order = np.argsort(-sure, kind="stable")[:_MOST_CANDIDATES]
    boxes = _edges(candidates[order, :4])
    columns = [boxes, sure[order, None], classes[order, None].astype(np.float32)]
    rows = np.concatenate(columns, axis=1)
    apart = (boxes + rows[:, 5:] * _CLASS_OFFSET).astype(np.float32)
    return _cut(rows[_not_overlapping(apart)], size)


def surest(predictions: Predictions, confidence: float, size: tuple[int, ...]) -> DetectionRows:
    """The same of a network that suppresses overlaps itself: predictions [k, 6]."""
    return _cut(predictions[predictions[:, 4] > confidence][:MAX_DETECTIONS], size)


def _edges(boxes: Floats) -> Floats:
    """Left, upper, right and lower edge, from centre and size."""
    half = boxes[:, 2:] / 2
    return np.concatenate([boxes[:, :2] - half, boxes[:, :2] + half], axis=1)


def _not_overlapping(boxes: Floats) -> list[int]:
    """Which boxes [k, 4], the surest first, overlap with no surer one that stays."""
    left, upper, right, lower = boxes.T
    areas = (right - left) * (lower - upper)
    kept: list[int] = []
    rest = np.arange(len(boxes))
    while len(rest) and len(kept) < MAX_DETECTIONS:
        first, rest = rest[0], rest[1:]
        kept.append(int(first))
        wide = np.minimum(right[first], right[rest]) - np.maximum(left[first], left[rest])
        high = np.minimum(lower[first], lower[rest]) - np.maximum(upper[first], upper[rest])
        shared = np.maximum(wide, 0) * np.maximum(high, 0)
        with np.errstate(invalid="ignore"):  # of boxes without an area
            overlap = shared / (areas[first] + areas[rest] - shared)
        rest = rest[~(overlap > np.float64(MOST_OVERLAP))]
    return kept


def _cut(rows: DetectionRows, size: tuple[int, ...]) -> DetectionRows:
    height, width = size
    rows = np.array(rows, np.float32)
    rows[:, :4] = rows[:, :4].clip(0, [width, height, width, height])
    return rows
