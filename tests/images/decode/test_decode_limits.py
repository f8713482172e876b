"""Files that would take too much: bombs, scans, frames, parts; and where each limit lies."""

import re
import resource
import struct
import zlib
from collections.abc import Callable

import pytest
from PIL import Image

from images.decode.decode import open_header
from images.errors import BrokenImageError, ImageError, ImageLimitError
from images.settings import DecodeSettings
from tests.images.decode.decoding import LIMITS, decode, outcome
from tests.images.samples import chunk, encoded, picture, png, run_lengths

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


def progressive(scans: int, tail: bytes = b"") -> bytes:
    """A JPEG that repeats its last scan."""
    honest = encoded(picture(size=(200, 200)), "JPEG", progressive=True)
    last_scan = honest[honest.rindex(b"\xff\xda") : -2]
    return honest[:-2] + last_scan * scans + honest[-2:] + tail


def test_a_second_picture_does_not_hide_the_scans_of_the_first() -> None:
    """Pillow calls the file an MPO then, and no JPEG."""
    pair = encoded(picture(), "MPO", save_all=True, append_images=[picture()])
    index = pair[pair.index(b"\xff\xe2") :][
        : 2 + int.from_bytes(pair[pair.index(b"\xff\xe2") + 2 :][:2], "big")
    ]
    bomb = progressive(1000)
    assert isinstance(outcome(bomb[:2] + index + bomb[2:]), ImageLimitError)
    assert isinstance(outcome(pair), Image.Image)


def test_what_follows_a_jpeg_is_not_counted_as_scans() -> None:
    """A moving photograph has its film there, in which any bytes occur."""
    assert isinstance(outcome(progressive(1, tail=b"\xff\xda\x00\x08" * 5000)), Image.Image)


def test_a_large_jpeg_may_have_fewer_scans() -> None:
    data = bytearray(progressive(30))
    assert isinstance(outcome(bytes(data)), Image.Image)
    place = data.index(b"\xff\xc2") + 5
    data[place : place + 4] = struct.pack(">HH", 7000, 7000)
    assert "more than 20 scans" in str(outcome(bytes(data)))


@pytest.mark.parametrize("file_format", ["GIF", "WEBP", "PNG", "AVIF"])
def test_the_limit_on_frames_is_exact(file_format: str) -> None:
    frames = [Image.new("RGB", (32, 32), colour) for colour in ("red", "lime", "blue")]
    data = encoded(frames[0], file_format, save_all=True, append_images=frames[1:], duration=50)
    assert decode(data, DecodeSettings(max_image_frames=3).limits).size == (32, 32)
    with pytest.raises(ImageLimitError, match="more than 2 frames"):
        decode(data, DecodeSettings(max_image_frames=2).limits)


def test_an_animation_cannot_promise_more_frames_than_are_accepted() -> None:
    data = png(8, 8, chunk(b"acTL", struct.pack(">II", 1_000_000, 0)))
    assert "more than 10,000 frames" in str(outcome(data))


def gif(blocks: bytes) -> bytes:
    """A GIF with something before its first frame."""
    data = encoded(picture("P"), "GIF")
    place = 13 + (3 << ((data[10] & 7) + 1))
    return data[:place] + blocks + data[place:]


def jpeg(segments: bytes) -> bytes:
    data = encoded(picture(), "JPEG")
    return data[:2] + segments + data[2:]


MANY = 300_000
CROWDED = {
    "PNG chunks": lambda: png(8, 8, chunk(b"abCd", b"") * MANY),
    "PNG texts": lambda: png(8, 8, chunk(b"tEXt", b"a\0b") * MANY),
    "JPEG segments": lambda: jpeg(b"\xff\xe5\0\2" * MANY),
    "JPEG EXIF": lambda: jpeg(b"\xff\xe1\0\x0aExif\0\0MM" * 101),
    "GIF comments": lambda: gif(b"!\xfe\1x\0" * MANY),
    "GIF sub-blocks": lambda: gif(b"!\1" + b"\1x" * MANY + b"\0"),
    "GIF stray bytes": lambda: gif(b"x" * MANY),
}


@pytest.mark.parametrize("kind", CROWDED)
def test_a_file_of_too_many_parts_is_refused(kind: str) -> None:
    assert isinstance(outcome(CROWDED[kind]()), ImageLimitError)


