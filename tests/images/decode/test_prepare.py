"""What open_clip and ultralytics do themselves, the latter to the byte.

For the embedder the order of the two passes is another one, and so is where values are rounded, and
cut at 0 and 255. What that does to embeddings is in `test_embedding`.
"""

import cv2
import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from open_clip.transform import PreprocessCfg, image_transform_v2
from PIL import Image
from ultralytics.data.augment import LetterBox
from ultralytics.utils.ops import scale_boxes

from images.decode import prepare as scale
from images.decode.prepare import clip_pixels, letterbox

torch.set_num_threads(1)

SIZES = [
    (224, 224),
    (640, 480),
    (480, 640),
    (225, 224),
    (227, 224),
    (1, 1),
    (1, 50),
    (50, 1),
    (33, 1000),
    (1000, 31),
    (17, 19),
    (1281, 719),
    (223, 225),
    (997, 100),
]
sizes = st.tuples(st.integers(1, 700), st.integers(1, 700)).filter(
    lambda size: max(size) <= 50 * min(size)
)


def noise(size: tuple[int, int]) -> Image.Image:
    pixels = np.random.default_rng(sum(size)).integers(0, 256, (size[1], size[0], 3), np.uint8)
    return Image.fromarray(pixels)


def reference_clip(
    picture: Image.Image, size: int, interpolation: str, resize_mode: str, fill_color: int
) -> np.ndarray:
    """open_clip's own transform, up to where it makes a tensor of the picture."""
    config = PreprocessCfg(
        size=size, interpolation=interpolation, resize_mode=resize_mode, fill_color=fill_color
    )
    for step in image_transform_v2(config, is_train=False).transforms[:-2]:
        picture = step(picture)
    return np.asarray(picture)


def check_near(pixels: np.ndarray, expected: np.ndarray, interpolation: str) -> None:
    """On noise, the worst there is: only bicubic overshoots, and so only there values are cut.

    Rows and columns are scaled one after the other, and either rounds by itself: 2 in all.
    """
    difference = np.abs(pixels.astype(int) - expected)
    assert difference.max() <= (2 if interpolation == "bilinear" else 32)
    assert difference.mean() < 1


@pytest.mark.parametrize("interpolation", ["bicubic", "bilinear", "random"])
@pytest.mark.parametrize("resize_mode", ["shortest", "longest", "squash"])
def test_clip_pixels_are_those_of_open_clip(resize_mode: str, interpolation: str) -> None:
    for size in SIZES:
        picture = noise(size)
        pixels = clip_pixels(picture, 224, interpolation, resize_mode, 127)
        assert pixels.shape == (224, 224, 3)
        assert pixels.dtype == np.uint8
        expected = reference_clip(picture, 224, interpolation, resize_mode, 127)
        check_near(pixels, expected, interpolation)


@settings(deadline=None, max_examples=40)
@given(
    source=sizes,
    size=st.sampled_from([32, 64, 65, 224]),
    interpolation=st.sampled_from(["bicubic", "bilinear"]),
    resize_mode=st.sampled_from(["shortest", "longest", "squash"]),
    fill_color=st.sampled_from([0, 255]),
)
def test_clip_pixels_are_those_of_open_clip_for_any_size(
    source: tuple[int, int], size: int, interpolation: str, resize_mode: str, fill_color: int
) -> None:
    picture = noise(source)
    expected = reference_clip(picture, size, interpolation, resize_mode, fill_color)
    pixels = clip_pixels(picture, size, interpolation, resize_mode, fill_color)
    check_near(pixels, expected, interpolation)


