"""Transparency: what is invisible in a file is nowhere visible, and what is visible stays so."""

import struct
import zlib
from collections.abc import Callable
from typing import Any

import numpy as np
import pytest
from numpy.typing import NDArray
from PIL import Image, ImageDraw

from images.decode.flatten import to_rgb
from images.decode.prepare import clip_pixels, letterbox, pixel_digest, thumbnail
from tests.images import heif
from tests.images.decode.decoding import LIMITS, decode
from tests.images.samples import chunk, encoded, picture

SIDE = 96
SHAPES: dict[str, Callable[[ImageDraw.ImageDraw, int], None]] = {
    "circle": lambda draw, ink: draw.ellipse((16, 16, 80, 80), ink),
    "square": lambda draw, ink: draw.rectangle((16, 16, 80, 80), ink),
    "triangle": lambda draw, ink: draw.polygon([(48, 16), (80, 80), (16, 80)], ink),
}
ENCODINGS: dict[str, tuple[str, str, dict[str, Any]]] = {
    "PNG RGBA": ("RGBA", "PNG", {}),
    "PNG LA": ("LA", "PNG", {}),
    "PNG palette": ("P", "PNG", {}),
    "GIF": ("RGBA", "GIF", {}),
    "WebP": ("RGBA", "WEBP", {"lossless": True}),
    "AVIF": ("RGBA", "AVIF", {"quality": 90}),
    "TIFF": ("RGBA", "TIFF", {}),
    "TIFF LZW": ("RGBA", "TIFF", {"compression": "tiff_lzw"}),
}


def icon(shape: str, value: int, hidden: int | None = None) -> Image.Image:
    """A shape on nothing; where nothing is to be seen the file may have any colour, or its own."""
    alpha = Image.new("L", (SIDE, SIDE))
    SHAPES[shape](ImageDraw.Draw(alpha), 255)
    ground = Image.new("RGB", (SIDE, SIDE), (value if hidden is None else hidden,) * 3)
    ground.paste((value,) * 3, (0, 0), alpha)
    ground.putalpha(alpha)
    return ground


def seen(image: Image.Image, kind: str) -> Image.Image:
    mode, file_format, options = ENCODINGS[kind]
    return decode(encoded(image.convert(mode), file_format, **options), LIMITS)


@pytest.mark.parametrize("kind", ENCODINGS)
@pytest.mark.parametrize(("value", "ground"), [(0, 255), (255, 0), (128, 255)])
def test_icons_of_one_colour_are_told_apart(kind: str, value: int, ground: int) -> None:
    pictures = [seen(icon(shape, value), kind) for shape in SHAPES]
    for image in pictures:
        pixels = np.asarray(image).astype(int)
        assert abs(pixels[0, 0] - ground).max() <= 2
        assert abs(pixels[60, 48] - value).max() <= 2
    assert len({pixel_digest(image) for image in pictures}) == 3
    assert len({thumbnail(image, 32) for image in pictures}) == 3
    assert (
        len({clip_pixels(image, 32, "bicubic", "shortest", 0).tobytes() for image in pictures}) == 3
    )
    assert len({letterbox(np.asarray(image), 32, 32).pixels.tobytes() for image in pictures}) == 3


@pytest.mark.parametrize("hidden", [0, 77, 255])
def test_what_is_invisible_is_nowhere_visible(hidden: int) -> None:
    plain, erased = icon("circle", 90), icon("circle", 90, hidden)
    assert pixel_digest(seen(plain, "PNG RGBA")) == pixel_digest(seen(erased, "PNG RGBA"))


def shown(rgba: NDArray[Any]) -> NDArray[np.uint8]:
    return np.asarray(to_rgb(Image.fromarray(rgba.astype(np.uint8))))


def test_half_of_a_colour_is_half_of_it_and_half_white() -> None:
    rgba = np.zeros((1, 256, 4), np.uint8)
    rgba[0, :, 3] = np.arange(256)
    assert abs(shown(rgba)[0, :, 0].astype(int) - (255 - np.arange(256))).max() <= 1


@pytest.mark.parametrize(
    ("value", "coloured", "black"),
    [
        (255, 0, True),
        (240, 0, True),
        (239, 0, False),
        (255, 4, True),
        (255, 6, False),
    ],
)
def test_white_means_nearly_all_of_what_shows(value: int, coloured: int, black: bool) -> None:
    rgba = np.full((10, 20, 4), value, np.uint8)
    rgba[:, 10:] = 0  # invisible
    rgba[:, 10:, :3] = 17
    rgba.reshape(-1, 4)[np.flatnonzero(rgba[..., 3])[:coloured], 0] = 0
    rgba[..., 3][rgba[..., 3] > 0] = 255
    assert shown(rgba)[0, 15, 0] == (0 if black else 255)


def test_a_soft_edge_counts_in_part() -> None:
    """A black shadow of a tenth of the opacity, a fifth of the area, is 2 % of what shows."""
    rgba = np.zeros((10, 10, 4), np.uint8)
    rgba[:8] = 255
    rgba[8:, :, 3] = 25
    assert (shown(rgba)[9, 9] == 0).all()
    rgba[8:, :, 3] = 128
    assert (shown(rgba)[9, 9] == 127).all()


