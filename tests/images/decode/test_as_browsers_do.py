"""Files with a small fault that every browser shows, and where damage begins.

The line: a file is taken where whatever is wrong with it, or missing, changes no pixel.
"""

import zlib
from typing import Any

import pytest
from PIL import Image, ImageFile

from images.errors import BrokenImageError
from tests.images.decode.decoding import LIMITS, decode, outcome
from tests.images.samples import chunk, encoded, picture, png

IMAGE = picture(size=(200, 120))
JPEGS: dict[str, dict[str, Any]] = {
    "baseline": {},
    "in full colour": {"subsampling": 0, "quality": 95},
    "progressive": {"progressive": True},
    "with restarts": {"restart_marker_blocks": 3},
}


def same(data: bytes, whole: bytes) -> bool:
    return decode(data, LIMITS).tobytes() == decode(whole, LIMITS).tobytes()


@pytest.mark.parametrize("kind", JPEGS)
@pytest.mark.parametrize("mode", ["RGB", "L", "CMYK"])
def test_a_jpeg_may_lack_its_end_marker(kind: str, mode: str) -> None:
    whole = encoded(IMAGE.convert(mode), "JPEG", **JPEGS[kind])
    assert same(whole[:-2], whole)
    assert same(whole[:-1], whole)


@pytest.mark.parametrize("kind", JPEGS)
def test_a_jpeg_may_not_lack_pixels(kind: str) -> None:
    whole = encoded(IMAGE, "JPEG", **JPEGS[kind])
    for missing in (20, len(whole) // 20, len(whole) // 2):
        assert isinstance(outcome(whole[:-missing]), BrokenImageError)


def test_half_pictures_are_taken_nowhere() -> None:
    assert ImageFile.LOAD_TRUNCATED_IMAGES is False


def test_a_large_jpeg_without_its_end_keeps_its_last_row() -> None:
    image = Image.effect_noise((1000, 700), 80).convert("RGB")
    whole = encoded(image, "JPEG", quality=92)
    assert same(whole[:-2], whole)
    assert isinstance(outcome(whole[:-200]), BrokenImageError)


def marred(data: bytes, kind: bytes) -> bytes:
    """A PNG with a wrong checksum in one chunk."""
    place = data.index(kind) + 4
    end = place + int.from_bytes(data[place - 8 : place - 4], "big")
    return data[:end] + bytes([data[end] ^ 1]) + data[end + 1 :]


@pytest.mark.parametrize(
    "part",
    [
        chunk(b"tEXt", b"Title\0words"),
        chunk(b"gAMA", (45455).to_bytes(4, "big")),
        chunk(b"pHYs", bytes(9)),
        chunk(b"iCCP", b"x\0\0" + zlib.compress(b"profile")),
        chunk(b"eXIf", b"MM\0*\0\0\0\x08\0\0"),
        chunk(b"tRNS", b"\0\0"),
        chunk(b"abCd", b"whatever"),
    ],
)
def test_an_ancillary_chunk_may_have_a_wrong_checksum(part: bytes) -> None:
    assert same(marred(png(8, 8, part), part[4:8]), png(8, 8))


@pytest.mark.parametrize(
    "part",
    [
        chunk(b"zTXt", b"x\0\0broken"),
        chunk(b"zTXt", b"x\0\0" + zlib.compress(bytes(2**25))),
        chunk(b"iTXt", b"x\0\1\0\0\0" + zlib.compress(bytes(2**25))),
        chunk(b"iCCP", b"x\0\0" + zlib.compress(bytes(2**25))),
        chunk(b"gAMA", b""),
        chunk(b"acTL", b""),
    ],
)
def test_an_ancillary_chunk_may_be_nonsense(part: bytes) -> None:
    """Also one that would unpack to 32 MB: nobody looks."""
    assert same(png(8, 8, part), png(8, 8))


def test_the_header_of_a_png_may_not_have_a_wrong_checksum() -> None:
    assert isinstance(outcome(marred(png(8, 8), b"IHDR")), BrokenImageError)


@pytest.mark.parametrize("missing", [12, 8, 4, 1])
def test_a_png_may_lack_its_end(missing: int) -> None:
    whole = encoded(IMAGE, "PNG")
    assert same(whole[:-missing], whole)
    assert isinstance(outcome(whole[: len(whole) // 2]), BrokenImageError)


@pytest.mark.parametrize("missing", [1, 2])
def test_a_gif_may_lack_its_trailer(missing: int) -> None:
    whole = encoded(IMAGE, "GIF")
    assert same(whole[:-missing], whole)
    assert isinstance(outcome(whole[: len(whole) // 2]), BrokenImageError)


@pytest.mark.parametrize("file_format", ["JPEG", "PNG", "GIF", "WEBP", "BMP", "AVIF", "TIFF"])
def test_what_follows_a_picture_does_not_matter(file_format: str) -> None:
    whole = encoded(IMAGE, file_format)
    assert same(whole + b"\0", whole)
    assert same(whole + b"<html>" * 300, whole)
