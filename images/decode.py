"""Bytes to an upright RGB picture; every limit is checked before the pixel work.

Two of Pillow's process-wide switches are set here and nowhere else: its warning about
decompression bombs is an error, and its `MAX_IMAGE_PIXELS` is our setting.
"""

import struct
import warnings
import zlib
from collections.abc import Iterator
from contextlib import contextmanager
from io import BytesIO

import numpy as np
from PIL import Image

from images.errors import BrokenImageError, ImageLimitError, NotAnImageError
from images.settings import DecodeSettings

FORMATS = ("JPEG", "PNG", "WEBP", "GIF", "BMP", "AVIF")
_ORIENTATION_TAG = 0x0112
_START_OF_SCAN = b"\xff\xda"
_MAX_SCANS = 100
_UPRIGHT = {
    2: Image.Transpose.FLIP_LEFT_RIGHT,
    3: Image.Transpose.ROTATE_180,
    4: Image.Transpose.FLIP_TOP_BOTTOM,
    5: Image.Transpose.TRANSPOSE,
    6: Image.Transpose.ROTATE_270,
    7: Image.Transpose.TRANSVERSE,
    8: Image.Transpose.ROTATE_90,
}

Image.init()  # registers the readers
warnings.filterwarnings("error", category=Image.DecompressionBombWarning)


def decode(data: bytes, settings: DecodeSettings) -> Image.Image:
    """Decode an image file.

    Of an animation it is the first frame. The conversion to RGB is Pillow's own, which drops an
    alpha channel rather than blending it: so does the preprocessing the CLIP models come with.

    Returns:
        The picture in mode RGB, turned upright by its EXIF orientation, without any metadata.

    Raises:
        NotAnImageError: the bytes are of no format in `FORMATS`.
        BrokenImageError: they are, but they are damaged or cut off.
        ImageLimitError: the picture has more pixels, or is a longer strip, than is accepted.
    """
    with _translated(settings), _opened(data, settings) as picture:
        _check_size(picture.width, picture.height, settings)
        _check_scans(picture, data)
        picture.load()
        upright = _upright(_to_rgb(picture), _orientation(picture))
    upright.info.clear()
    return upright


def count_pixels(data: bytes, settings: DecodeSettings) -> int:
    """Width times height of an image file, from its header alone.

    Raises:
        NotAnImageError, BrokenImageError, ImageLimitError: as `decode` would.
    """
    with _translated(settings), _opened(data, settings) as picture:
        _check_size(picture.width, picture.height, settings)
        return picture.width * picture.height


def _opened(data: bytes, settings: DecodeSettings) -> Image.Image:
    """Read the header, by the first reader that knows the file's signature.

    This is `Image.open` with a list of formats, but for one thing: ultralytics replaces that
    function, in any process that imports it, by one that installs a package whenever a file is
    not recognized (ultralytics/utils/patches.py).
    """
    Image.MAX_IMAGE_PIXELS = settings.max_image_pixels
    for name in FORMATS:
        factory, accept = Image.OPEN[name]
        # The check of a reader that was not compiled in answers with a text.
        if accept is None or accept(data[:16]) is True:
            return factory(BytesIO(data), "")
    raise NotAnImageError(
        f"the file is not an image of a supported format ({', '.join(FORMATS)})",
        f"starts with {data[:16]!r}",
    )


def _check_size(width: int, height: int, settings: DecodeSettings) -> None:
    if width * height > settings.max_image_pixels:
        raise ImageLimitError(
            f"the image has {width} x {height} pixels, at most "
            f"{settings.max_image_pixels:,} in all are accepted"
        )
    if max(width, height) > settings.max_aspect_ratio * min(width, height):
        raise ImageLimitError(
            f"the image has {width} x {height} pixels, its long side may be at most "
            f"{settings.max_aspect_ratio:g} times its short side"
        )


def _check_scans(picture: Image.Image, data: bytes) -> None:
    """Refuse a progressive JPEG that paints itself over and over.

    Each scan goes over the whole picture, and one of 75 bytes is enough for that: a file of 20 MB
    could take hours. Ordinary encoders make about ten. Inside the pixels' data the marker cannot
    occur, because JPEG stuffs a zero behind each FF there.
    """
    if picture.format == "JPEG" and data.count(_START_OF_SCAN) > _MAX_SCANS:
        raise ImageLimitError(f"the JPEG has more than {_MAX_SCANS} scans")


def _to_rgb(picture: Image.Image) -> Image.Image:
    if picture.mode.startswith("I;16"):
        # Pillow's own conversion cuts every value above 255 to white.
        grey = np.asarray(picture).astype(np.uint32)
        picture = Image.fromarray(((grey * 255 + 32767) // 65535).astype(np.uint8))
    return picture.convert("RGB")


def _orientation(picture: Image.Image) -> int:
    """Return the EXIF orientation; 1, upright, where EXIF is absent or cannot be read."""
    try:
        orientation = picture.getexif().get(_ORIENTATION_TAG)
    except Exception:  # EXIF is a format of its own and fails in as many ways
        return 1
    return orientation if isinstance(orientation, int) else 1


def _upright(picture: Image.Image, orientation: int) -> Image.Image:
    turn = _UPRIGHT.get(orientation)
    return picture if turn is None else picture.transpose(turn)


@contextmanager
def _translated(settings: DecodeSettings) -> Iterator[None]:
    """Turn what Pillow raises for hostile or broken files into this room's errors."""
    try:
        yield
    except (Image.DecompressionBombWarning, Image.DecompressionBombError) as error:
        raise ImageLimitError(
            f"the image has more than {settings.max_image_pixels:,} pixels", str(error)
        ) from error
    except MemoryError as error:
        raise ImageLimitError("the image needs more memory than there is") from error
    except _BROKEN as error:
        raise BrokenImageError(
            "the image file is damaged or cut off", f"{type(error).__name__}: {error}"
        ) from error


# What Pillow's readers let through for files that are not what their headers promise.
_BROKEN = (
    OSError,
    ValueError,
    SyntaxError,
    EOFError,
    struct.error,
    zlib.error,
    TypeError,
    LookupError,
    ArithmeticError,
    RuntimeError,
)