def test_a_crowd_of_parts_that_an_encoder_may_make_is_accepted() -> None:
    assert isinstance(outcome(png(8, 8, chunk(b"abCd", b"") * 1000)), Image.Image)
    assert isinstance(outcome(jpeg(b"\xff\xe5\0\2" * 1000)), Image.Image)
    assert isinstance(outcome(gif(b"!\xfe\1x\0" * 1000)), Image.Image)


@pytest.mark.filterwarnings("ignore:Tag data larger", "ignore:Corrupt EXIF")
@pytest.mark.parametrize("file_format", ["PNG", "WEBP", "JPEG"])
def test_exif_that_names_the_same_bytes_over_and_over_costs_little(file_format: str) -> None:
    """Read in whole, its 60,000 entries of a megabyte would be 60 GB."""
    entries = b"".join(struct.pack("<HHII", tag, 7, 1 << 20, 8) for tag in range(60_000))
    exif = b"Exif\0\0II*\0\x08\0\0\0" + struct.pack("<H", 60_000) + entries + bytes(1 << 20)
    if file_format == "JPEG":
        rest = [exif[start : start + 65_000] for start in range(0, len(exif), 65_000)]
        parts = [rest[0], *(b"Exif\0\0" + part for part in rest[1:])]
        data = jpeg(b"".join(b"\xff\xe1" + struct.pack(">H", len(one) + 2) + one for one in parts))
    else:
        data = encoded(picture(), file_format, exif=exif)
    before = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    assert isinstance(outcome(data), Image.Image)
    assert resource.getrusage(resource.RUSAGE_SELF).ru_maxrss - before < 200_000


def test_a_bmp_in_runs_is_decoded_while_it_is_small() -> None:
    assert decode(run_lengths(), LIMITS).tobytes() == picture("P").convert("RGB").tobytes()
    large = bytearray(run_lengths())
    large[18:26] = struct.pack("<ii", 4000, 4000)
    assert "run-length encoded" in str(outcome(bytes(large)))


@pytest.mark.parametrize("kind", [b"VP8X", b"VP8L", b"VP8 "])
def test_a_webp_is_refused_before_its_canvas_is_made(kind: bytes) -> None:
    fields = {
        b"VP8X": bytes(4) + b"\xff\x3f\0" * 2,
        b"VP8L": b"\x2f" + ((1 << 28) - 1).to_bytes(4, "little") + bytes(5),
        b"VP8 ": b"\x10\0\0\x9d\1\x2a" + b"\xff\x3f" * 2,
    }[kind]
    data = b"RIFF" + struct.pack("<I", 22) + b"WEBP" + kind + struct.pack("<I", 10) + fields
    assert re.search("1638[34] x 1638[34] pixels", str(outcome(data)))


def test_pixels_are_counted_from_the_header() -> None:
    data = encoded(picture(size=(40, 24)), "PNG")
    assert open_header(data, LIMITS).size == (40, 24)
    with pytest.raises(ImageLimitError):
        open_header(data, DecodeSettings(max_image_pixels=40 * 24 - 1).limits)


def test_the_pixel_limit_is_exact() -> None:
    data = encoded(picture(size=(40, 25)), "PNG")
    assert decode(data, DecodeSettings(max_image_pixels=1000).limits).size == (40, 25)
    with pytest.raises(ImageLimitError, match="40 x 25"):
        decode(data, DecodeSettings(max_image_pixels=999).limits)


@pytest.mark.parametrize("turn", [lambda size: size, lambda size: size[::-1]])
def test_the_strip_limit_is_exact(turn: Callable[[tuple[int, int]], tuple[int, int]]) -> None:
    assert decode(encoded(Image.new("L", turn((2, 200))), "PNG"), LIMITS).size == turn((2, 200))
    with pytest.raises(ImageLimitError, match="100 times"):
        decode(encoded(Image.new("L", turn((2, 201))), "PNG"), LIMITS)


def test_a_gif_frame_cannot_be_larger_than_its_screen_says() -> None:
    data = bytearray(encoded(Image.new("P", (10, 10)), "GIF"))
    place = data.index(b",\0\0\0\0") + 5
    data[place : place + 4] = struct.pack("<HH", 20000, 20000)
    with pytest.raises(ImageError):
        decode(bytes(data), LIMITS)
