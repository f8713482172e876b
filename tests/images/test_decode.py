import struct
import zlib
from collections.abc import Callable
from io import BytesIO
from typing import Any

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from PIL import Image, ImageOps

from images.decode import FORMATS, decode, open_header
from images.errors import BrokenImageError, ImageError, ImageLimitError, NotAnImageError
from images.schemas import DecodeLimits
from images.settings import DecodeSettings

LIMITS = DecodeSettings().limits


def picture(mode: str = "RGB", size: tuple[int, int] = (40, 24)) -> Image.Image:
    """A gradient with an odd corner, so that every turn of it looks different."""
    width, height = size
    y, x = np.mgrid[0:height, 0:width]
    planes = [x * 255 // width, y * 255 // height, (x + y) * 255 // (width + height)]
    rgb = np.stack(planes, axis=2).astype(np.uint8)
    rgb[: height // 3, : width // 4] = (255, 0, 0)
    image = Image.fromarray(rgb)
    if mode.endswith("A"):
        image.putalpha(Image.fromarray((x * 255 // width).astype(np.uint8)))
    if mode == "I;16":
        return Image.fromarray((x * 65535 // (width - 1)).astype(np.uint16))
    return image.convert(mode)


def encoded(image: Image.Image, file_format: str, **options: Any) -> bytes:
    file = BytesIO()
    image.save(file, file_format, **options)
    return file.getvalue()


def outcome(data: bytes, limits: DecodeLimits = LIMITS) -> Image.Image | ImageError:
    try:
        return decode(data, limits)
    except ImageError as error:
        return error


def chunk(kind: bytes, data: bytes) -> bytes:
    return struct.pack(">I", len(data)) + kind + data + struct.pack(">I", zlib.crc32(kind + data))


def png(width: int, height: int, *extra: bytes, pixels: bytes | None = None) -> bytes:
    """A grey PNG, packed tightly: a bomb where the size is large."""
    header = struct.pack(">IIBBBBB", width, height, 8, 0, 0, 0, 0)
    rows = zlib.compress(bytes(height * (width + 1))) if pixels is None else pixels
    parts = [chunk(b"IHDR", header), *extra, chunk(b"IDAT", rows), chunk(b"IEND", b"")]
    return b"\x89PNG\r\n\x1a\n" + b"".join(parts)


CASES = [
    *[("PNG", mode) for mode in ("1", "L", "LA", "P", "RGB", "RGBA", "I;16")],
    *[("JPEG", mode) for mode in ("L", "RGB", "CMYK")],
    *[("GIF", mode) for mode in ("1", "L", "P", "RGB")],
    *[("WEBP", mode) for mode in ("RGB", "RGBA")],
    *[("BMP", mode) for mode in ("1", "L", "P", "RGB", "RGBA")],
    *[("AVIF", mode) for mode in ("RGB", "RGBA")],
]


@pytest.mark.parametrize(("file_format", "mode"), CASES)
def test_every_format_and_mode_becomes_rgb(file_format: str, mode: str) -> None:
    data = encoded(picture(mode), file_format)
    decoded = decode(data, LIMITS)
    assert (decoded.mode, decoded.size) == ("RGB", (40, 24))
    if mode != "I;16":
        expected = Image.open(BytesIO(data)).convert("RGB")
        assert decoded.tobytes() == expected.tobytes()


def test_there_is_a_case_for_every_format() -> None:
    assert {file_format for file_format, _ in CASES} == set(FORMATS)


def test_grey_of_16_bits_is_scaled_not_cut() -> None:
    values = np.array([[0, 128, 256, 32767, 32768, 65279, 65535]], np.uint16)
    decoded = np.asarray(decode(encoded(Image.fromarray(values), "PNG"), LIMITS))
    assert decoded[0, :, 0].tolist() == [round(int(value) / 257) for value in values[0]]
    assert (decoded == decoded[:, :, :1]).all()


def test_a_transparent_palette_is_converted() -> None:
    data = encoded(picture("P"), "PNG", transparency=0)
    assert decode(data, LIMITS).tobytes() == picture("P").convert("RGB").tobytes()


@pytest.mark.parametrize("orientation", range(1, 9))
@pytest.mark.parametrize("file_format", ["JPEG", "PNG", "WEBP"])
def test_the_picture_is_turned_upright(orientation: int, file_format: str) -> None:
    exif = Image.Exif()
    exif[0x0112] = orientation
    data = encoded(picture(), file_format, exif=exif)
    expected = ImageOps.exif_transpose(Image.open(BytesIO(data)))
    assert decode(data, LIMITS).tobytes() == expected.convert("RGB").tobytes()
    assert decode(data, LIMITS).size == ((40, 24) if orientation < 5 else (24, 40))


@pytest.mark.parametrize(
    "exif",
    [
        b"Exif\0\0",
        b"Exif\0\0garbage that is no TIFF",
        b"Exif\0\0MM\0*\0\0\0\x08\xff\xff",
        b"Exif\0\0II*\0\x08\0\0\0\x01\0\x12\x01\x02\0\xff\xff\xff\x7f\0\0\0\0",
        b"Exif\0\0MM\0*\0\0\0\x08\0\x01\x01\x12\0\x03\0\0\0\x01\0\x09\0\0\0\0\0\0",
        b"Exif\0\0MM\0*\0\0\0\x08\0\x01\x01\x12\0\x02\0\0\0\x04six\0\0\0\0\0",
    ],
)
def test_bad_exif_is_ignored(exif: bytes) -> None:
    data = encoded(picture(), "JPEG", exif=exif)
    assert decode(data, LIMITS).size == (40, 24)


def test_nothing_but_pixels_is_kept() -> None:
    exif = Image.Exif()
    exif[0x010E] = "where I live"
    data = encoded(picture(), "JPEG", exif=exif, comment=b"secret", icc_profile=b"profile")
    assert b"secret" in data
    assert decode(data, LIMITS).info == {}


@pytest.mark.parametrize("file_format", ["GIF", "WEBP", "PNG", "AVIF"])
def test_of_an_animation_it_is_the_first_frame(file_format: str) -> None:
    frames = [Image.new("RGB", (32, 32), colour) for colour in ("red", "lime", "blue")]
    data = encoded(frames[0], file_format, save_all=True, append_images=frames[1:], duration=50)
    red, green, blue = np.asarray(decode(data, LIMITS)).reshape(-1, 3).mean(axis=0)
    assert red > 240
    assert green < 15
    assert blue < 15


@pytest.mark.parametrize("file_format", FORMATS)
def test_a_file_cut_off_anywhere_is_refused(file_format: str) -> None:
    data = encoded(picture(size=(200, 120)), file_format)
    for percent in (1, 5, 20, 50, 80, 95):
        with pytest.raises((BrokenImageError, NotAnImageError)):
            decode(data[: len(data) * percent // 100], LIMITS)


@pytest.mark.parametrize(
    "data",
    [
        b"",
        b"\0",
        b"hello",
        b"<!doctype html><html></html>",
        b'<svg xmlns="http://www.w3.org/2000/svg"/>',
        b"%PDF-1.7",
        b"%!PS-Adobe-3.0 EPSF-3.0\n%%BoundingBox: 0 0 9 9\n",
        encoded(picture(), "TIFF"),
        encoded(picture(), "PPM"),
        encoded(picture(), "ICO"),
        encoded(picture(), "PDF"),
        encoded(picture(), "TGA"),
    ],
)
def test_other_formats_are_refused(data: bytes) -> None:
    with pytest.raises(NotAnImageError, match="JPEG, PNG"):
        decode(data, LIMITS)


@pytest.mark.parametrize(
    "data",
    [
        png(8, 8, chunk(b"zTXt", b"x\0\0broken")),
        png(8, 8, chunk(b"iCCP", b"x\0\0broken")),
        png(8, 8, chunk(b"zTXt", b"x\0\0" + zlib.compress(bytes(2**24)))),
        png(8, 8, chunk(b"iTXt", b"x\0\x01\0\0\0" + zlib.compress(bytes(2**24)))),
        png(8, 8, chunk(b"tRNS", b"")),
        png(8, 8, chunk(b"gAMA", b"")),
        png(8, 8, chunk(b"pHYs", b"1")),
        png(8, 8, chunk(b"acTL", b"")),
        png(8, 8, pixels=b"not deflated"),
        png(8, 8, pixels=zlib.compress(b"short")),
        png(0, 8),
        png(8, 0),
    ],
)
def test_a_broken_file_gives_a_picture_or_an_error_of_this_room(data: bytes) -> None:
    result = outcome(data)
    if isinstance(result, Image.Image):
        assert result.size == (8, 8)
    else:
        assert "\n" not in str(result)


BOMB = png(12000, 12000, pixels=zlib.compress(b"small"))


@pytest.mark.parametrize("megapixels", [1, 50, 72, 100, 143])
def test_a_bomb_is_refused_by_its_header(megapixels: int) -> None:
    """Its pixels are not even there: whoever decodes them finds a broken file instead."""
    limits = DecodeSettings(max_image_pixels=megapixels * 1_000_000).limits
    with pytest.raises(ImageLimitError, match=f"{megapixels},000,000"):
        decode(BOMB, limits)


def test_that_bomb_is_only_refused_for_its_size() -> None:
    with pytest.raises(BrokenImageError):
        decode(BOMB, DecodeSettings(max_image_pixels=200_000_000).limits)


def test_a_jpeg_that_paints_itself_over_and_over_is_refused() -> None:
    honest = encoded(picture(size=(200, 200)), "JPEG", progressive=True)
    assert isinstance(outcome(honest), Image.Image)
    last_scan = honest[honest.rindex(b"\xff\xda") : -2]
    bomb = honest[:-2] + last_scan * 1000 + honest[-2:]
    assert isinstance(outcome(bomb), ImageLimitError)


def test_pixels_are_counted_from_the_header() -> None:
    data = encoded(picture(size=(40, 24)), "PNG")
    assert open_header(data, LIMITS).size == (40, 24)
    with pytest.raises(ImageLimitError):
        open_header(data, DecodeSettings(max_image_pixels=40 * 24 - 1).limits)


def test_an_unknown_file_installs_nothing() -> None:
    """Ultralytics replaces Pillow's own way in by one that would."""
    from ultralytics.utils import patches

    assert Image.open is patches.image_open
    with pytest.raises(NotAnImageError):
        decode(b"hello", LIMITS)


def test_the_pixel_limit_is_exact() -> None:
    data = encoded(picture(size=(40, 25)), "PNG")
    assert decode(data, DecodeSettings(max_image_pixels=1000).limits).size == (40, 25)
    with pytest.raises(ImageLimitError, match="40 x 25"):
        decode(data, DecodeSettings(max_image_pixels=999).limits)


@pytest.mark.parametrize("turn", [lambda size: size, lambda size: size[::-1]])
def test_the_strip_limit_is_exact(turn: Callable[[tuple[int, int]], tuple[int, int]]) -> None:
    assert decode(encoded(Image.new("L", turn((2, 100))), "PNG"), LIMITS).size == turn((2, 100))
    with pytest.raises(ImageLimitError, match="50 times"):
        decode(encoded(Image.new("L", turn((2, 101))), "PNG"), LIMITS)


def test_a_gif_frame_cannot_be_larger_than_its_screen_says() -> None:
    data = bytearray(encoded(Image.new("P", (10, 10)), "GIF"))
    place = data.index(b",\0\0\0\0") + 5
    data[place : place + 4] = struct.pack("<HH", 20000, 20000)
    with pytest.raises(ImageError):
        decode(bytes(data), LIMITS)


@settings(deadline=None, max_examples=150)
@given(
    file_format=st.sampled_from(FORMATS),
    edits=st.lists(st.tuples(st.floats(0, 1), st.integers(0, 255)), min_size=1, max_size=12),
)
def test_a_damaged_file_gives_a_picture_or_an_error_of_this_room(
    file_format: str, edits: list[tuple[float, int]]
) -> None:
    data = bytearray(SAMPLES[file_format])
    for place, value in edits:
        data[int(place * (len(data) - 1))] = value
    result = outcome(bytes(data), DecodeSettings(max_image_pixels=100_000).limits)
    if isinstance(result, Image.Image):
        assert result.mode == "RGB"
        assert result.width * result.height <= 100_000
    else:
        assert result.code != ImageError.code


SAMPLES = {file_format: encoded(picture(), file_format) for file_format in FORMATS}
