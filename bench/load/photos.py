"""Photographs that the benchmarks send: two of ultralytics' own, at several sizes and pixels."""

import io
from collections.abc import Iterable, Iterator, Mapping
from contextlib import contextmanager
from importlib.util import find_spec
from pathlib import Path
from tempfile import TemporaryDirectory

from PIL import Image

NAMES = ("bus", "zidane")
NATIVE = "native"
"""In place of a side: the file as it is, of 810 x 1080 and of 1280 x 720 pixels."""
SIDES = (480, 640, 800, 1024, 1280)
"""Long sides of the photographs that the file server always has."""
PHOTOS = len(NAMES) * len(SIDES)
_QUANTIZATION = b"\xff\xdb"
_FIRST_STEP = 5 + 2
"""Offset in a JPEG's quantization table: marker, length and number, then the steps of the lowest
frequencies, which would change the picture most."""
_STEPS = 24


def photograph(name: str) -> Path:
    """File of a photograph that ultralytics brings along, without importing it."""
    found = find_spec("ultralytics")
    if found is None or found.origin is None:
        raise RuntimeError("ultralytics is not installed")
    return Path(found.origin).parent / "assets" / name


def scaled(path: Path, long_side: int) -> bytes:
    """A photograph as a JPEG file of this size."""
    with Image.open(path) as original:
        factor = long_side / max(original.size)
        size = (round(original.width * factor), round(original.height * factor))
        return encoded(original.convert("RGB").resize(size, Image.Resampling.LANCZOS), "JPEG")


def encoded(picture: Image.Image, kind: str) -> bytes:
    """A picture as a file of this kind."""
    buffer = io.BytesIO()
    picture.save(buffer, kind, quality=90)
    return buffer.getvalue()


def repixelled(data: bytes, number: int) -> bytes:
    """A JPEG file with other pixels of the same kind for each number below 2 ** 24.

    The number's bits are added to steps of the first quantization table: the file decodes to other
    pixels in the same time, and nothing is encoded anew.
    """
    first = data.find(_QUANTIZATION) + _FIRST_STEP
    steps = bytearray(data[first : first + _STEPS])
    for n in range(_STEPS):
        steps[n] = min(255, steps[n] + (number >> n & 1))
    return b"".join((data[:first], steps, data[first + _STEPS :]))


@contextmanager
def photographs(sides: Iterable[str]) -> Iterator[dict[str, Path]]:
    """Every photograph at every size as a JPEG file by name, until the block ends."""
    with TemporaryDirectory() as folder:
        files = {}
        for side in sides:
            for name in NAMES:
                path = photograph(f"{name}.jpg")
                if side != NATIVE:
                    path, original = Path(folder) / f"{name}-{side}.jpg", path
                    path.write_bytes(scaled(original, int(side)))
                files[f"{name}-{side}.jpg"] = path
        yield files


def by_shape(files: Mapping[str, Path]) -> list[list[Path]]:
    """The files of each photograph, which are of one shape at all sizes."""
    return [[path for file, path in files.items() if file.startswith(f"{n}-")] for n in NAMES]


def sides_of(text: str) -> tuple[str, ...]:
    """Sides as they stand on a command line: `native,640,1280`."""
    sides = tuple(text.split(","))
    for side in sides:
        if side != NATIVE and not 32 <= int(side) <= 10_000:
            raise ValueError(f"{side!r}: use {NATIVE} or a side of 32 to 10000 pixels")
    return sides
