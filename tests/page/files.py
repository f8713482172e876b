"""Files of every kind that is taken; Chromium, or their source, says what they show."""

import struct
import zlib
from collections.abc import Iterator
from typing import Any, NamedTuple

import numpy as np
from PIL import Image, ImageDraw

from tests.images import heif
from tests.images.samples import (
    CASES,
    LONG,
    SHORT,
    TIFF_COMPRESSIONS,
    chunk,
    encoded,
    picture,
    png,
    run_lengths,
    tiff,
)

SIZE = (120, 72)
Colour = tuple[int, int, int]
_WHITE, _BLACK = (255, 255, 255), (0, 0, 0)


class File(NamedTuple):
    """A file.

    Attributes:
        title: what it is.
        data: its bytes.
        source: what it shows, where Chromium cannot tell; it does, where this is None.
        whole: the file that Chromium is to show in its place, if any.
        ground: what shows through it.
        is_exact: whether it was written without loss.
    """

    title: str
    data: bytes
    source: Image.Image | None = None
    ground: Colour = _WHITE
    is_exact: bool = True
    whole: bytes = b""


def files() -> list[File]:
    """All of them."""
    return [
        *_modes(),
        *_turned(),
        *_transparent(),
        *_moving(),
        *_faulty(),
        *_written(),
        *_sources(),
    ]


def _modes() -> Iterator[File]:
    for name, mode in CASES:
        if name != "TIFF" and (name, mode) != ("AVIF", "RGBA"):
            yield File(
                f"{name} {mode}", encoded(picture(mode, SIZE), name), is_exact=name in _LOSSLESS
            )


_LOSSLESS = frozenset({"PNG", "GIF", "BMP"})


def _turned() -> Iterator[File]:
    for name, orientations in (("JPEG", range(2, 9)), ("PNG", (6,))):
        for orientation in orientations:
            exif = Image.Exif()
            exif[0x0112] = orientation
            data = encoded(picture(size=SIZE), name, exif=exif)
            yield File(f"{name} turned by {orientation}", data, is_exact=name == "PNG")


def icon(shape: str, value: int) -> Image.Image:
    """A shape of one grey on nothing."""
    alpha = Image.new("L", (64, 64))
    draw = ImageDraw.Draw(alpha)
    places: list[Any] = [(32, 8), (56, 56), (8, 56)] if shape == "polygon" else [8, 8, 56, 56]
    getattr(draw, shape)(places, 255)
    image = Image.new("RGB", alpha.size, (value,) * 3)
    image.putalpha(alpha)
    return image


def hidden() -> Image.Image:
    """A photograph, most of which was erased by its alpha alone."""
    image = picture(size=SIZE)
    alpha = Image.new("L", SIZE)
    ImageDraw.Draw(alpha).ellipse((30, 10, 90, 60), 255)
    image.putalpha(alpha)
    return image


def _grey_png(depth: int, colour: int, row: bytes, transparency: bytes) -> bytes:
    header = struct.pack(">IIBBBBB", 2, 1, depth, colour, 0, 0, 0)
    parts = [(b"IHDR", header), (b"tRNS", transparency), (b"IDAT", zlib.compress(b"\0" + row))]
    return b"\x89PNG\r\n\x1a\n" + b"".join(chunk(*part) for part in [*parts, (b"IEND", b"")])


def _bmp_with_alpha(image: Image.Image) -> bytes:
    """A BMP of version 4, which alone has a mask for alpha."""
    rows = np.asarray(image.convert("RGBA"))[::-1, :, [2, 1, 0, 3]].tobytes()
    masks = (0xFF0000, 0xFF00, 0xFF, 0xFF000000)
    header = struct.pack("<IiiHHIIiiII", 108, *image.size, 1, 32, 3, len(rows), 0, 0, 0, 0)
    header += struct.pack("<IIII", *masks)
    header = header.ljust(108, b"\0")
    return b"BM" + struct.pack("<IHHI", 122 + len(rows), 0, 0, 122) + header + rows


def _transparent() -> Iterator[File]:
    for shape in ("ellipse", "rectangle", "polygon"):
        for value, ground in ((0, _WHITE), (255, _BLACK)):
            yield File(f"{shape} of {value}", encoded(icon(shape, value), "PNG"), ground=ground)
    yield File("erased", encoded(hidden(), "PNG"))
    yield File("erased WebP", encoded(hidden(), "WEBP", lossless=True))
    yield File("erased GIF", encoded(hidden(), "GIF"))
    yield File("erased BMP", _bmp_with_alpha(hidden()))
    yield File("a palette with a hole", encoded(picture("P", SIZE), "PNG", transparency=0))
    alphas = bytes(range(255, -1, -1))
    yield File("a palette of alphas", encoded(picture("P", SIZE), "PNG", transparency=alphas))
    yield File("a hole in a GIF", encoded(picture("P", SIZE), "GIF", transparency=0, interlace=1))
    yield File("one grey of 1 bit", _grey_png(1, 0, b"\x40", b"\0\1"))
    yield File("one grey of 2 bits", _grey_png(2, 0, b"\x60", b"\0\2"))
    yield File("one grey of 4 bits", _grey_png(4, 0, b"\x37", b"\0\7"))
    yield File("one grey of 8 bits", _grey_png(8, 0, b"\x30\x70", b"\0\x70"))
    yield File("one grey of 16 bits", _grey_png(16, 0, b"\x30\x30\x70\1", b"\x70\1"))
    yield File("one colour", _grey_png(8, 2, b"\x30\x40\x50\x70\x60\x50", b"\0\x70\0\x60\0\x50"))
    yield File("one deep colour", _grey_png(16, 2, b"\x30" * 6 + b"\x70" * 6, b"\x70" * 6))
    small = bytearray(encoded(picture("P", (40, 24)), "GIF"))
    small[6:10] = struct.pack("<HH", 60, 50)
    yield File("a GIF smaller than its screen", bytes(small))


