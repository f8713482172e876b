import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from numpy.typing import NDArray

from demo.scenes.backgrounds import BACKGROUNDS
from demo.scenes.captions import COLORS, Item, describe
from demo.scenes.scenes import COLORS_RGB, USUAL_PAIRS, Scene, SceneObject, draw_scene
from demo.scenes.shapes import KINDS

SEEDS = st.integers(0, 2**32)
SIZES = st.sampled_from([96, 170, 256])


def painted(scene: Scene, thing: SceneObject) -> NDArray[np.bool_]:
    """Which pixels are of a shape's own colour: bool [height, width]."""
    pixels = np.asarray(scene.picture).astype(int)
    own: NDArray[np.bool_] = np.abs(pixels - COLORS_RGB[thing.color]).max(axis=2) <= 10
    return own


def test_a_seed_always_gives_the_same_scene() -> None:
    one, again, other = draw_scene(7), draw_scene(7), draw_scene(8)
    assert one.picture.tobytes() == again.picture.tobytes()
    assert (one.caption, one.objects, one.metadata) == (
        again.caption,
        again.objects,
        again.metadata,
    )
    assert one.picture.tobytes() != other.picture.tobytes()


@settings(max_examples=40, deadline=None)
@given(SEEDS, SIZES)
def test_boxes_are_tight_around_the_shapes_pixels(seed: int, size: int) -> None:
    scene = draw_scene(seed, size)
    for thing in scene.objects:
        left, top, right, bottom = thing.xyxy
        rows, columns = np.nonzero(painted(scene, thing))
        near = (rows > top - 2) & (rows < bottom + 1) & (columns > left - 2) & (columns < right + 1)
        # Pixels on an edge or a tip are blended with the background, hence the room inside.
        room = 2 + (right - left) * 0.05
        assert left - 1 <= columns[near].min() <= left + room
        assert top - 1 <= rows[near].min() <= top + room
        assert right - room - 1 <= columns[near].max() <= right
        assert bottom - room - 1 <= rows[near].max() <= bottom


@settings(max_examples=40, deadline=None)
@given(SEEDS)
def test_nothing_else_in_the_picture_has_a_shapes_colour(seed: int) -> None:
    scene = draw_scene(seed)
    for color in COLORS:
        things = [thing for thing in scene.objects if thing.color == color]
        rest = painted(scene, SceneObject("", color, (0, 0, 0, 0)))
        for left, top, right, bottom in (thing.xyxy for thing in things):
            rest[int(top) : int(bottom) + 1, int(left) : int(right) + 1] = False
        assert not rest.any()


@settings(max_examples=60, deadline=None)
@given(SEEDS, SIZES)
def test_shapes_are_inside_the_picture_and_apart(seed: int, size: int) -> None:
    scene = draw_scene(seed, size)
    width, height = scene.picture.size
    assert min(width, height) == size
    boxes = [thing.xyxy for thing in scene.objects]
    for i, (left, top, right, bottom) in enumerate(boxes):
        assert 0 <= left <= right <= width
        assert 0 <= top <= bottom <= height
        for other in boxes[:i]:
            apart = left >= other[2] or right <= other[0] or top >= other[3] or bottom <= other[1]
            assert apart


@settings(max_examples=60, deadline=None)
@given(SEEDS)
def test_caption_and_metadata_tell_what_is_there(seed: int) -> None:
    scene = draw_scene(seed)
    items = [Item(thing.color, thing.class_name) for thing in scene.objects]
    assert scene.caption == describe(reversed(items))
    assert all(f"{item.color} {item.kind}" in scene.caption for item in items)
    assert len(set(items)) == len(items)
    assert scene.metadata["count"] == len(items)
    assert scene.metadata["colors"] == sorted({item.color for item in items})
    assert scene.metadata["background"] in BACKGROUNDS
    assert 2 <= scene.metadata["price"] <= 60


@pytest.mark.parametrize(
    ("items", "caption"),
    [
        ([Item("orange", "star")], "an orange star"),
        ([Item("red", "ring"), Item("blue", "moon")], "a blue moon and a red ring"),
        (
            [Item("red", "ring"), Item("red", "cross"), Item("blue", "moon")],
            "a blue moon, a red cross and a red ring",
        ),
    ],
)
def test_describe(items: list[Item], caption: str) -> None:
    assert describe(items) == caption


def test_usual_pairs_are_different_pairs_of_different_shapes() -> None:
    assert all(one != other for one, other in USUAL_PAIRS)
    assert len({frozenset(pair) for pair in USUAL_PAIRS}) == len(USUAL_PAIRS)


def test_every_kind_colour_and_background_is_drawn() -> None:
    scenes = [draw_scene(seed, 96) for seed in range(200)]
    assert {thing.class_name for scene in scenes for thing in scene.objects} == set(KINDS)
    assert {thing.color for scene in scenes for thing in scene.objects} == set(COLORS)
    assert {scene.metadata["background"] for scene in scenes} == set(BACKGROUNDS)
