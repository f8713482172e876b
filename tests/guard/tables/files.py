"""Image files: what is decoded, and what is refused before or while it is.

The stage's limits are 4,000,000 pixels and an aspect ratio of 50.
"""

import struct
import zlib

from PIL import Image

from tests.guard.case import (
    BROKEN,
    TOO_MANY_PIXELS,
    Case,
    Expected,
    either,
    picture,
    refusal,
    served,
)
from tests.guard.stage.site import http
from tests.images import heif
from tests.images.samples import LONG, SHORT, TIFF_COMPRESSIONS, chunk, encoded, png, tiff
from tests.images.samples import picture as drawn

OUTSIDE = refusal("not_an_image", says="(JPEG, PNG, WEBP, GIF, BMP, AVIF, HEIF, TIFF)")
# Some damage hides nothing that the pixels need.
EITHER = either("image_broken", "not_an_image", "image_dimensions")
REFUSED = refusal("image_broken", "not_an_image", "image_dimensions")
SMALL = (40, 24)


def file(title: str, data: bytes, expected: Expected) -> Case:
    return served(title, http(data), expected)


MODES = [
    file(f"{kind} {mode}", encoded(drawn(mode), kind), picture(*SMALL))
    for kind, modes in {
        "PNG": ("1", "L", "LA", "P", "RGB", "RGBA", "I;16"),
        "JPEG": ("L", "RGB", "CMYK"),
        "GIF": ("1", "L", "P", "RGB"),
        "WEBP": ("RGB", "RGBA"),
        "BMP": ("1", "L", "P", "RGB", "RGBA"),
        "AVIF": ("RGB", "RGBA"),
        "TIFF": ("1", "L", "LA", "P", "RGB", "RGBA", "I;16", "CMYK", "LAB"),
    }.items()
    for mode in modes
] + [
    *(file(f"HEIC {kind}", heif.stored(kind), picture(64, 48)) for kind in heif.KINDS),
    *(
        file(f"TIFF {kind}", encoded(drawn("1" if "3" in kind or "4" in kind or "ccitt" in kind else "RGB"), "TIFF", compression=kind), picture(*SMALL))
        for kind in TIFF_COMPRESSIONS
    ),
]  # fmt: skip


def frames(count: int) -> list[Image.Image]:
    return [Image.new("RGB", SMALL, (n % 256, 0, 0)) for n in range(1, count)]


def oriented(kind: str, orientation: int) -> bytes:
    exif = Image.Exif()
    exif[0x0112] = orientation
    return encoded(drawn(), kind, exif=exif)


SHAPES = [
    *(
        file(
            f"an animated {kind}",
            encoded(drawn(), kind, save_all=True, append_images=frames(5)),
            picture(*SMALL),
        )
        for kind in ("GIF", "WEBP", "PNG", "AVIF")
    ),
    file(
        "a GIF of 2,000 frames",
        encoded(drawn(), "GIF", save_all=True, append_images=frames(2000)),
        picture(*SMALL),
    ),
    *(
        file(
            f"{kind} turned by {orientation}",
            oriented(kind, orientation),
            picture(*SMALL if orientation < 5 else SMALL[::-1]),
        )
        for kind in ("JPEG", "PNG", "WEBP", "TIFF")
        for orientation in range(1, 9)
    ),
    *(
        file(f"orientation {number}", oriented("JPEG", number), picture(*SMALL))
        for number in (0, 9, 65535)
    ),
    file("EXIF of garbage", encoded(drawn(), "JPEG", exif=b"Exif\0\0garbage"), picture(*SMALL)),
    file(
        "EXIF that points outside",
        encoded(drawn(), "JPEG", exif=b"Exif\0\0MM\0*\xff\xff\xff\xff\xff\xff"),
        picture(*SMALL),
    ),
    file("a progressive JPEG", encoded(drawn(), "JPEG", progressive=True), picture(*SMALL)),
    file("an interlaced PNG", encoded(drawn(), "PNG", interlace=1), picture(*SMALL)),
    file(
        "a JPEG of several pictures",
        encoded(drawn(), "MPO", save_all=True, append_images=frames(3)),
        picture(*SMALL),
    ),
    file(
        "EXIF of 60,000 bytes",
        encoded(drawn(), "JPEG", exif=b"Exif\0\0" + bytes(60_000)),
        picture(*SMALL),
    ),
    file(
        "a profile of 60,000 bytes",
        encoded(drawn(), "JPEG", icc_profile=bytes(60_000)),
        picture(*SMALL),
    ),
    file(
        "a profile of nonsense", encoded(drawn(), "PNG", icc_profile=b"nonsense"), picture(*SMALL)
    ),
    file("a lossless WebP", encoded(drawn("RGBA"), "WEBP", lossless=True), picture(*SMALL)),
    *(
        file(
            f"HEIC turned by {turn} quarters, {orientation} by EXIF",
            heif.heif(2, 1, turn=turn, exif=oriented("TIFF", orientation)),
            picture(*(128, 64) if turn % 2 == 0 else (64, 128)),
        )
        for turn in range(4)
        for orientation in (1, 6)
    ),
    file(
        "a TIFF of 3 pages",
        encoded(drawn(), "TIFF", save_all=True, append_images=frames(3)),
        picture(*SMALL),
    ),
    file("one pixel", encoded(Image.new("RGB", (1, 1)), "PNG"), picture(1, 1)),
    file("just within the strip", encoded(Image.new("L", (2, 100)), "PNG"), picture(2, 100)),
    file(
        "just within the pixels", encoded(Image.new("L", (2000, 2000)), "PNG"), picture(2000, 2000)
    ),
]

