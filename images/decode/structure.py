"""Reads a file's type, size and number of parts from its bytes before Pillow or OpenCV do.

Pillow reads segments, chunks and blocks in Python, at some microseconds each, and keeps many of
them: twenty megabytes of empty ones would take a core for minutes, or a gigabyte. Nothing is
judged here but numbers; what is broken is left to the reader to refuse.
"""

import re
import struct

from images.errors import ImageLimitError
from images.schemas import DecodeLimits

_LEAST_MAX_PARTS = 100_000
_BYTES_PER_PART = 128
_MAX_SCANS, _ALLOWED_SCANS = 100, 20
_MAX_SCANNED_PIXELS = 1_000_000_000
_MAX_EXIF_SEGMENTS = 100

# As libjpeg looks for the next marker: over stuffed zeros, fill bytes and restart markers.
_JPEG_MARKER = re.compile(rb"\xff+([^\xff\x00\x01\xd0-\xd8])")
_APP1, _END_OF_IMAGE, _START_OF_SCAN = 0xE1, 0xD9, 0xDA
_SCAN = b"\xff\xda"
_START_OF_FRAME = frozenset(range(0xC0, 0xD0)) - {0xC4, 0xC8, 0xCC}

_GIF_EXTENSION, _GIF_FRAME, _GIF_END = b"!", b",", b";"

FORMATS = {
    "JPEG": "image/jpeg",
    "PNG": "image/png",
    "WEBP": "image/webp",
    "GIF": "image/gif",
    "BMP": "image/bmp",
    "AVIF": "image/avif",
    "HEIF": "image/heif",
    "TIFF": "image/tiff",
}
"""The formats that are decoded, with their media types."""

_HEIC = "image/heic"
MEDIA_TYPES = tuple(sorted({*FORMATS.values(), _HEIC}))
"""Of the formats that are decoded; a HEIF file that is coded in HEVC has one of its own."""

_SIGNATURES = {
    b"\xff\xd8\xff": "JPEG",
    b"\x89PNG\r\n\x1a\n": "PNG",
    b"GIF87a": "GIF",
    b"GIF89a": "GIF",
    b"BM": "BMP",
    b"II*\0": "TIFF",
    b"MM\0*": "TIFF",
    b"II+\0": "TIFF",
    b"MM\0+": "TIFF",
}
_VP8 = frozenset({b"VP8 ", b"VP8L", b"VP8X"})
_AVIF_BRANDS = frozenset({b"avif", b"avis"})
_HEIC_BRANDS = frozenset({b"heic", b"heix", b"heim", b"heis", b"hevc", b"hevx", b"hevm", b"hevs"})
_HEIF_BRANDS = _HEIC_BRANDS | {b"mif1", b"msf1", b"mif2"}
_MAX_BRANDS_BYTES = 1024


def file_format(data: bytes) -> str | None:
    """Which of `FORMATS` a file is by its first bytes, whatever its name says; None for others."""
    if data[:4] == b"RIFF" and data[8:12] == b"WEBP" and data[12:16] in _VP8:
        return "WEBP"
    if brands := _brands(data):
        if brands & _AVIF_BRANDS:
            return "AVIF"
        return "HEIF" if brands & _HEIF_BRANDS else None
    return next((name for start, name in _SIGNATURES.items() if data.startswith(start)), None)


def media_type(data: bytes) -> str | None:
    """The media type of a picture's file; None for what is none of `MEDIA_TYPES`."""
    name = file_format(data)
    if name == "HEIF" and _brands(data) & _HEIC_BRANDS:
        return _HEIC
    return None if name is None else FORMATS[name]


def _brands(data: bytes) -> frozenset[bytes]:
    """What an ISO base media file says that it is, in its first box; none of any other file.

    AVIF and HEIF share a container, and many files name the container's brand before the codec's.
    """
    if data[4:8] != b"ftyp":
        return frozenset()
    end = min(int.from_bytes(data[:4], "big"), _MAX_BRANDS_BYTES, len(data))
    return frozenset(data[place : place + 4] for place in (8, *range(16, end - 3, 4)))


def check_size(width: int, height: int, limits: DecodeLimits) -> None:
    """Refuse a picture of too many pixels, or a strip.

    Raises:
        ImageLimitError: it is larger or longer than is accepted.
    """
    if width * height > limits.max_image_pixels:
        raise ImageLimitError(
            f"the image has {width} x {height} pixels, at most "
            f"{limits.max_image_pixels:,} in all are accepted"
        )
    if max(width, height) > limits.max_aspect_ratio * min(width, height):
        raise ImageLimitError(
            f"the image has {width} x {height} pixels, its long side may be at most "
            f"{limits.max_aspect_ratio:g} times its short side"
        )


def webp_size(data: bytes, limits: DecodeLimits) -> tuple[int, int] | None:
    """Width and height by the first chunk of a WebP file; None for any other file.

    Pillow's reader takes the memory for its canvases when it opens the file: this comes before.

    Raises:
        ImageLimitError: it is larger than is accepted.
    """
    size = _webp_size(data)
    if size is not None:
        check_size(*size, limits)
    return size