def _moving() -> Iterator[File]:
    frames = [icon("ellipse", 30), icon("rectangle", 60)]
    for name in ("GIF", "WEBP", "PNG"):
        options: dict[str, Any] = {"lossless": True} if name == "WEBP" else {}
        data = encoded(
            frames[0], name, save_all=True, append_images=frames[1:], duration=60_000, **options
        )
        yield File(f"a moving {name}", data)


def _faulty() -> Iterator[File]:
    image = picture(size=SIZE)
    for title, options in _JPEGS.items():
        whole = encoded(image, "JPEG", **options)
        # Chromium leaves out the last rows then, although the file has their pixels.
        yield File(f"{title} without its end", whole[:-2], is_exact=False, whole=whole)
    text = chunk(b"tEXt", b"Title\0words")
    for title, part in {
        "a text of a wrong checksum": text[:-1] + bytes([text[-1] ^ 1]),
        "a profile of nonsense": chunk(b"iCCP", b"x\0\0broken"),
        "a text that unpacks to 32 MB": chunk(b"zTXt", b"x\0\0" + zlib.compress(bytes(2**25))),
    }.items():
        yield File(title, png(8, 8, part))
    yield File("a PNG without its end", encoded(image, "PNG")[:-12])
    yield File("a GIF without its trailer", encoded(image, "GIF")[:-1])
    for name in ("JPEG", "PNG", "GIF", "WEBP", "BMP", "AVIF"):
        data = encoded(image, name) + b"<html>" * 99
        yield File(f"{name} with something behind it", data, is_exact=name in _LOSSLESS)


_JPEGS: dict[str, dict[str, Any]] = {
    "baseline": {},
    "progressive": {"progressive": True},
    "restarts": {"restart_marker_blocks": 3},
    "full colour": {"subsampling": 0},
}


def _written() -> Iterator[File]:
    image = picture(size=SIZE)
    for title, options in _JPEGS.items():
        yield File(title, encoded(image, "JPEG", **options), is_exact=False)
    pair = encoded(image, "MPO", save_all=True, append_images=[picture("L", SIZE)])
    yield File("a JPEG of two pictures", pair, is_exact=False)
    yield File("lossless WebP", encoded(picture("RGBA", SIZE), "WEBP", lossless=True))
    yield File("AVIF in full colour", encoded(image, "AVIF", subsampling="4:4:4"), is_exact=False)
    yield File("a BMP in runs", run_lengths())


def _sources() -> Iterator[File]:
    """What Chromium does not show, or in other colours: beside what was written.

    It takes the levels of an AVIF with alpha for those of video (16 to 235), and turns no WebP.
    """
    frames = [icon("ellipse", 30), icon("rectangle", 60)]
    moving = encoded(frames[0], "AVIF", save_all=True, append_images=frames[1:], duration=50)
    yield File("a moving AVIF", moving, _on_white(frames[0]), is_exact=False)
    faded = encoded(picture("RGBA", SIZE), "AVIF")
    yield File("AVIF RGBA", faded, _on_white(picture("RGBA", SIZE)), is_exact=False)
    exif = Image.Exif()
    exif[0x0112] = 6
    turned = picture(size=SIZE).transpose(Image.Transpose.ROTATE_270)
    yield File(
        "WebP turned by 6", encoded(picture(size=SIZE), "WEBP", exif=exif, lossless=True), turned
    )
    for mode in ("1", "L", "LA", "P", "RGB", "RGBA", "CMYK"):
        image = picture(mode, SIZE)
        yield File(f"TIFF {mode}", encoded(image, "TIFF"), _on_white(image))
    for compression in TIFF_COMPRESSIONS:
        bilevel = compression in {"tiff_ccitt", "group3", "group4"}
        image = picture("1" if bilevel else "RGB", SIZE)
        data = encoded(image, "TIFF", compression=compression)
        yield File(f"TIFF {compression}", data, _on_white(image), is_exact=compression != "jpeg")
    shades = np.arange(64, dtype=np.uint8).reshape(8, 8) * 4
    white_is_zero = tiff((262, SHORT, [0]), (256, LONG, [8]), pixels=shades.tobytes())
    yield File("TIFF where 0 is white", white_is_zero, Image.fromarray(255 - shades).convert("RGB"))
    for kind, mode in {"colour": "RGB", "alpha": "RGBA", "grey": "L", "deep": "RGB"}.items():
        shown = _on_white(picture(mode, (64, 48)))
        yield File(f"HEIC {kind}", heif.stored(kind), shown, is_exact=False)


def _on_white(image: Image.Image) -> Image.Image:
    """By the definition of alpha, in floats."""
    rgba = np.asarray(image.convert("RGBA")).astype(float)
    alpha = rgba[..., 3:] / 255
    return Image.fromarray((rgba[..., :3] * alpha + 255 * (1 - alpha)).round().astype(np.uint8))
