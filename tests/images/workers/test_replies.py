"""What a decoder process may reply: every other reply makes no sense."""

from dataclasses import replace
from typing import Any

import numpy as np
import pytest

from images.errors import BrokenImageError, DecoderError, MoreMemoryError
from images.schemas import ExifData
from images.workers.replies import read_clip, read_letterbox, read_refusal, read_tiles
from tests.images.workers.decoder_processes import CLIP, LETTERBOX, LIMITS

MEMORY_BYTES, MOST_BYTES = 1000, 2000
INFINITY, NAN = float("inf"), float("nan")
JPEG = b"\xff\xd8\xff\xe0"
BOXED = {
    "shape": [64, 64, 3],
    "gain": [0.5, 1],
    "pad": [-1, 0],
    "original_size": [64, 64],
    "held_bytes": MEMORY_BYTES,
}
REFUSED = {"error": "BrokenImageError", "message": "a\n b", "detail": "c\r\nd"}


def letterboxed(head: Any) -> tuple[int, ...]:
    body = np.zeros(3 * 64 * 64, np.uint8)
    boxed, _ = read_letterbox(head, body, LETTERBOX, MEMORY_BYTES, LIMITS)
    return boxed.pixels.shape


@pytest.mark.parametrize(
    "wrong",
    [
        {"held_bytes": INFINITY},
        {"held_bytes": MEMORY_BYTES + 1},
        {"held_bytes": -1},
        {"shape": [10**30, 1, 3]},
        {"shape": [128, 32, 3]},
        {"shape": [64, 32, 3]},
        {"shape": [64 * 64 * 3]},
        {"shape": [64, 48, 4]},
        {"original_size": [LIMITS.max_image_pixels, 2]},
        {"original_size": [0, 64]},
        {"gain": "ab"},
        {"gain": [1, 0]},
        {"gain": [1, -1]},
        {"gain": [1, NAN]},
        {"gain": [INFINITY, 1]},
        {"gain": [1, 1, 1]},
        {"pad": [INFINITY, 0]},
    ],
)
def test_a_letterbox_fits_its_task_and_the_limits(wrong: dict[str, Any]) -> None:
    assert letterboxed(BOXED) == (64, 64, 3)
    with pytest.raises(ValueError):  # noqa: PT011 - of whatever kind
        letterboxed(BOXED | wrong)


@pytest.mark.parametrize(
    "heads",
    [
        [BOXED],
        [BOXED, BOXED, BOXED],
        [BOXED, BOXED | {"original_size": [64, 63]}],
        [BOXED, BOXED | {"shape": [64, 32, 3]}],
        [BOXED, BOXED | {"shape": [128, 32, 3]}],
        [BOXED, BOXED | {"shape": [64, 65, 3]}],
        [BOXED, BOXED | {"gain": [1, NAN]}],
        {"0": BOXED},
    ],
)
def test_tiles_are_those_that_were_asked_for(heads: Any) -> None:
    body = np.arange(2 * 3 * 64 * 64, dtype=np.uint32).astype(np.uint8)

    def tiles(heads: Any) -> list[Any]:
        found = read_tiles({"tiles": heads}, body, [(64, 64)] * 2, LETTERBOX)
        return [tile.pixels for tile in found]

    assert np.array_equal(tiles([BOXED, BOXED]), body.reshape(2, 64, 64, 3))
    with pytest.raises(ValueError):  # noqa: PT011 - of whatever kind
        tiles(heads)


@pytest.mark.parametrize("digest", [{"a": 1}, "../x", "A" * 64, "a" * 63, "a" * 64 + "\n", 5])
def test_a_digest_is_64_hex_digits(digest: Any) -> None:
    body = np.zeros(3 * 32 * 32, np.uint8)
    for right in (None, "0123456789abcdef" * 4):
        assert read_clip({"digest": right}, body, CLIP).digest == right
    with pytest.raises(ValueError, match="digest"):
        read_clip({"digest": digest}, body, CLIP)