@pytest.mark.parametrize("resize_mode", ["shortest", "longest", "squash"])
def test_they_are_so_without_vector_instructions(
    resize_mode: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(scale, "fast", None)
    for size in SIZES:
        for interpolation in ("bicubic", "bilinear"):
            pixels = clip_pixels(noise(size), 224, interpolation, resize_mode, 127)
            expected = reference_clip(noise(size), 224, interpolation, resize_mode, 127)
            check_near(pixels, expected, interpolation)


def test_a_picture_of_the_right_size_is_left_as_it_is() -> None:
    for size in [(224, 224), (224, 300), (301, 224)]:
        expected = reference_clip(noise(size), 224, "bicubic", "shortest", 0)
        assert np.array_equal(clip_pixels(noise(size), 224, "bicubic", "shortest", 0), expected)


def test_what_is_around_the_middle_counts_as_far_as_the_filter_sees() -> None:
    """At the cut edges there is no border: what lies behind them shows, as with open_clip."""
    pixels = np.zeros((448, 896, 3), np.uint8)
    pixels[:, :224] = 255
    cut = clip_pixels(Image.fromarray(pixels), 224, "bilinear", "shortest", 0)
    assert (cut[:, 0] > 16).all()
    assert not cut[:, 1:].any()


def test_the_reference_stops_before_the_tensor() -> None:
    steps = image_transform_v2(PreprocessCfg(), is_train=False).transforms
    assert [type(step).__name__ for step in steps[-2:]] == ["MaybeToTensor", "Normalize"]


@pytest.mark.parametrize(("interpolation", "mode"), [("nearest", "shortest"), ("bicubic", "fit")])
def test_an_unknown_mode_is_an_error(interpolation: str, mode: str) -> None:
    with pytest.raises(ValueError, match="unknown"):
        clip_pixels(noise((10, 10)), 8, interpolation, mode, 0)


def test_a_strip_thinner_than_a_pixel_keeps_one() -> None:
    """open_clip's own transform fails here; a deployment may allow such strips."""
    assert clip_pixels(noise((1, 1000)), 224, "bicubic", "longest", 0).shape == (224, 224, 3)


def reference_letterbox(picture: Image.Image, size: int, stride: int) -> np.ndarray:
    """What ultralytics' predictor makes of a PIL picture: BGR, letterboxed, and flipped back."""
    bgr = np.ascontiguousarray(np.asarray(picture)[:, :, ::-1])
    boxed: np.ndarray = LetterBox(size, auto=True, stride=stride)(image=bgr)
    return boxed[:, :, ::-1]


def check_letterbox(source: tuple[int, int], size: int, stride: int) -> None:
    picture = noise(source)
    boxed = letterbox(np.asarray(picture), size, stride)
    assert np.array_equal(boxed.pixels, reference_letterbox(picture, size, stride))
    assert boxed.pixels.flags.c_contiguous
    assert boxed.pixels.dtype == np.uint8
    assert boxed.original_size == source
    height, width = boxed.pixels.shape[:2]
    corners = np.random.default_rng(1).uniform(-9, [width + 9, height + 9], (50, 2, 2))
    xyxy = corners.reshape(50, 4).astype(np.float32)
    before = xyxy.copy()
    original = boxed.to_original(xyxy)
    expected = scale_boxes((height, width), torch.from_numpy(xyxy.copy()), source[::-1])
    assert original.dtype == np.float32
    assert np.array_equal(original, expected.numpy())
    assert np.array_equal(xyxy, before)


@pytest.mark.parametrize("source", [*SIZES, (640, 640), (4000, 3000), (1920, 1080)])
def test_letterboxing_is_that_of_ultralytics(source: tuple[int, int]) -> None:
    check_letterbox(source, 640, 32)


@settings(deadline=None, max_examples=60)
@given(source=sizes, size=st.sampled_from([64, 320, 640]), stride=st.sampled_from([8, 32, 64]))
def test_letterboxing_is_that_of_ultralytics_for_any_size(
    source: tuple[int, int], size: int, stride: int
) -> None:
    check_letterbox(source, size, stride)


def test_both_sides_are_multiples_of_the_stride() -> None:
    for source in SIZES:
        height, width = letterbox(np.asarray(noise(source)), 640, 32).pixels.shape[:2]
        assert max(height, width) == 640
        assert height % 32 == width % 32 == 0


def test_a_box_in_the_picture_is_found_again() -> None:
    pixels = np.zeros((300, 500, 3), np.uint8)
    pixels[60:120, 100:400] = 255
    boxed = letterbox(pixels, 640, 32)
    left, top, width, height = cv2.boundingRect((boxed.pixels[:, :, 0] > 200).astype(np.uint8))
    found = np.array([[left, top, left + width, top + height]], np.float32)
    assert np.abs(boxed.to_original(found) - [100, 60, 400, 120]).max() < 1.5


def test_no_boxes_stay_no_boxes() -> None:
    boxes = letterbox(np.asarray(noise((50, 60))), 64, 32).to_original(np.empty((0, 4), np.float32))
    assert boxes.shape == (0, 4)
