"""Rows of the detector become boxes of the picture, and some of these objects that are indexed."""

import numpy as np

from api.pipeline.boxes import in_picture, largest, padded, share
from images.schemas import LabelledBox, Letterboxed
from store.schemas import ObjectBox


def box(left: float, top: float, right: float, bottom: float, sure: float = 0.5) -> LabelledBox:
    return LabelledBox((left, top, right, bottom), sure, 0, "a")


def test_rows_become_boxes() -> None:
    pixels = np.zeros((64, 64, 3), np.uint8)
    boxed = Letterboxed(pixels, gain=(1.0, 1.0), pad=(0, 0), original_size=(64, 64))
    rows = np.array([[1.5, 2.0, 30.0, 40.25, 0.5, 1]], np.float32)
    expected = [LabelledBox((1.5, 2.0, 30.0, 40.25), 0.5, 1, "b")]
    assert in_picture(rows, boxed, ("a", "b")) == expected
    assert in_picture(rows[:0], boxed, ("a", "b")) == []


def test_boxes_are_in_the_pictures_own_pixels() -> None:
    pixels = np.zeros((64, 64, 3), np.uint8)
    boxed = Letterboxed(pixels, gain=(0.5, 0.25), pad=(8, 4), original_size=(60, 100))
    rows = np.array([[10.0, 6.0, 200.0, 8.0, 0.75, 0]], np.float32)
    assert in_picture(rows, boxed, ("a",)) == [LabelledBox((4.0, 8.0, 60.0, 16.0), 0.75, 0, "a")]


def test_the_largest_and_surest_are_indexed() -> None:
    small, large, sure = box(0, 0, 20, 20), box(0, 0, 60, 60), box(0, 0, 50, 50, sure=0.9)
    thin = box(0, 0, 300, 7, sure=1)
    assert largest([thin, small, large, sure], 9) == [sure, large, small]
    assert largest([small, large, sure], 2) == [sure, large]


def test_an_object_has_something_around_it_inside_the_picture() -> None:
    assert padded(box(20, 40.5, 60, 60), (100, 100)) == (18, 39, 62, 61)
    assert padded(box(0, 1, 100, 99), (100, 100)) == (0, 0, 100, 100)


def test_its_place_is_told_in_shares() -> None:
    assert share(box(20, 25, 60, 50), (80, 100)) == ObjectBox("a", 0.5, (0.25, 0.25, 0.75, 0.5))
