import struct
import zlib
from io import BytesIO

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from PIL import Image, ImageOps

from images.decode.flatten import to_rgb
from images.decode.structure import FORMATS
from images.errors import BrokenImageError, ImageError, NotAnImageError
from images.settings import DecodeSettings
from tests.images.decode.decoding import LIMITS, decode, outcome
from tests.images.samples import CASES, chunk, encoded, picture, png, sample


@pytest.mark.parametrize(("file_format", "mode"), CASES)
def test_every_format_and_mode_becomes_rgb(file_format: str, mode: str) -> None:
    data = encoded(picture(mode), file_format)
    decoded = decode(data, LIMITS)
    assert (decoded.mode, decoded.size) == ("RGB", (40, 24))
    if mode != "I;16" and not mode.endswith("A"):
        expected = Image.open(BytesIO(data)).convert("RGB")
        assert decoded.tobytes() == expected.tobytes()


def test_there_is_a_case_for_every_format() -> None:
    assert {"HEIF", *(file_format for file_format, _ in CASES)} == set(FORMATS)


def test_grey_of_16_bits_is_scaled_not_cut() -> None:
    values = np.array([[0, 128, 256, 32767, 32768, 65279, 65535]], np.uint16)
    decoded = np.asarray(decode(encoded(Image.fromarray(values), "PNG"), LIMITS))
    assert decoded[0, :, 0].tolist() == [round(int(value) / 257) for value in values[0]]
    assert (decoded == decoded[:, :, :1]).all()


@pytest.mark.parametrize("orientation", range(1, 9))
@pytest.mark.parametrize("file_format", ["JPEG", "PNG", "WEBP", "TIFF"])
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
    data = sample(file_format, (200, 120))
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
        encoded(picture(), "JPEG2000"),
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


def test_an_assertion_of_a_reader_is_a_broken_file() -> None:
    """Found by the fuzzer: Pillow asserts where a chunk stands where it should not."""
    data = png(8, 8, chunk(b"fdAT", bytes(4)))
    assert isinstance(outcome(data), Image.Image | BrokenImageError)


@pytest.mark.parametrize(
    ("mode", "white"),
    [
        *[
            ("1", 255),
            ("L", 255),
            ("LA", (255, 255)),
            ("La", (255, 255)),
            ("PA", None),
            ("P", None),
        ],
        *[("RGB", (255,) * 3), ("RGBA", (255, 255, 255, 0)), ("RGBa", (255,) * 4)],
        *[("RGBX", (255,) * 4), ("CMYK", (0,) * 4), ("YCbCr", (255, 128, 128))],
        *[("LAB", (255, 128, 128)), ("HSV", (0, 0, 255))],
    ],
)
def test_every_mode_that_a_reader_may_give_becomes_rgb(
    mode: str, white: int | tuple[int, ...] | None
) -> None:
    if white is None:
        source = Image.new("L", (4, 3), 255).convert(mode)
    else:
        source = Image.new(mode, (4, 3), white)
    assert to_rgb(source).mode == "RGB"
    pixel = np.asarray(to_rgb(source))[1, 2]
    assert pixel.tolist() == pytest.approx([255, 255, 255], abs=8 if mode == "LAB" else 0)


@pytest.mark.parametrize("mode", ["I;16", "I;16L", "I;16B", "I"])
def test_deep_grey_of_any_byte_order_is_scaled(mode: str) -> None:
    order = ">u2" if mode == "I;16B" else "<u2"
    values = np.array([[0, 256, 65535]], "<i4" if mode == "I" else order)
    source = Image.frombytes(mode, (3, 1), values.tobytes())
    assert np.asarray(to_rgb(source))[0, :, 0].tolist() == [0, 1, 255]


def test_floats_are_taken_as_grey_of_8_bits() -> None:
    source = Image.fromarray(np.array([[-5, 0, 128, 300]], np.float32))
    assert np.asarray(to_rgb(source))[0, :, 0].tolist() == [0, 0, 128, 255]


def test_a_16_bit_png_in_colour_keeps_its_upper_bytes() -> None:
    header = struct.pack(">IIBBBBB", 1, 1, 16, 2, 0, 0, 0)
    row = zlib.compress(b"\0" + struct.pack(">HHH", 0xFF00, 0x8012, 0x0034))
    parts = [chunk(b"IHDR", header), chunk(b"IDAT", row), chunk(b"IEND", b"")]
    decoded = decode(b"\x89PNG\r\n\x1a\n" + b"".join(parts), LIMITS)
    assert decoded.getpixel((0, 0)) == (0xFF, 0x80, 0x00)


def test_a_jpeg_in_cmyk_has_its_colours() -> None:
    """Adobe's files hold the inks inverted; Pillow writes them so, too."""
    data = encoded(Image.new("RGB", (16, 16), (255, 0, 0)).convert("CMYK"), "JPEG", quality=95)
    assert b"Adobe" in data
    red, green, blue = np.asarray(decode(data, LIMITS)).reshape(-1, 3).mean(axis=0)
    assert red > 240
    assert max(green, blue) < 15


def test_an_unknown_file_installs_nothing() -> None:
    """Ultralytics replaces Pillow's own way in by one that would."""
    from ultralytics.utils import patches

    assert Image.open is patches.image_open
    with pytest.raises(NotAnImageError):
        decode(b"hello", LIMITS)


@settings(deadline=None, max_examples=150)
@given(
    file_format=st.sampled_from(list(FORMATS)),
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


SAMPLES = {file_format: sample(file_format) for file_format in FORMATS}
