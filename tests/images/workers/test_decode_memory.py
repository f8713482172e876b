"""What a picture takes, measured in the process that decodes it, against what is reserved."""

import asyncio
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from PIL import Image

from images.errors import MoreMemoryError
from images.schemas import (
    ORDINARY_BYTES,
    ClipTask,
    CropTask,
    LabelledBox,
    LetterboxTask,
    SharedPicture,
    needed_bytes,
)
from images.settings import DecodeSettings
from images.workers.decoders import Decoders
from tests.images.heif import TILE, heif
from tests.images.samples import encoded
from tests.images.workers.decoder_processes import pids

SIZE = (2000, 1500)
PIXELS = SIZE[0] * SIZE[1]
MEMORY_BYTES = 1 << 30
CLIP = ClipTask(224, "bicubic", "shortest", 0, digest=True)
LETTERBOX = LetterboxTask(640, 32)
LIMITS = DecodeSettings().limits
BESIDES_BYTES = 8 << 20
"""Interpreter, fonts, the model's input: whatever does not grow with the picture."""


def photograph() -> Image.Image:
    y, x = np.mgrid[0 : SIZE[1], 0 : SIZE[0]]
    rgb = np.stack([x * 200 // SIZE[0], y * 200 // SIZE[1], (x + y) * 200 // sum(SIZE)], axis=2)
    noise = np.random.default_rng(0).integers(0, 40, (SIZE[1], SIZE[0], 1))
    return Image.fromarray((rgb + noise).astype(np.uint8))


def turned() -> Image.Exif:
    exif = Image.Exif()
    exif[0x0112] = 6
    return exif


WORST: dict[str, dict[str, Any]] = {
    "JPEG": {"mode": "CMYK", "progressive": True, "subsampling": 0},
    "PNG": {"mode": "RGBA", "compress_level": 1},
    "PNG 16": {"mode": "I;16", "compress_level": 1},
    "PNG LA": {"mode": "LA", "compress_level": 1},
    "PNG P": {"mode": "P", "compress_level": 1, "transparency": bytes(range(256))},
    "BMP": {"mode": "RGBA"},
    "GIF": {"mode": "P"},
    "WEBP": {"mode": "RGBA", "lossless": True, "quality": 0, "method": 0},
    "AVIF": {"mode": "RGBA", "subsampling": "4:4:4", "speed": 10},
    "TIFF": {"mode": "CMYK", "compression": "tiff_lzw", "strip_size": 1 << 30},
    "TIFF JPEG": {"mode": "RGB", "compression": "jpeg", "strip_size": 1 << 30},
    "HEIF": {},
}


def worst(kind: str) -> bytes:
    """The file of a format that takes the most: all channels, at full resolution, turned."""
    if kind == "HEIF":  # in 8 bits; what takes the most, 10 bits with alpha, takes twice as much
        return heif(-(-SIZE[0] // TILE), -(-SIZE[1] // TILE), size=SIZE, turn=1)
    options = dict(WORST[kind])
    mode = options.pop("mode")
    if mode == "I;16":
        grey = np.asarray(photograph().convert("L")).astype(np.uint16) * 257
        return encoded(Image.fromarray(grey), "PNG", exif=turned(), **options)
    picture = photograph().convert("RGB")
    if str(mode).endswith("A"):
        picture.putalpha(picture.convert("L"))
    extra = {} if kind in {"BMP", "GIF"} else {"exif": turned()}
    return encoded(picture.convert(str(mode)), kind.split(maxsplit=1)[0], **options, **extra)


@pytest.fixture(scope="module")
def files() -> dict[str, bytes]:
    return {kind: worst(kind) for kind in WORST}


async def used(decoders: Decoders, data: bytes) -> None:
    """All that is ever done with a picture."""
    await decoders.clip(data, CLIP, MEMORY_BYTES)
    with SharedPicture() as held:
        await decoders.both(data, (CLIP, LETTERBOX), MEMORY_BYTES, held)
        await decoders.crop(held, [(0, 0, *held.size)] * 16, CropTask(224, "bicubic"))
    with SharedPicture() as held:
        await decoders.letterbox(data, LETTERBOX, MEMORY_BYTES, held)
        await decoders.draw(held, [LabelledBox((9, 9, 999, 999), 0.5, 1, "thing")], 95)


def status_bytes(pid: int, field: str) -> int:
    lines = Path(f"/proc/{pid}/status").read_text().splitlines()
    return next(int(line.split()[1]) << 10 for line in lines if line.startswith(field))


async def peak_bytes(data: bytes) -> int:
    """What a picture adds to a fresh process at most."""
    decoders = Decoders(LIMITS, processes=1, timeout_s=60)
    try:
        await used(decoders, encoded(Image.new("RGB", (64, 64)), "PNG"))  # loads what is needed
        (pid,) = pids(decoders)
        before = status_bytes(pid, "VmRSS")
        await used(decoders, data)
        assert pids(decoders) == [pid]
        return status_bytes(pid, "VmHWM") - before
    finally:
        decoders.close()


@pytest.mark.parametrize("kind", WORST)
def test_no_picture_takes_more_than_is_reserved_for_it(kind: str) -> None:
    data = worst(kind)
    taken = asyncio.run(peak_bytes(data)) - BESIDES_BYTES
    reserved = needed_bytes(kind.split(maxsplit=1)[0], PIXELS, len(data))
    assert reserved / 3 < taken <= reserved


def test_a_larger_picture_says_what_it_needs() -> None:
    async def run() -> int:
        decoders = Decoders(LIMITS, processes=1, timeout_s=60)
        try:
            await decoders.clip(data, CLIP, ORDINARY_BYTES)
        except MoreMemoryError as more:
            return more.needed_bytes
        finally:
            decoders.close()
        return 0

    data = encoded(Image.new("L", (3000, 2500)), "PNG")
    assert asyncio.run(run()) == needed_bytes("PNG", 7_500_000, len(data))