@pytest.mark.parametrize(("side", "wrong"), [(0, JPEG), (9, b""), (9, b"<html>"), (9, JPEG[:2])])
def test_a_thumbnail_is_a_jpeg_file_that_was_asked_for(side: int, wrong: bytes) -> None:
    def thumbnail(side: int, end: bytes) -> bytes | None:
        body = np.frombuffer(bytes(3 * 32 * 32) + end, np.uint8)
        return read_clip({"digest": None}, body, replace(CLIP, thumbnail_side=side)).thumbnail

    assert (thumbnail(0, b""), thumbnail(9, JPEG)) == (None, JPEG)
    with pytest.raises(ValueError, match="thumbnail"):
        thumbnail(side, wrong)


@pytest.mark.parametrize(
    "wrong",
    [
        {"taken_at": "yesterday"},
        {"taken_at": "2024-05-01T08:00:00Z\n"},
        {"taken_at": "2024-05-01T08:00:00+02:00"},
        {"taken_at": "2024-02-30T08:00:00Z"},
        {"taken_at": 5},
        {"camera": ""},
        {"camera": "x" * 129},
        {"camera": "\ud800"},
        {"camera": ["x"]},
        {"place": [91, 0]},
        {"place": [0, 180.1]},
        {"place": [0]},
        {"place": [0, 0, 0]},
        {"place": [NAN, 0]},
        {"place": [0, INFINITY]},
        {"place": "here"},
    ],
)
def test_what_exif_tells_is_what_metadata_can_hold(wrong: dict[str, Any]) -> None:
    body = np.zeros(3 * 32 * 32, np.uint8)
    right = {"taken_at": "2024-05-01T08:00:00.250000Z", "camera": "a\nb", "place": [-33.5, 151]}
    task = replace(CLIP, exif=True)

    def exif(told: dict[str, Any]) -> ExifData | None:
        return read_clip({"digest": None, "exif": told}, body, task).exif

    assert exif(right) == ExifData("2024-05-01T08:00:00.250000Z", "a b", (-33.5, 151.0))
    assert exif(dict.fromkeys(right)) == ExifData()
    with pytest.raises(ValueError):  # noqa: PT011 - of whatever kind
        exif(right | wrong)


def test_exif_comes_where_it_was_asked_for_and_nowhere_else() -> None:
    body, told = np.zeros(3 * 32 * 32, np.uint8), dict.fromkeys(("taken_at", "camera", "place"))
    with pytest.raises(ValueError, match="EXIF"):
        read_clip({"digest": None, "exif": told}, body, CLIP)
    for none in ({}, {"exif": None}):
        with pytest.raises(ValueError, match="EXIF"):
            read_clip({"digest": None, **none}, body, replace(CLIP, exif=True))


def test_a_refusal_is_one_line() -> None:
    refusal = read_refusal(REFUSED, MEMORY_BYTES, MOST_BYTES)
    assert isinstance(refusal, BrokenImageError)
    assert (str(refusal), refusal.detail) == ("a b", "c d")
    assert len(str(read_refusal(REFUSED | {"message": "a b" * 999}, 1, 2))) == 1000
    fault = read_refusal(REFUSED | {"error": "KeyError"}, MEMORY_BYTES, MOST_BYTES)
    assert (type(fault), str(fault)) == (DecoderError, "the image could not be decoded")
    more = read_refusal({"needed_bytes": MOST_BYTES}, MEMORY_BYTES, MOST_BYTES)
    assert isinstance(more, MoreMemoryError)
    assert read_refusal({"digest": None}, MEMORY_BYTES, MOST_BYTES) is None


@pytest.mark.parametrize(
    "head",
    [
        REFUSED | {"message": ["x"]},
        REFUSED | {"message": "\ud800"},
        REFUSED | {"detail": 5},
        REFUSED | {"error": None},
        {"error": "BrokenImageError"},
        {"needed_bytes": MEMORY_BYTES},
        {"needed_bytes": MOST_BYTES + 1},
        {"needed_bytes": INFINITY},
        {"needed_bytes": 1500.5},
    ],
)
def test_other_refusals_make_no_sense(head: Any) -> None:
    with pytest.raises(ValueError):  # noqa: PT011 - of whatever kind
        read_refusal(head, MEMORY_BYTES, MOST_BYTES)