def _webp_size(data: bytes) -> tuple[int, int] | None:
    """As the container's specification has it, for the three kinds of first chunk.

    https://developers.google.com/speed/webp/docs/riff_container
    """
    kind, fields = data[8:16], data[20:30]
    if len(fields) < 10:
        return None
    if kind == b"WEBPVP8X":
        return 1 + _little_endian(fields[4:7]), 1 + _little_endian(fields[7:10])
    if kind == b"WEBPVP8L":
        bits = _little_endian(fields[1:5])
        return 1 + (bits & 0x3FFF), 1 + (bits >> 14 & 0x3FFF)
    if kind == b"WEBPVP8 ":
        return _little_endian(fields[6:8]) & 0x3FFF, _little_endian(fields[8:10]) & 0x3FFF
    return None


def _little_endian(number: bytes) -> int:
    return int.from_bytes(number, "little")


def check_parts(name: str, data: bytes, limits: DecodeLimits) -> None:
    """Refuse a JPEG or GIF of too many parts, animation frames or scans.

    WebP, AVIF and HEIF are taken apart by their C libraries, and tell the number of frames
    themselves.

    Raises:
        ImageLimitError: there are more than any encoder makes.
    """
    try:
        if name == "JPEG":
            _check_jpeg(data)
        elif name == "GIF":
            _check_gif(data, limits)
    except (IndexError, struct.error):
        return  # cut off: the reader refuses it


def check_frames(frames: int, limits: DecodeLimits) -> None:
    """Refuse an animation of too many frames.

    Raises:
        ImageLimitError: there are more than are accepted.
    """
    if frames > limits.max_image_frames:
        raise ImageLimitError(
            f"the animation has more than {limits.max_image_frames:,} frames", f"{frames} frames"
        )


def max_parts(data: bytes) -> int:
    """How many parts a file may have: more than any encoder makes of so many bytes."""
    return _LEAST_MAX_PARTS + len(data) // _BYTES_PER_PART


def too_many(name: str) -> ImageLimitError:
    """The error of a file of more."""
    return ImageLimitError(
        f"the {name} file has more parts (segments, chunks, blocks, strips) than are accepted"
    )


def _check_jpeg(data: bytes) -> None:
    """Walk from marker to marker, to the end of the first picture.

    A progressive JPEG can paint itself over and over: each scan goes over the whole picture, and
    one of 75 bytes is enough for that. Ordinary encoders make about ten. What follows the first
    picture (a second one, the film of a moving photograph) is not looked at.
    """
    offset, scans, exif, most_scans = 2, 0, 0, _MAX_SCANS
    for _ in range(max_parts(data)):
        marker = _JPEG_MARKER.search(data, offset)
        if marker is None or marker[1][0] == _END_OF_IMAGE:
            return
        offset, kind = marker.end(), marker[1][0]
        if kind in _START_OF_FRAME:
            most_scans = min(most_scans, _most_scans(*struct.unpack_from(">HH", data, offset + 3)))
        scans += kind == _START_OF_SCAN
        if scans == 1 and kind == _START_OF_SCAN and data.count(_SCAN, offset) < most_scans:
            return  # so it is with nearly all, and libjpeg goes through the rest itself
        exif += kind == _APP1 and data.startswith(b"Exif\0", offset + 2)
        if scans > most_scans:
            raise ImageLimitError(f"the JPEG has more than {most_scans} scans")
        if exif > _MAX_EXIF_SEGMENTS:  # Pillow joins them one by one
            raise too_many("JPEG")
        offset += (data[offset] << 8) + data[offset + 1]
    raise too_many("JPEG")


def _most_scans(height: int, width: int) -> int:
    """How many scans a JPEG of a size may have: fewer where each takes longer."""
    affordable = _MAX_SCANNED_PIXELS // max(1, height * width)
    return min(_MAX_SCANS, max(_ALLOWED_SCANS, affordable))


def _check_gif(data: bytes, limits: DecodeLimits) -> None:
    frames, parts = 0, max_parts(data)
    offset = 13 + _colours_bytes(data[10])
    while parts > 0:
        parts -= 1
        kind = data[offset : offset + 1]
        offset += 1
        if kind in {b"", _GIF_END}:
            return
        if kind == _GIF_FRAME:
            frames += 1
            check_frames(frames, limits)
            offset += 10 + _colours_bytes(data[offset + 8])
        elif kind == _GIF_EXTENSION:
            offset += 1
        else:
            continue  # a stray byte, which Pillow skips as well
        while parts > 0 and data[offset]:
            offset += data[offset] + 1
            parts -= 1
        offset += 1
    raise too_many("GIF")


def _colours_bytes(flags: int) -> int:
    """The length of the table of colours that a screen's or a frame's flags tell of."""
    return 3 << ((flags & 7) + 1) if flags & 128 else 0
