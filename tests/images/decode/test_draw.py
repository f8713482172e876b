from io import BytesIO

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from PIL import Image, ImageChops

from images.decode.draw import PALETTE, draw_boxes, encode_jpeg
from images.errors import ImageLimitError
from images.schemas import LabelledBox

GREY = (90, 90, 90)


def box(
    left: float,
    top: float,
    right: float,
    bottom: float,
    *,
    name: str = "dog",
    class_id: int = 0,
    confidence: float = 0.87,
) -> LabelledBox:
    return LabelledBox((left, top, right, bottom), confidence, class_id, name)


def plain(width: int, height: int) -> Image.Image:
    return Image.new("RGB", (width, height), GREY)


def coloured(picture: Image.Image, class_id: int) -> np.ndarray:
    """Where a picture has exactly the colour of a class: bool [height, width]."""
    mask: np.ndarray = (np.asarray(picture) == PALETTE[class_id]).all(axis=2)
    return mask


def test_the_picture_itself_is_left_alone() -> None:
    picture = plain(100, 80)
    drawn = draw_boxes(picture, [box(10, 20, 60, 70)])
    assert drawn.size == picture.size
    assert picture.tobytes() == plain(100, 80).tobytes()


def test_no_boxes_change_nothing() -> None:
    assert draw_boxes(plain(50, 50), []).tobytes() == plain(50, 50).tobytes()


@pytest.mark.parametrize(("width", "height"), [(64, 48), (640, 480), (3000, 2000), (2000, 3000)])
def test_the_frame_runs_along_the_box_and_inside_of_it(width: int, height: int) -> None:
    left, top, right, bottom = width // 4, height // 2, width * 3 // 4, height * 15 // 16
    mask = coloured(draw_boxes(plain(width, height), [box(left, top, right, bottom)]), 0)
    assert mask[top, left:right].all()
    assert mask[bottom - 1, left:right].all()
    assert mask[top:bottom, left].all()
    assert mask[top:bottom, right - 1].all()
    assert not mask[bottom:].any()
    assert not mask[top:, right:].any()
    assert not mask[(top + bottom) // 2, (left + right) // 2]


def test_lines_and_labels_grow_with_the_picture() -> None:
    shares = []
    for side in (320, 640, 2560):
        mask = coloured(
            draw_boxes(plain(side, side), [box(side / 4, side / 4, side / 2, side / 2)]), 0
        )
        shares.append(mask.mean())
    assert max(shares) < 2 * min(shares)


def test_each_class_has_its_colour() -> None:
    boxes = [box(10 + 90 * i, 60, 80 + 90 * i, 120, class_id=i) for i in range(len(PALETTE))]
    drawn = draw_boxes(plain(1100, 200), boxes)
    assert all(coloured(drawn, class_id).any() for class_id in range(len(PALETTE)))
    assert len(set(PALETTE)) == len(PALETTE)


def test_more_classes_than_colours_start_over() -> None:
    one = draw_boxes(plain(100, 100), [box(20, 40, 80, 90, class_id=1)])
    other = draw_boxes(plain(100, 100), [box(20, 40, 80, 90, class_id=1 + len(PALETTE))])
    assert one.tobytes() == other.tobytes()


@pytest.mark.parametrize("colour", PALETTE)
def test_labels_can_be_read(colour: tuple[int, int, int]) -> None:
    """At least 3:1 between letters and their ground, WCAG's least for large text."""
    class_id = PALETTE.index(colour)
    drawn = draw_boxes(plain(640, 640), [box(100, 100, 500, 500, class_id=class_id)])
    extremes = {(0, 0, 0), (255, 255, 255)} & {
        pixel for _, pixel in drawn.getcolors(2**20) or [] if isinstance(pixel, tuple)
    }
    (letters,) = extremes
    light, dark = sorted((luminance(colour), luminance(letters)), reverse=True)
    assert (light + 0.05) / (dark + 0.05) >= 3


def luminance(colour: tuple[int, ...]) -> float:
    linear = [
        value / 12.92 if value <= 0.04045 else ((value + 0.055) / 1.055) ** 2.4
        for value in (channel / 255 for channel in colour)
    ]
    return 0.2126 * linear[0] + 0.7152 * linear[1] + 0.0722 * linear[2]


def test_the_name_and_the_confidence_are_drawn() -> None:
    def label(name: str, confidence: float) -> bytes:
        found = box(10, 60, 190, 190, name=name, confidence=confidence)
        return draw_boxes(plain(200, 200), [found]).tobytes()

    assert len({label("dog", 0.87), label("cat", 0.87), label("dog", 0.88)}) == 3
    assert label("dog", 0.87) == label(" dog\n", 0.8701)


def test_labels_keep_off_each_other() -> None:
    """Two boxes at one place: were the labels too, only one class's colour would fill one."""
    boxes = [
        box(100, 100, 300, 300, class_id=0, confidence=0.9),
        box(100, 100, 300, 300, class_id=1, confidence=0.8),
    ]
    both = draw_boxes(plain(400, 400), boxes)
    first = draw_boxes(plain(400, 400), boxes[:1])
    second = draw_boxes(plain(400, 400), boxes[1:])
    filled = coloured(first, 0)[:100].sum()
    assert coloured(both, 0)[:100].sum() == filled
    assert coloured(both, 1).sum() > 0.8 * coloured(second, 1)[:100].sum()


@pytest.mark.parametrize(
    "corners",
    [(0, 0, 5, 5), (595, 0, 600, 5), (0, 395, 5, 400), (595, 395, 600, 400), (0, 0, 600, 400)],
)
def test_labels_stay_inside_the_picture(corners: tuple[int, int, int, int]) -> None:
    """The same label, wherever the box is, has the same letters, none of them cut off."""
    reference = draw_boxes(plain(600, 400), [box(300, 200, 305, 205, class_id=1)])
    drawn = draw_boxes(plain(600, 400), [box(*corners, class_id=1)])
    assert white(drawn) == white(reference) > 0


def white(picture: Image.Image) -> int:
    return int((np.asarray(picture) == 255).all(axis=2).sum())


@settings(deadline=None, max_examples=60)
@given(
    size=st.tuples(st.integers(1, 300), st.integers(1, 300)),
    corners=st.lists(st.tuples(*[st.floats(-1e6, 1e6)] * 4), min_size=1, max_size=5),
    name=st.text(max_size=60),
)
def test_any_box_can_be_drawn(
    size: tuple[int, int], corners: list[tuple[float, float, float, float]], name: str
) -> None:
    boxes = [box(*place, name=name, class_id=number) for number, place in enumerate(corners)]
    drawn = draw_boxes(plain(*size), boxes)
    assert ImageChops.difference(drawn, plain(*size)).getbbox() is not None


def test_a_jpeg_shows_what_was_drawn() -> None:
    drawn = draw_boxes(plain(320, 240), [box(50, 60, 200, 200)])
    data = encode_jpeg(drawn)
    read = Image.open(BytesIO(data))
    assert (read.format, read.mode, read.size) == ("JPEG", "RGB", (320, 240))
    difference = np.asarray(read).astype(int) - np.asarray(drawn)
    assert np.abs(difference).mean() < 2
    assert len(encode_jpeg(drawn, quality=40)) < len(data)


def test_a_picture_that_no_jpeg_can_hold_is_refused() -> None:
    with pytest.raises(ImageLimitError):
        encode_jpeg(plain(65501, 1))
