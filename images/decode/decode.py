"""Decoding: bytes to an upright RGB picture; every limit is checked before the pixels are decoded.

Two of Pillow's process-wide switches are set here and nowhere else: its warning about
decompression bombs is an error, and its `MAX_IMAGE_PIXELS` is our setting.
"""

import warnings
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from io import BytesIO
from typing import Any

import numpy as np
from PIL import (
    AvifImagePlugin,
    BmpImagePlugin,
    GifImagePlugin,
    Image,
    ImageFile,
    JpegImagePlugin,
    PngImagePlugin,
    WebPImagePlugin,
)

from images.decode.structure import check_frames, check_parts, check_size, webp_size
from images.errors import (
    BrokenImageError,
    ImageError,
    ImageLimitError,
    ImageMemoryError,
    NotAnImageError,
)
from images.schemas import DecodeLimits


class _JpegFile(JpegImagePlugin.JpegImageFile):
    """A JPEG of which only the first picture counts, and whose EXIF is read with the others'.

    Pillow's own factory goes on to read an index of further pictures (MPO), and its reader takes
    the resolution out of EXIF, of whatever size, while it opens the file.
    """

    def _read_dpi_from_exif(self) -> None:
        """The resolution is not used."""


_READERS: dict[str, Callable[..., ImageFile.ImageFile]] = {
    "JPEG": _JpegFile,
    "PNG": PngImagePlugin.PngImageFile,
    "WEBP": WebPImagePlugin.WebPImageFile,
    "GIF": GifImagePlugin.GifImageFile,
    "BMP": BmpImagePlugin.BmpImageFile,
    "AVIF": AvifImagePlugin.AvifImageFile,
}
FORMATS = tuple(_READERS)