TOO_LARGE = [
    file("a pixel row too many", encoded(Image.new("L", (2000, 2001)), "PNG"), TOO_MANY_PIXELS),
    file("a PNG bomb of 144 megapixels", png(12000, 12000, pixels=b"x"), TOO_MANY_PIXELS),
    file("a real PNG bomb", png(9000, 9000), TOO_MANY_PIXELS),
    file("a PNG of 2^31 by 2^31", png(2**31 - 1, 2**31 - 1, pixels=b"x"), REFUSED),
    file("a strip of 1 by 51", encoded(Image.new("L", (1, 51)), "PNG"), TOO_MANY_PIXELS),
    file("a strip of 6000 by 1", encoded(Image.new("L", (6000, 1)), "PNG"), TOO_MANY_PIXELS),
    file("a JPEG of 65500 by 100", encoded(Image.new("L", (65500, 100)), "JPEG"), TOO_MANY_PIXELS),
    file("a GIF of 65535 by 65535", b"GIF89a\xff\xff\xff\xff\0\0\0,\0\0\0\0\xff\xff\xff\xff\0\x08\0;", REFUSED),
    file("a BMP of 60000 by 60000", b"BM" + struct.pack("<IHHIIiiHHIIiiII", 99, 0, 0, 54, 40, 60000, 60000, 1, 24, 0, 0, 0, 0, 0, 0) + bytes(40), REFUSED),
    file("a BMP of negative size", b"BM" + struct.pack("<IHHIIiiHHIIiiII", 99, 0, 0, 54, 40, -9, -9, 1, 24, 0, 0, 0, 0, 0, 0) + bytes(40), REFUSED),
    file("a HEIC grid of 60000 by 60000", heif.heif(2, 2, size=(60_000, 60_000)), TOO_MANY_PIXELS),
    file("a real HEIC bomb: 961 tiles that are the same", heif.heif(31, 31, size=(1984, 1984)), picture(1984, 1984)),
    file("a HEIC bomb of 1,089 tiles", heif.heif(33, 33), BROKEN),
    file("a HEIC strip", heif.heif(60, 1), TOO_MANY_PIXELS),
    file("a TIFF of 60000 by 60000", tiff((256, LONG, [60_000]), (257, LONG, [60_000])), TOO_MANY_PIXELS),
    file("a TIFF of 2^32 by 2^32", tiff((256, LONG, [2**32 - 1]), (257, LONG, [2**32 - 1])), TOO_MANY_PIXELS),
    file("a TIFF of tiles of 65536 by 65536", tiff((322, LONG, [65536]), (323, LONG, [65536])), TOO_MANY_PIXELS),
    file("a TIFF of 200,000 strips", tiff((273, LONG, [8] * 200_000), (279, LONG, [64] * 200_000)), TOO_MANY_PIXELS),
    file("no width", png(0, 8), REFUSED),
    file("no height", png(8, 0), REFUSED),
]  # fmt: skip

