"""EXIF for tests: as cameras write it, and built value by value where it is to be hostile."""

import struct
from collections.abc import Mapping, Sequence
from io import BytesIO
from typing import Any

from PIL import Image
from PIL.PngImagePlugin import PngInfo
from PIL.TiffImagePlugin import IFDRational

from images.schemas import ExifData
from tests.images import heif
from tests.images.samples import encoded, picture

MAKE, MODEL, ORIENTATION, SHOT, GPS = 271, 272, 0x0112, 0x8769, 0x8825
TAKEN, OFFSET, FRACTION = 0x9003, 0x9011, 0x9291
LATITUDE_REF, LATITUDE, LONGITUDE_REF, LONGITUDE = 1, 2, 3, 4
ASCII, SHORT, LONG, RATIONAL, SIGNED_RATIONAL = 2, 3, 4, 5, 10

TOLD = ExifData("2024-05-01T08:00:00.250000Z", "NIKON D850", (-33.859833, 151.21))
"""What `camera_exif` tells."""

FORMATS = ("JPEG", "MPO", "PNG", "WEBP", "AVIF", "TIFF", "HEIF")
"""Those whose files have EXIF."""

Value = tuple[int, int, bytes]
"""A type, how many there are, and their bytes."""


def camera_exif(orientation: int = 6, model: str = "NIKON D850") -> Image.Exif:
    """As a camera in Sydney writes it."""
    exif = Image.Exif()
    exif[MAKE], exif[MODEL], exif[ORIENTATION] = "NIKON CORPORATION", model, orientation
    exif[SHOT] = {TAKEN: "2024:05:01 10:00:00", FRACTION: "25", OFFSET: "+02:00"}
    whole, seconds = IFDRational(1, 1), IFDRational(354, 10)
    south, east = (33 * whole, 51 * whole, seconds), (151 * whole, 12 * whole, 36 * whole)
    exif[GPS] = {LATITUDE_REF: "S", LATITUDE: south, LONGITUDE_REF: "E", LONGITUDE: east}
    return exif


def with_exif(file_format: str, exif: Image.Exif | bytes, **options: Any) -> bytes:
    """A file with EXIF."""
    if file_format == "HEIF":
        block = exif if isinstance(exif, bytes) else exif.tobytes()
        return heif.heif(2, 2, exif=block)
    if file_format == "TIFF":  # Pillow writes what it has read
        read = Image.Exif()
        read.load(exif if isinstance(exif, bytes) else exif.tobytes())
        exif = read
    if file_format == "MPO":
        options = {"save_all": True, "append_images": [picture()], **options}
    return encoded(picture(), file_format, exif=exif, **options)


def png_with_text(block: bytes) -> bytes:
    """A PNG with EXIF as ImageMagick wrote it before there was a chunk for that: as a text."""
    whole = b"Exif\0\0" + block
    told = PngInfo()
    told.add_text("Raw profile type exif", f"\nexif\n{len(whole):8}\n{whole.hex()}\n")
    return encoded(picture(), "PNG", pnginfo=told)


def png_behind_pixels(block: bytes) -> bytes:
    """A PNG with EXIF behind its pixels, where it may be as well."""
    whole = encoded(picture(), "PNG", exif=block)
    start = whole.index(b"eXIf") - 4
    end = start + 12 + int.from_bytes(whole[start : start + 4], "big")
    without = whole[:start] + whole[end:]
    place = without.index(b"IEND") - 4
    return without[:place] + whole[start:end] + without[place:]


def text(given: str | bytes) -> Value:
    """A text and its end."""
    raw = (given.encode() if isinstance(given, str) else given) + b"\0"
    return ASCII, len(raw), raw


def fractions(*pairs: tuple[int, int], order: str = "<", signed: bool = False) -> Value:
    """Numerators and denominators."""
    form = order + ("2l" if signed else "2L")
    kind = SIGNED_RATIONAL if signed else RATIONAL
    return kind, len(pairs), b"".join(struct.pack(form, *pair) for pair in pairs)


def block(
    main: Mapping[int, Value],
    shot: Mapping[int, Value] | None = None,
    gps: Mapping[int, Value] | None = None,
    order: str = "<",
) -> bytes:
    """EXIF of these values: its main directory, and those that it points to."""
    file = BytesIO()
    file.write((b"II*\0" if order == "<" else b"MM\0*") + struct.pack(order + "L", 8))
    below = {tag: one for tag, one in ((SHOT, shot), (GPS, gps)) if one is not None}
    tags: dict[int, Value] = {**main, **dict.fromkeys(below, (LONG, 1, bytes(4)))}
    places = _write(file, tags, order)
    for tag, values in below.items():
        start = file.seek(0, 2)
        _write(file, values, order)
        file.seek(places[tag])
        file.write(struct.pack(order + "L", start))
    return file.getvalue()


def _write(file: BytesIO, tags: Mapping[int, Value], order: str) -> dict[int, int]:
    """Write a directory; returns where the value of each tag stands, or its place."""
    start = file.seek(0, 2)
    behind = start + 2 + 12 * len(tags) + 4
    file.write(struct.pack(order + "H", len(tags)))
    values, places = b"", {}
    for number, (tag, (kind, count, raw)) in enumerate(tags.items()):
        places[tag] = start + 2 + 12 * number + 8
        short = len(raw) <= 4
        own = raw.ljust(4, b"\0") if short else struct.pack(order + "L", behind + len(values))
        file.write(struct.pack(order + "HHL", tag, kind, count) + own)
        values += b"" if short else raw
    file.write(bytes(4) + values)
    return places


def place_block(
    latitude: Sequence[tuple[int, int]], longitude: Sequence[tuple[int, int]], refs: str = "NE"
) -> bytes:
    """EXIF of a place."""
    gps = {
        LATITUDE_REF: text(refs[0]),
        LATITUDE: fractions(*latitude),
        LONGITUDE_REF: text(refs[1]),
        LONGITUDE: fractions(*longitude),
    }
    return block({}, gps=gps)
