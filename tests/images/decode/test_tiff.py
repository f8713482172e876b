"""TIFF: its first page, judged by its directory before anybody follows that."""

import struct

import numpy as np
import pytest
from PIL import Image

from images.errors import BrokenImageError, ImageLimitError, NotAnImageError
from images.settings import DecodeSettings
from tests.images.decode.decoding import LIMITS, decode, outcome
from tests.images.samples import LONG, SHORT, TIFF_COMPRESSIONS, encoded, picture, tiff


def test_the_plain_one_is_a_picture() -> None:
    assert decode(tiff(), LIMITS).size == (8, 8)


@pytest.mark.parametrize("compression", [None, *TIFF_COMPRESSIONS])
def test_what_encoders_write_is_read(compression: str | None) -> None:
    mode = "1" if compression in {"tiff_ccitt", "group3", "group4"} else "RGB"
    image = picture(mode)
    decoded = np.asarray(decode(encoded(image, "TIFF", compression=compression), LIMITS))
    most = 40 if compression == "jpeg" else 0
    assert abs(decoded.astype(int) - np.asarray(image.convert("RGB"))).max() <= most


@pytest.mark.parametrize("compression", [6, 32809, 34676, 34677, 34887, 34925, 50000, 50001, 9999])
def test_other_compressions_are_refused(compression: int) -> None:
    data = tiff((259, SHORT, [compression]))
    with pytest.raises(NotAnImageError, match="LZW, JPEG, Deflate, PackBits are"):
        decode(data, LIMITS)


def test_it_is_the_first_page() -> None:
    pages = [Image.new("RGB", (32, 24), colour) for colour in ("red", "lime", "blue")]
    data = encoded(pages[0], "TIFF", save_all=True, append_images=pages[1:])
    assert decode(data, LIMITS).getcolors() == [(32 * 24, (255, 0, 0))]


def test_a_chain_of_directories_is_not_followed() -> None:
    """Pillow would go through all of them to tell whether it is animated."""
    data = tiff()
    endless = bytearray(data)
    endless[-4:] = struct.pack("<I", 72)  # the same directory again
    assert decode(bytes(endless), LIMITS).size == (8, 8)


@pytest.mark.parametrize(
    ("data", "says"),
    [
        (tiff((256, LONG, [60_000]), (257, LONG, [60_000])), "60000 x 60000"),
        (tiff((256, LONG, [2**32 - 1]), (257, LONG, [2**32 - 1])), "4294967295 x 4294967295"),
        (tiff((256, SHORT, [2000])), "2000 x 8"),
        (tiff((322, LONG, [65536]), (323, LONG, [65536])), "larger tiles"),
        (tiff(pixels=bytes(64), count=1001)[:-4] + bytes(12_000), "more parts"),
        (tiff((273, LONG, [8] * 200_000), (279, LONG, [64] * 200_000)), "more parts"),
    ],
)
def test_what_would_take_too_much_is_refused_by_its_directory(data: bytes, says: str) -> None:
    result = outcome(data)
    assert isinstance(result, ImageLimitError)
    assert says in str(result)


def test_the_pixel_limit_is_exact() -> None:
    data = encoded(picture(size=(40, 25)), "TIFF", compression="tiff_lzw")
    assert decode(data, DecodeSettings(max_image_pixels=1000).limits).size == (40, 25)
    with pytest.raises(ImageLimitError, match="40 x 25"):
        decode(data, DecodeSettings(max_image_pixels=999).limits)


@pytest.mark.parametrize(
    "data",
    [
        b"II*\0",
        b"II*\0\xff\xff\xff\xff",
        b"MM\0*\0\0\0\x08\xff\xff",
        b"II+\0\x08\0\0\0" + b"\xff" * 8,
        tiff((273, LONG, [2**31])),
        tiff((273, LONG, [8] * 1000), (279, LONG, [9000] * 1000)),  # the same bytes over and over
        tiff((279, LONG, [2**32 - 1])),
        tiff((258, SHORT, [7])),
        tiff((262, SHORT, [99])),
        tiff((277, SHORT, [99])),
        tiff((259, SHORT, [5])),
        b"MM\0*\0\0\0\x08\0\x02",
        tiff()[:-30],
    ],
)
def test_a_damaged_one_is_refused(data: bytes) -> None:
    assert isinstance(outcome(data), BrokenImageError)


RGBA = ((258, SHORT, [8] * 4), (277, SHORT, [4]), (262, SHORT, [2]))


@pytest.mark.parametrize(
    ("samples", "pixel", "expected"),
    [
        (0, (10, 20, 30, 0), (10, 20, 30)),  # nobody knows what the fourth one is
        (1, (10, 20, 30, 128), (137, 147, 157)),  # alpha, in the colours already
        (2, (10, 20, 30, 128), (132, 137, 142)),
        (2, (10, 20, 30, 0), (255, 255, 255)),
    ],
)
def test_the_fourth_sample_may_be_alpha(
    samples: int, pixel: tuple[int, ...], expected: tuple[int, ...]
) -> None:
    data = tiff(*RGBA, (338, SHORT, [samples]), pixels=bytes(pixel) * 64)
    assert np.asarray(decode(data, LIMITS))[3, 3] == pytest.approx(expected, abs=1)