def test_where_nothing_shows_it_is_white() -> None:
    assert (shown(np.zeros((4, 4, 4))) == 255).all()
    white = np.full((4, 4, 4), 255)
    white[..., 3] = 0
    assert (shown(white) == 255).all()


def raw_png(depth: int, colour: int, row: bytes, transparency: bytes, width: int = 2) -> bytes:
    header = struct.pack(">IIBBBBB", width, 1, depth, colour, 0, 0, 0)
    parts = [
        ("IHDR", header),
        ("tRNS", transparency),
        ("IDAT", zlib.compress(b"\0" + row)),
        ("IEND", b""),
    ]
    return b"\x89PNG\r\n\x1a\n" + b"".join(chunk(name.encode(), data) for name, data in parts)


@pytest.mark.parametrize(
    ("data", "left", "right"),
    [
        (raw_png(1, 0, b"\x40", b"\0\1"), 0, 255),  # its white is nothing, and black shows
        (
            raw_png(1, 0, b"\x40", b"\0\0"),
            0,
            255,
        ),  # its black is nothing, and white shows: on black
        (raw_png(2, 0, b"\x60", b"\0\2"), 85, 255),
        (raw_png(4, 0, b"\x37", b"\0\7"), 51, 255),
        (raw_png(8, 0, b"\x30\x70", b"\0\x70"), 48, 255),
        (raw_png(8, 0, b"\x30\x70", b"\xff\x70"), 48, 255),
        (raw_png(16, 0, b"\x30\x30\x70\1", b"\x70\1"), 48, 255),
        (raw_png(16, 0, b"\x30\x30\x70\1", b"\x70\2"), 48, 112),
        (raw_png(8, 2, b"\x30\x30\x30\x70\x70\x70", b"\0\x70" * 3), 48, 255),
        (raw_png(16, 2, b"\x30" * 6 + b"\x70" * 6, b"\x70" * 6), 48, 255),
    ],
)
def test_one_colour_of_a_png_may_be_transparent(data: bytes, left: int, right: int) -> None:
    assert np.asarray(decode(data, LIMITS))[0, :, 0].tolist() == [left, right]


def test_a_png_of_16_bits_keeps_its_alpha() -> None:
    row = struct.pack(">4H", 0, 0, 0, 0xFFFF) + struct.pack(">4H", 0, 0, 0, 0x0000)
    header = struct.pack(">IIBBBBB", 2, 1, 16, 6, 0, 0, 0)
    parts = [(b"IHDR", header), (b"IDAT", zlib.compress(b"\0" + row)), (b"IEND", b"")]
    data = b"\x89PNG\r\n\x1a\n" + b"".join(chunk(*part) for part in parts)
    assert np.asarray(decode(data, LIMITS))[0, :, 0].tolist() == [0, 255]


def test_palettes_may_have_any_alpha() -> None:
    image = Image.new("P", (2, 1), 0)
    image.putpalette([9, 9, 9, 200, 0, 0])
    image.putpixel((1, 0), 1)
    data = encoded(image, "PNG", transparency=bytes([255, 0]))
    assert np.asarray(decode(data, LIMITS))[0].tolist() == [[9, 9, 9], [255, 255, 255]]


def test_a_frame_that_does_not_cover_its_screen_leaves_the_rest_transparent() -> None:
    data = bytearray(encoded(Image.new("P", (10, 10), 0), "GIF"))
    data[6:10] = struct.pack("<HH", 20, 30)
    pixels = np.asarray(decode(bytes(data), LIMITS))
    assert pixels.shape == (30, 20, 3)
    assert not pixels[:10, :10].any()
    assert (pixels[10:] == 255).all()
    assert (pixels[:, 10:] == 255).all()


@pytest.mark.parametrize("file_format", ["GIF", "WEBP", "PNG", "AVIF"])
def test_first_frames_have_transparency(file_format: str) -> None:
    frames = [icon(shape, 40) for shape in SHAPES]
    data = encoded(frames[0], file_format, save_all=True, append_images=frames[1:], duration=50)
    pixels = np.asarray(decode(data, LIMITS)).astype(int)
    assert pixels[2, 2].min() >= 250
    assert abs(pixels[48, 48] - 40).max() <= 4


def test_a_heic_with_alpha_is_laid_on_white() -> None:
    expected = np.asarray(to_rgb(picture("RGBA", (64, 48)))).astype(int)
    assert abs(np.asarray(decode(heif.stored("alpha"), LIMITS)) - expected).max() <= 8


def test_a_bmp_whose_alpha_is_zero_throughout_is_opaque() -> None:
    image = picture("RGBA")
    image.putalpha(0)
    assert decode(encoded(image, "BMP"), LIMITS).tobytes() == picture().tobytes()


def test_opaque_pictures_stay_as_they_are() -> None:
    image = picture().convert("RGBA")
    assert to_rgb(image).tobytes() == picture().tobytes()
