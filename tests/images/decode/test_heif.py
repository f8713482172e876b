"""HEIC and HEIF: turned once, judged by the header, and never more than it says."""

import numpy as np
import pytest
from PIL import Image

from images.decode.structure import file_format, media_type
from images.errors import BrokenImageError, ImageLimitError
from images.settings import DecodeSettings
from tests.images.decode.decoding import LIMITS, decode, outcome
from tests.images.heif import heif, stored
from tests.images.samples import encoded, picture


@pytest.mark.parametrize(("kind", "most"), [("colour", 4), ("deep", 6)])
def test_a_photograph_is_as_it_was_drawn(kind: str, most: int) -> None:
    difference = np.asarray(decode(stored(kind), LIMITS)).astype(int) - picture(size=(64, 48))
    assert abs(difference).max() <= most


def test_grey_becomes_rgb() -> None:
    expected = np.asarray(picture("L", (64, 48)).convert("RGB")).astype(int)
    assert abs(np.asarray(decode(stored("grey"), LIMITS)) - expected).max() <= 4


def turned(**how: int | bytes) -> Image.Image:
    return decode(heif(2, 1, **how), LIMITS)  # type: ignore[arg-type]  # one of its arguments


@pytest.mark.parametrize("quarters", range(4))
def test_it_is_turned_by_its_own_property(quarters: int) -> None:
    expected = np.rot90(np.asarray(turned()), quarters)
    assert np.array_equal(np.asarray(turned(turn=quarters)), expected)


@pytest.mark.parametrize("axis", [0, 1])
def test_it_is_mirrored_by_its_own_property(axis: int) -> None:
    assert np.array_equal(np.asarray(turned(mirror=axis)), np.flip(np.asarray(turned()), axis))


@pytest.mark.parametrize("orientation", range(1, 9))
def test_exif_does_not_turn_it_again(orientation: int) -> None:
    exif = Image.Exif()
    exif[0x0112] = orientation
    assert turned(exif=exif.tobytes()).tobytes() == turned().tobytes()
    assert turned(exif=exif.tobytes(), turn=3).tobytes() == turned(turn=3).tobytes()


def test_the_limits_are_those_of_its_header() -> None:
    huge = heif(2, 2, size=(60_000, 60_000))
    assert "60000 x 60000 pixels" in str(outcome(huge))
    assert isinstance(outcome(heif(2, 2, size=(20_000, 100))), ImageLimitError)
    data = heif(3, 2)
    assert decode(data, DecodeSettings(max_image_pixels=6 * 64 * 64).limits).size == (192, 128)
    assert isinstance(
        outcome(data, DecodeSettings(max_image_pixels=6 * 64 * 64 - 1).limits), ImageLimitError
    )


@pytest.mark.parametrize(
    "data",
    [
        heif(2, 2, size=(1000, 1000)),  # a canvas that no tiles cover
        heif(2, 2, tile=(32, 32)),
        heif(2, 2, tile=(3000, 3000)),
        heif(60, 60),  # more items than libheif takes
        heif(2, 2)[:-100],
        b"\0\0\0\x18ftypheic\0\0\0\0mif1heic",
    ],
)
def test_a_header_that_lies_is_refused(data: bytes) -> None:
    assert isinstance(outcome(data), BrokenImageError)


@pytest.mark.parametrize(
    ("brands", "name", "kind"),
    [
        ((b"heic", b"mif1", b"heic"), "HEIF", "image/heic"),
        ((b"mif1", b"mif1", b"heic"), "HEIF", "image/heic"),
        ((b"mif1", b"miaf"), "HEIF", "image/heif"),
        ((b"mif1", b"mif1", b"avif"), "AVIF", "image/avif"),
        ((b"avif", b"mif1"), "AVIF", "image/avif"),
        ((b"isom", b"iso2", b"mp41"), None, None),
        ((b"jp2 ", b"jp2 "), None, None),
    ],
)
def test_its_brands_tell_what_it_is(
    brands: tuple[bytes, ...], name: str | None, kind: str | None
) -> None:
    assert (file_format(heif(brands=brands)), media_type(heif(brands=brands))) == (name, kind)


def test_media_types_are_told_by_the_first_bytes() -> None:
    for name in ("JPEG", "PNG", "WEBP", "GIF", "BMP", "AVIF", "TIFF"):
        assert media_type(encoded(picture(), name)) == f"image/{name.lower()}"
