"""Small image files of every format, in every mode and kind that Pillow writes."""

import struct
import zlib
from collections.abc import Iterator, Sequence
from io import BytesIO
from typing import Any

import numpy as np
from PIL import Image

from tests.images import heif


def picture(mode: str = "RGB", size: tuple[int, int] = (40, 24)) -> Image.Image:
    """A gradient with an odd corner, so that every turn of it looks different."""
    width, height = size
    y, x = np.mgrid[0:height, 0:width]
    planes = [x * 255 // width, y * 255 // height, (x + y) * 255 // (width + height)]
    rgb = np.stack(planes, axis=2).astype(np.uint8)
    rgb[: height // 3, : width // 4] = (255, 0, 0)
    image = Image.fromarray(rgb)
    if mode.endswith("A"):
        image.putalpha(Image.fromarray((x * 255 // width).astype(np.uint8)))
    if mode == "I;16":
        return Image.fromarray((x * 65535 // (width - 1)).astype(np.uint16))
    return image.convert(mode)


def encoded(image: Image.Image, file_format: str, **options: Any) -> bytes:
    """The file that Pillow makes of an image."""
    file = BytesIO()
    image.save(file, file_format, **options)
    return file.getvalue()


def sample(file_format: str, size: tuple[int, int] = (40, 24)) -> bytes:
    """A file in colour of a format; a HEIF has a size of its own."""
    return (
        heif.stored("colour") if file_format == "HEIF" else encoded(picture(size=size), file_format)
    )


CASES = [
    *[("PNG", mode) for mode in ("1", "L", "LA", "P", "RGB", "RGBA", "I;16")],
    *[("JPEG", mode) for mode in ("L", "RGB", "CMYK")],
    *[("GIF", mode) for mode in ("1", "L", "P", "RGB")],
    *[("WEBP", mode) for mode in ("RGB", "RGBA")],
    *[("BMP", mode) for mode in ("1", "L", "P", "RGB", "RGBA")],
    *[("AVIF", mode) for mode in ("RGB", "RGBA")],
    *[("TIFF", mode) for mode in ("1", "L", "LA", "P", "RGB", "RGBA", "I;16", "CMYK", "LAB")],
]
"""A format, and a mode that it has. HEIF, which nothing here can write, is in `heif`."""


TIFF_COMPRESSIONS = (
    "tiff_ccitt",
    "group3",
    "group4",
    "tiff_lzw",
    "jpeg",
    "tiff_adobe_deflate",
    "packbits",
)
"""What is accepted, as Pillow calls it."""


def chunk(kind: bytes, data: bytes) -> bytes:
    return struct.pack(">I", len(data)) + kind + data + struct.pack(">I", zlib.crc32(kind + data))


def png(width: int, height: int, *extra: bytes, pixels: bytes | None = None) -> bytes:
    """A grey PNG, packed tightly: a bomb where the size is large."""
    header = struct.pack(">IIBBBBB", width, height, 8, 0, 0, 0, 0)
    rows = zlib.compress(bytes(height * (width + 1))) if pixels is None else pixels
    parts = [chunk(b"IHDR", header), *extra, chunk(b"IDAT", rows), chunk(b"IEND", b"")]
    return b"\x89PNG\r\n\x1a\n" + b"".join(parts)


Entry = tuple[int, int, Sequence[int]]
SHORT, LONG = 3, 4


def tiff(*changes: Entry, pixels: bytes = bytes(8 * 8), count: int | None = None) -> bytes:
    """A grey TIFF of 8 x 8, some of its tags replaced; `count` is how many it says there are."""
    tags: dict[int, tuple[int, Sequence[int]]] = {
        256: (SHORT, [8]),
        257: (SHORT, [8]),
        258: (SHORT, [8]),
        259: (SHORT, [1]),
        262: (SHORT, [1]),
        273: (LONG, [8]),
        278: (SHORT, [8]),
        279: (LONG, [len(pixels)]),
        **{tag: (kind, values) for tag, kind, values in changes},
    }
    start = 8 + len(pixels)
    place, entries, values = start + 2 + 12 * len(tags) + 4, b"", b""
    for tag, (kind, numbers) in sorted(tags.items()):
        form = "H" if kind == SHORT else "I"
        packed = struct.pack(f"<{len(numbers)}{form}", *numbers)
        inline = (
            packed.ljust(4, b"\0") if len(packed) <= 4 else struct.pack("<I", place + len(values))
        )
        values += packed if len(packed) > 4 else b""
        entries += struct.pack("<HHI", tag, kind, len(numbers)) + inline
    directory = struct.pack("<H", count or len(tags)) + entries + bytes(4)
    return b"II*\0" + struct.pack("<I", start) + pixels + directory + values


def all_files() -> list[bytes]:
    """One file of every kind."""
    return [
        *(encoded(picture(mode), file_format) for file_format, mode in CASES),
        *_animations(),
        *_special(),
    ]


def _animations() -> Iterator[bytes]:
    frames = [Image.new("RGB", (24, 16), colour) for colour in ("red", "lime", "blue")]
    for file_format in ("GIF", "WEBP", "PNG", "AVIF"):
        yield encoded(
            frames[0], file_format, save_all=True, append_images=frames[1:], duration=50, loop=0
        )


def _special() -> Iterator[bytes]:
    """Scans, interlacing, palettes with alpha, run lengths, metadata, second pictures."""
    exif = Image.Exif()
    exif[0x0112], exif[0x010E] = 6, "a text"
    told = {"exif": exif, "icc_profile": b"profile" * 9}
    for file_format in ("JPEG", "PNG", "WEBP", "AVIF"):
        yield encoded(picture(), file_format, **told)
    yield encoded(picture(), "JPEG", progressive=True, comment=b"a comment", **told)
    yield encoded(picture(), "JPEG", subsampling=0, optimize=True, restart_marker_blocks=1)
    yield encoded(picture(), "MPO", save_all=True, append_images=[picture()])
    yield encoded(picture("P"), "PNG", transparency=0)
    yield encoded(picture("P"), "GIF", transparency=0, interlace=1, comment=b"a comment")
    yield encoded(picture(), "WEBP", lossless=True)
    yield encoded(picture(), "AVIF", subsampling="4:4:4", speed=10)
    yield run_lengths()
    for compression in TIFF_COMPRESSIONS:
        mode = "1" if compression.startswith(("group", "tiff_ccitt")) else "RGB"
        yield encoded(picture(mode), "TIFF", compression=compression)
    yield encoded(picture(), "TIFF", compression="tiff_lzw", big_tiff=True, strip_size=240)
    yield from (heif.stored(kind) for kind in heif.KINDS)
    yield heif.heif(2, 2, turn=3, mirror=1, exif=exif.tobytes())


def run_lengths() -> bytes:
    """A BMP of 8 bits per pixel, packed in runs: Pillow reads it, but does not write it."""
    whole = encoded(picture("P"), "BMP")
    start = int.from_bytes(whole[10:14], "little")
    header, rows = bytearray(whole[:start]), whole[start:]
    packed = [bytes((1, index)) for index in rows]
    lines = [b"".join(packed[left : left + 40]) for left in range(0, len(packed), 40)]
    runs = b"\x00\x00".join(lines) + b"\x00\x01"
    header[30:34] = (1).to_bytes(4, "little")
    header[34:38] = len(runs).to_bytes(4, "little")
    return bytes(header) + runs