_ORIENTATION_TAG = 0x0112
_MAX_EXIF_LENGTH = 1 << 16
_MAX_RUN_LENGTH_PIXELS = 4_000_000
_UPRIGHT = {
    2: Image.Transpose.FLIP_LEFT_RIGHT,
    3: Image.Transpose.ROTATE_180,
    4: Image.Transpose.FLIP_TOP_BOTTOM,
    5: Image.Transpose.TRANSPOSE,
    6: Image.Transpose.ROTATE_270,
    7: Image.Transpose.TRANSVERSE,
    8: Image.Transpose.ROTATE_90,
}
_UNMULTIPLIED = {"La": "LA", "RGBa": "RGBA"}
_TO_8_BITS = ((np.arange(1 << 16) * 255 + 32767) // 65535).astype(np.uint8)

warnings.filterwarnings("error", category=Image.DecompressionBombWarning)
# A picture is decoded in one thread, as many pictures are decoded beside each other.
AvifImagePlugin.DEFAULT_MAX_THREADS = 1


def open_header(data: bytes, limits: DecodeLimits) -> ImageFile.ImageFile:
    """Read an image file's header, and check it against every limit.

    Raises:
        NotAnImageError: the bytes are of no format in `FORMATS`.
        BrokenImageError: they are, but they are damaged or cut off.
        ImageLimitError: the picture has more pixels, is a longer strip, or has more frames or
            parts than is accepted.
    """
    with _translated():
        picture = _opened(data, limits)
        check_size(picture.width, picture.height, limits)
        _check_run_lengths(picture, data)
        if picture.format in {"WEBP", "AVIF"}:  # a GIF's property goes through all frames
            check_frames(getattr(picture, "n_frames", 1), limits)
    return picture


def decode_pixels(picture: ImageFile.ImageFile) -> Image.Image:
    """Decode what `open_header` returned.

    Of an animation it is the first frame. The conversion to RGB is Pillow's own, which drops an
    alpha channel rather than blending it: so does the preprocessing the CLIP models come with.

    Returns:
        The picture in mode RGB, turned upright by its EXIF orientation, without any metadata.

    Raises:
        BrokenImageError: the file is damaged or cut off.
        ImageMemoryError: it needs more memory than this process has.
    """
    with _translated():
        picture.load()
        turn = _UPRIGHT.get(_orientation(picture))
        upright = to_rgb(picture)
        if turn is not None:
            upright = upright.transpose(turn)
    upright.info.clear()
    return upright


def to_rgb(picture: Image.Image) -> Image.Image:
    """A picture of any mode in mode RGB; the picture itself where it is in that mode."""
    if picture.mode == "RGB":
        return picture
    if picture.mode in _UNMULTIPLIED:
        picture = picture.convert(_UNMULTIPLIED[picture.mode])
    elif picture.mode.startswith("I"):
        # Grey of 16 bits. Pillow's own conversion cuts every value above 255 to white.
        grey = np.asarray(picture)
        if picture.mode == "I":
            grey = grey.clip(0, 65535)
        picture = Image.fromarray(_TO_8_BITS[grey])
    return picture.convert("RGB")


def _opened(data: bytes, limits: DecodeLimits) -> ImageFile.ImageFile:
    """Read the header, by the first reader that knows the file's signature.

    This is `Image.open` with a list of formats, but for one thing: ultralytics replaces that
    function, in any process that imports it, by one that installs a package whenever a file is
    not recognized (ultralytics/utils/patches.py).
    """
    Image.MAX_IMAGE_PIXELS = limits.max_image_pixels
    for name, reader in _READERS.items():
        _, accept = Image.OPEN[name]
        # The check of a reader that was not compiled in answers with a text.
        if accept is not None and accept(data[:16]) is True:
            check_parts(name, data, limits)
            webp_size(data, limits)
            try:
                return reader(BytesIO(data), "")
            except (Image.DecompressionBombWarning, Image.DecompressionBombError) as error:
                raise ImageLimitError(
                    f"the image has more than {limits.max_image_pixels:,} pixels, which is the "
                    "most that is accepted",
                    str(error),
                ) from error
    raise NotAnImageError(
        f"the file is not an image of a supported format ({', '.join(FORMATS)})",
        f"starts with {data[:16]!r}",
    )


def _check_run_lengths(picture: ImageFile.ImageFile, data: bytes) -> None:
    """Refuse a large run-length encoded BMP: Pillow unpacks those in Python, byte by byte."""
    packed = any(tile[0] == "bmp_rle" for tile in picture.tile)
    if packed and max(picture.width * picture.height, len(data)) > _MAX_RUN_LENGTH_PIXELS:
        raise ImageLimitError(
            f"a run-length encoded BMP may have at most {_MAX_RUN_LENGTH_PIXELS:,} pixels"
        )


def _orientation(picture: Image.Image) -> int:
    """Return the EXIF orientation; 1, upright, where EXIF is absent or cannot be read.

    EXIF is cut at the length that fits into a JPEG's segment: its entries may overlap, so that
    what Pillow reads and keeps of it grows with the square of its length.
    """
    for name in ("exif", "Raw profile type exif"):
        if name in picture.info:
            picture.info[name] = picture.info[name][:_MAX_EXIF_LENGTH]
    try:
        orientation: Any = picture.getexif().get(_ORIENTATION_TAG)
    except Exception:  # EXIF is a format of its own and fails in as many ways
        return 1
    return orientation if isinstance(orientation, int) else 1


@contextmanager
def _translated() -> Iterator[None]:
    """Turn what Pillow raises for hostile or broken files into `ImageError`.

    That can be anything: OSError and SyntaxError by design, and whatever its code runs into where
    a file is not what its header promises (struct.error, zlib.error, AssertionError, ...).
    """
    try:
        yield
    except ImageError:
        raise
    except MemoryError as error:
        raise ImageMemoryError from error
    except Exception as error:
        raise BrokenImageError(
            "the image file is damaged or cut off", f"{type(error).__name__}: {error}"
        ) from error
