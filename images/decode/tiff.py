"""Judges a TIFF file by its first directory, before Pillow and libtiff follow what it says.

Its first page only is decoded.
"""

import struct
from collections.abc import Mapping

import numpy as np
from numpy.typing import NDArray

from images.decode.directory import MAX_ENTRIES, Directories
from images.decode.structure import check_size, max_parts, too_many
from images.errors import BrokenImageError, ImageLimitError, NotAnImageError
from images.schemas import DecodeLimits

_COMPRESSIONS = {
    1: "none",
    2: "CCITT",
    3: "CCITT",
    4: "CCITT",
    5: "LZW",
    7: "JPEG",
    8: "Deflate",
    32773: "PackBits",
    32946: "Deflate",
}
"""What encoders write today. Left out are formats with a decoder of their own in libtiff that
nobody needs (old JPEG, ThunderScan, SGI log, LERC), and those whose memory grows with the file's
word (LZMA, Zstandard, WebP)."""

_WIDTH, _HEIGHT, _COMPRESSION = 256, 257, 259
_TILE_WIDTH, _TILE_HEIGHT = 322, 323
_SIZES = (279, 325)
"""The bytes of each strip, of each tile."""

_INTEGERS = {1: "u1", 3: "u2", 4: "u4", 16: "u8"}
_LEAST_MAX_TILE_PIXELS = 1 << 20
_TIMES_READ = 4
"""How often a file's bytes may be strips: nobody shares one twice, but lengths may be rounded."""


Tags = Mapping[int, NDArray[np.uint64]]
"""The whole numbers of a directory, by their tag."""


def check_tiff(data: bytes, limits: DecodeLimits) -> None:
    """Refuse a first page that is too large, in too many parts, or of an unusual compression.

    Raises:
        ImageLimitError: there are more pixels, tags, strips or bytes to read than are accepted.
        NotAnImageError: its compression is none that is accepted.
        BrokenImageError: the file ends before its directory or its strips do.
    """
    try:
        tags = _first_directory(data)
    except struct.error as error:
        raise _cut_off(str(error)) from error
    width, height = (_one(tags, tag) for tag in (_WIDTH, _HEIGHT))
    if width and height:
        check_size(width, height, limits)
    compression = _one(tags, _COMPRESSION) or 1
    if compression not in _COMPRESSIONS:
        raise NotAnImageError(
            "the TIFF file is compressed in a way that is not accepted "
            f"({', '.join(dict.fromkeys(_COMPRESSIONS.values()))} are)",
            f"compression {compression}",
        )
    _check_parts(tags, data)
    tile_pixels = (_one(tags, _TILE_WIDTH) or 1) * (_one(tags, _TILE_HEIGHT) or 1)
    if tile_pixels > max(width * height, _LEAST_MAX_TILE_PIXELS):
        raise ImageLimitError("the TIFF file has larger tiles than are accepted")


def _check_parts(tags: Tags, data: bytes) -> None:
    """Refuse strips and tiles that are too many, or that are the same bytes over and over."""
    for sizes in (tags[tag] for tag in _SIZES if tag in tags):
        if len(sizes) > max_parts(data):
            raise too_many("TIFF")
        if float(sizes.sum(dtype=np.float64)) > _TIMES_READ * len(data):
            raise _cut_off("its strips are longer than the file")


def _cut_off(detail: str) -> BrokenImageError:
    return BrokenImageError("the image file is damaged or cut off", detail)


def _first_directory(data: bytes) -> Tags:
    """All tags of whole numbers that are there in full.

    Raises:
        struct.error: the file ends before its directory does.
        ImageLimitError: there are more tags than any encoder writes.
    """
    directories = Directories.of(data)
    tags: dict[int, NDArray[np.uint64]] = {}
    for number, entry in enumerate(directories.entries(data, directories.first)):
        if number == MAX_ENTRIES:
            raise too_many("TIFF")
        if entry.kind in _INTEGERS and entry.tag not in tags:
            numbers = np.dtype(directories.order + _INTEGERS[entry.kind])
            if entry.place + entry.length * numbers.itemsize <= len(data):
                values = np.frombuffer(data, numbers, entry.length, entry.place)
                tags[entry.tag] = values.astype(np.uint64)
    return tags


def _one(tags: Tags, tag: int) -> int:
    """The first number of a tag; 0 where it is absent or empty."""
    values = tags.get(tag)
    return int(values[0]) if values is not None and len(values) else 0
