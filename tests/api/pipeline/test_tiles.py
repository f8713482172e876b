"""Tiles of a large picture, and what is found in them beside the whole."""

import numpy as np
import pytest

from api.contract.requests.detect import MAX_DETECTIONS
from api.pipeline.tiles import OVERLAP, merged, tiles_of
from images.schemas import LabelledBox

PARTS = [(0, 0, 60, 100), (40, 0, 100, 100)]


def box(left: float, top: float, right: float, bottom: float, sure: float = 0.5) -> LabelledBox:
    return LabelledBox((left, top, right, bottom), sure, 0, "a")


@pytest.mark.parametrize(
    ("size", "most", "count"),
    [
        ((959, 600), 4, 0),  # not large
        ((4000, 3000), 1, 0),
        ((4000, 3000), 4, 4),
        ((4000, 3000), 9, 9),
        ((4000, 400), 4, 4),  # all beside each other
        ((1000, 640), 9, 2),  # these show all that there is
    ],
)
def test_a_large_picture_is_cut_into_tiles(size: tuple[int, int], most: int, count: int) -> None:
    parts = tiles_of(size, 640, most)
    assert len(parts) == count
    covered = np.zeros((size[1], size[0]), np.bool_)
    for left, top, right, bottom in parts:
        covered[top:bottom, left:right] = True
    assert covered.all() or not parts


def test_tiles_overlap_by_a_quarter_of_their_side() -> None:
    first, second = tiles_of((2000, 400), 200, 2)
    assert (first[2] - second[0]) / (first[2] - first[0]) == pytest.approx(OVERLAP, abs=0.01)


def test_an_object_that_two_looks_show_is_there_once() -> None:
    large, again = box(0, 0, 90, 90, sure=0.8), box(0, 2, 58, 90, sure=0.6)
    both = box(42, 20, 56, 40, sure=0.7)
    other = box(43, 21, 56, 40, sure=0.9)
    assert merged([large], [[both, again], [other]], PARTS, small=20) == [other, large]


def test_two_objects_of_one_look_stay_two() -> None:
    pair = [box(0, 0, 50, 50, sure=0.9), box(0, 10, 50, 50, sure=0.8)]
    assert merged([], [pair, []], PARTS, small=20) == pair


def test_what_looked_small_is_as_a_tile_shows_it() -> None:
    far, near = box(10, 10, 28, 28, sure=0.9), box(10, 10, 20, 28, sure=0.3)
    assert merged([far], [[near], []], PARTS, small=20) == [near]
    assert merged([far], [[], []], PARTS, small=20) == [far]
    assert merged([far], [[near], []], PARTS, small=10) == [far]


def test_what_no_tile_shows_whole_stays() -> None:
    across, part = box(38, 10, 62, 30), box(38, 10, 47, 30, sure=0.9)
    assert merged([across], [[part], []], PARTS, small=30) == [part, across]


def test_no_more_are_told_than_the_detector_tells_and_the_surest() -> None:
    every = [box(n, 0, n + 0.5, 1, sure=n / 1000) for n in range(MAX_DETECTIONS + 50)]
    assert (
        merged(every[::2], [every[1::2], []], PARTS, small=0) == every[: -MAX_DETECTIONS - 1 : -1]
    )