WHOLE = {kind: encoded(drawn(size=(200, 120)), kind) for kind in ("JPEG", "PNG", "WEBP", "GIF", "BMP", "AVIF", "TIFF")} | {"HEIC": heif.heif(2, 2)}  # fmt: skip
CUT = [
    file(f"{kind} cut off at {percent}%", data[: len(data) * percent // 100], REFUSED)
    for kind, data in WHOLE.items()
    for percent in (3, 40, 90)
]

HONEST = encoded(drawn(), "JPEG", progressive=True)
CORRUPT = [
    file("zTXt of nonsense", png(8, 8, chunk(b"zTXt", b"x\0\0broken")), picture(8, 8)),
    file("a text bomb", png(8, 8, chunk(b"zTXt", b"x\0\0" + zlib.compress(bytes(2**25)))), picture(8, 8)),
    file("an iTXt bomb", png(8, 8, chunk(b"iTXt", b"x\0\1\0\0\0" + zlib.compress(bytes(2**25)))), picture(8, 8)),
    file("an iCCP bomb", png(8, 8, chunk(b"iCCP", b"x\0\0" + zlib.compress(bytes(2**25)))), picture(8, 8)),
    file("pixels that are not deflated", png(8, 8, pixels=b"nonsense"), BROKEN),
    file("too few pixels", png(8, 8, pixels=zlib.compress(b"short")), BROKEN),
    file("a pixel bomb behind a small header", png(8, 8, pixels=zlib.compress(bytes(2**26))), picture(8, 8)),
    file("a wrong checksum", png(8, 8)[:20] + b"\1" + png(8, 8)[21:], REFUSED),
    file("no pixels", b"\x89PNG\r\n\x1a\n" + chunk(b"IHDR", struct.pack(">IIBBBBB", 8, 8, 8, 0, 0, 0, 0)) + chunk(b"IEND", b""), REFUSED),
    file("a chunk of 2^31", b"\x89PNG\r\n\x1a\n" + struct.pack(">I", 2**31 - 1) + b"IHDR", REFUSED),
    file("a filter that there is not", png(8, 8, pixels=zlib.compress(b"\xff" * 72)), BROKEN),
    file("a JPEG without tables", b"\xff\xd8\xff\xc0\0\x0b\x08\0\x08\0\x08\1\1\x11\0\xff\xda\0\x08\1\1\0\0\x3f\0" + bytes(40) + b"\xff\xd9", REFUSED),
    file("a JPEG that ends after its start", b"\xff\xd8\xff", REFUSED),
    file("a JPEG of 1,000 scans", HONEST[:-2] + HONEST[HONEST.rindex(b"\xff\xda") : -2] * 1000 + HONEST[-2:], TOO_MANY_PIXELS),
    file("a WebP whose size lies", b"RIFF\xff\xff\xff\xffWEBPVP8 \xff\xff\xff\x7f" + bytes(50), REFUSED),
    file("a GIF without a frame", b"GIF89a\x08\0\x08\0\0\0\0;", REFUSED),
    file("a wrong checksum in a text", png(8, 8, chunk(b"tEXt", b"x\0y")[:-1] + b"!"), picture(8, 8)),
    file("a PNG without its end", png(8, 8)[:-12], picture(8, 8)),
    file("a JPEG without its end marker", HONEST[:-2], picture(*SMALL)),
    file("a JPEG without its end", HONEST[:-20], BROKEN),
    file("a GIF without its trailer", encoded(drawn("P"), "GIF")[:-1], picture(*SMALL)),
    file("a HEIC of boxes only", b"\0\0\0\x18ftypheic\0\0\0\0mif1heic", REFUSED),
    file("a HEIC canvas that no tile covers", heif.heif(2, 2, size=(1000, 1000)), BROKEN),
    file("HEIC tiles that are smaller than they say", heif.heif(2, 2, tile=(3000, 3000)), BROKEN),
    file("a HEIC in AV1 that says it is AVIF", heif.heif(brands=(b"avif", b"mif1")), BROKEN),
    file("a TIFF whose strips are the same bytes", tiff((273, LONG, [8] * 1000), (279, LONG, [9000] * 1000)), BROKEN),
    file("a TIFF whose directory lies outside", b"II*\0\xff\xff\xff\xff", BROKEN),
    file("a TIFF that follows itself", tiff()[:-4] + struct.pack("<I", 72), picture(8, 8)),
    *(
        file(f"a TIFF of compression {number}", tiff((259, SHORT, [number])), refusal("not_an_image", says="LZW"))
        for number in (6, 32809, 34676, 34887, 34925, 50000, 50001)
    ),
    file("an AVIF of boxes only", b"\0\0\0\x20ftypavif\0\0\0\0avifmif1miafMA1B", REFUSED),
]  # fmt: skip

POLYGLOTS = [
    file("a JPEG with a script at its end", encoded(drawn(), "JPEG") + b"<script>alert(1)</script>", picture(*SMALL)),
    file("a JPEG with a zip at its end", encoded(drawn(), "JPEG") + b"PK\3\4" + bytes(200), picture(*SMALL)),
    file("a PNG with a page in a comment", png(8, 8, chunk(b"tEXt", b"x\0<html><script>")), picture(8, 8)),
    file("a GIF that is JavaScript", b"GIF89a/*" + bytes(20) + b"*/=1;alert(1)", REFUSED),
    file("HTML before a JPEG", b"<html>" + encoded(drawn(), "JPEG"), OUTSIDE),
    file("a PNG's signature on a JPEG", b"\x89PNG\r\n\x1a\n" + encoded(drawn(), "JPEG"), REFUSED),
    file("a JPEG's signature on a PNG", b"\xff\xd8\xff" + encoded(drawn(), "PNG"), REFUSED),
    file("a BMP's signature on a text", b"BM this is no picture", REFUSED),
]  # fmt: skip

OTHERS = [
    file(title, data, OUTSIDE)
    for title, data in {
        "a byte": b"\0",
        "a text": b"hello",
        "HTML": b"<!doctype html><html><img src=x></html>",
        "SVG": b'<svg xmlns="http://www.w3.org/2000/svg"><image href="file:///etc/passwd"/></svg>',
        "SVG with an entity": b'<?xml version="1.0"?><!DOCTYPE svg [<!ENTITY x SYSTEM "file:///etc/passwd">]><svg/>',
        "PDF": b"%PDF-1.7\n",
        "PostScript": b"%!PS-Adobe-3.0 EPSF-3.0\n%%BoundingBox: 0 0 9 9\n(%pipe%id) (w) file\n",
        "MVG": b"push graphic-context\nimage over 0,0 0,0 'https://127.0.0.2/'\n",
        "a pickle": b"\x80\x04\x95cos\nsystem\n(S'id'\ntR.",
        "JSON": b"{}",
        "MP4": b"\0\0\0\x20ftypisom\0\0\2\0",
        "JPEG 2000": encoded(drawn(), "JPEG2000"),
        "JPEG 2000 in HEIF": b"\0\0\0\x18ftypj2ki\0\0\0\0j2kiheif",
        "JPEG XL": b"\xff\x0a" + bytes(20),
        "PSD": b"8BPS\0\1" + bytes(20),
        "WMF": b"\xd7\xcd\xc6\x9a" + bytes(40),
        "XBM": b"#define x_width 8\n#define x_height 8\nstatic char x_bits[] = {0};\n",
        "FITS": b"SIMPLE  =                    T",
        "WAV": b"RIFF\x24\0\0\0WAVEfmt ",
        **{kind: encoded(drawn(), kind) for kind in ("PPM", "ICO", "PDF", "TGA", "PCX", "ICNS", "DDS", "SGI")},
    }.items()
]  # fmt: skip

CASES = [*MODES, *SHAPES, *TOO_LARGE, *CUT, *CORRUPT, *POLYGLOTS, *OTHERS]
