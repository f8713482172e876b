"""Rows of the detector become boxes of the picture."""

import numpy as np

from api.routes.detect import _in_picture
from images.schemas import LabelledBox, Letterboxed


def test_rows_become_boxes() -> None:
    pixels = np.zeros((64, 64, 3), np.uint8)
    boxed = Letterboxed(pixels, gain=(1.0, 1.0), pad=(0, 0), original_size=(64, 64))
    rows = np.array([[1.5, 2.0, 30.0, 40.25, 0.5, 1]], np.float32)
    expected = [LabelledBox((1.5, 2.0, 30.0, 40.25), 0.5, 1, "b")]
    assert _in_picture(rows, boxed, ("a", "b")) == expected
    assert _in_picture(rows[:0], boxed, ("a", "b")) == []


def test_boxes_are_in_the_pictures_own_pixels() -> None:
    pixels = np.zeros((64, 64, 3), np.uint8)
    boxed = Letterboxed(pixels, gain=(0.5, 0.25), pad=(8, 4), original_size=(60, 100))
    rows = np.array([[10.0, 6.0, 200.0, 8.0, 0.75, 0]], np.float32)
    assert _in_picture(rows, boxed, ("a",)) == [LabelledBox((4.0, 8.0, 60.0, 16.0), 0.75, 0, "a")]
