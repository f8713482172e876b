"""The same detections as by ultralytics and torchvision."""

import numpy as np
import pytest
import torch
import torchvision  # noqa: F401 - ultralytics uses its suppression where it is loaded
from ultralytics.utils.nms import non_max_suppression
from ultralytics.utils.ops import clip_boxes

from runners.yolo.suppression import MAX_DETECTIONS, MOST_OVERLAP, detections, surest

SIZE = (320, 640)


def predictions(seed: int) -> np.ndarray:
    """Many boxes around few places, some alike, some outside, some without an area."""
    rng = np.random.default_rng(seed)
    count, classes = int(rng.integers(1, 3000)), int(rng.integers(1, 5))
    places = rng.uniform(-20, 660, (int(rng.integers(1, 40)), 2))
    centres = places[rng.integers(0, len(places), count)] + rng.normal(0, 4, (count, 2))
    sizes = rng.choice([0, 16, 40, 90.5], (count, 2)) + rng.normal(0, 2, (count, 2))
    scores = rng.uniform(0, 1, (count, classes)).round(int(rng.integers(1, 8)))
    return np.concatenate([centres, sizes, scores], axis=1).T.astype(np.float32)


def theirs(found: np.ndarray, confidence: float, end2end: bool = False) -> np.ndarray:
    (rows,) = non_max_suppression(
        torch.from_numpy(found.copy())[None],
        confidence,
        MOST_OVERLAP,
        max_det=MAX_DETECTIONS,
        end2end=end2end,
    )
    clipped: np.ndarray = clip_boxes(rows, SIZE).numpy()
    return clipped


@pytest.mark.parametrize("seed", range(60))
@pytest.mark.parametrize("confidence", [0.01, 0.25, 0.9, 1.0])
def test_detections(seed: int, confidence: float) -> None:
    found = predictions(seed)
    ours = detections(found, confidence, SIZE)
    assert ours.dtype == np.float32
    expected = theirs(found, confidence)
    assert len(ours) == len(expected)
    np.testing.assert_array_equal(ours, expected)


def test_of_a_network_that_suppresses_overlaps_itself() -> None:
    rng = np.random.default_rng(0)
    rows = rng.uniform(-10, 700, (400, 6)).astype(np.float32)
    rows[:, 4] = np.sort(rng.uniform(0, 1, 400))[::-1]
    for confidence in (0.0, 0.5, 1.0):
        np.testing.assert_array_equal(
            surest(rows, confidence, SIZE), theirs(rows, confidence, end2end=True)
        )
