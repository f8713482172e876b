import hashlib
import struct
from io import BytesIO
from typing import Any

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from PIL import Image

from images.decode.prepare import pixel_digest
from images.settings import DecodeSettings
from tests.images.decode.decoding import decode

LIMITS = DecodeSettings().limits
ORIENTATION = 0x0112


def drawn(width: int = 60, height: int = 41, seed: int = 0) -> Image.Image:
    noise = np.random.default_rng(seed).integers(0, 256, (height, width, 3), np.uint8)
    return Image.fromarray(noise)


def digest_of_file(picture: Image.Image, file_format: str, **options: Any) -> str:
    file = BytesIO()
    picture.save(file, file_format, **options)
    return pixel_digest(decode(file.getvalue(), LIMITS))


def by_definition(picture: Image.Image) -> str:
    head = struct.pack(">II", *picture.size)
    return hashlib.sha256(head + np.asarray(picture).tobytes()).hexdigest()


def test_lossless_files_of_one_picture_have_one_digest() -> None:
    picture = drawn()
    turned = picture.transpose(Image.Transpose.ROTATE_90)
    exif = Image.Exif()
    exif[ORIENTATION] = 6
    opaque = picture.copy()
    opaque.putalpha(255)
    digests = {
        digest_of_file(picture, "PNG"),
        digest_of_file(picture, "PNG", compress_level=0, dpi=(72, 72)),
        digest_of_file(picture, "BMP"),
        digest_of_file(picture, "WEBP", lossless=True),
        digest_of_file(opaque, "PNG"),
        digest_of_file(turned, "PNG", exif=exif),
    }
    assert digests == {pixel_digest(picture)}


def test_a_grey_picture_is_the_same_in_colour() -> None:
    grey = drawn().convert("L")
    assert digest_of_file(grey, "PNG") == digest_of_file(grey.convert("RGB"), "BMP")


def test_one_changed_value_is_another_picture() -> None:
    pixels = np.array(drawn())
    before = pixel_digest(Image.fromarray(pixels))
    pixels[-1, -1, 2] ^= 1
    assert pixel_digest(Image.fromarray(pixels)) != before


@pytest.mark.parametrize("size", [(6, 4), (4, 6), (24, 1), (1, 24)])
def test_the_same_bytes_in_another_shape_are_another_picture(size: tuple[int, int]) -> None:
    black = pixel_digest(Image.new("RGB", size))
    others = {(6, 4), (4, 6), (24, 1), (1, 24), (12, 2)} - {size}
    assert black not in {pixel_digest(Image.new("RGB", other)) for other in others}


@settings(max_examples=30, deadline=None)
@given(st.integers(1, 50), st.integers(1, 50), st.integers(0, 9))
def test_it_is_the_hash_of_size_and_pixels(width: int, height: int, seed: int) -> None:
    picture = drawn(width, height, seed)
    assert pixel_digest(picture) == by_definition(picture)


@pytest.mark.parametrize("size", [(1000, 1200), (400_000, 2), (2, 400_000)])
def test_it_does_not_depend_on_the_strips(size: tuple[int, int]) -> None:
    picture = drawn(*size)
    assert pixel_digest(picture) == by_definition(picture)
