"""The photographs that the benchmarks send: two that ultralytics brings along, at several sizes."""

from collections.abc import Iterable
from pathlib import Path

from bench.fileserver import photograph, scaled

NAMES = ("bus", "zidane")
NATIVE = "native"
"""In place of a side: the file as it is, of 810 x 1080 and of 1280 x 720 pixels."""


def photo_files(folder: Path, sides: Iterable[str]) -> dict[str, Path]:
    """Every photograph at every size as a JPEG file, by the name that it is served under.

    Args:
        folder: where those that are scaled are written.
        sides: long sides in pixels, or `NATIVE`.
    """
    files = {}
    for side in sides:
        for name in NAMES:
            path = photograph(f"{name}.jpg")
            if side != NATIVE:
                path, original = folder / f"{name}-{side}.jpg", path
                path.write_bytes(scaled(original, int(side)))
            files[f"{name}-{side}.jpg"] = path
    return files


def sides_of(text: str) -> tuple[str, ...]:
    """Sides as they stand on a command line: `native,640,1280`.

    Raises:
        ValueError: one of them is no size of a picture.
    """
    sides = tuple(text.split(","))
    for side in sides:
        if side != NATIVE and not (side.isdecimal() and 32 <= int(side) <= 10_000):
            raise ValueError(f"{side!r}: use {NATIVE} or a side of 32 to 10000 pixels")
    return sides
