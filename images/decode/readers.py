"""Readers: Pillow's, one for each format, made safe for strangers' files and lenient as browsers.

Two of Pillow's process-wide switches are set here and nowhere else: its warning about
decompression bombs is an error, and its `MAX_IMAGE_PIXELS` is our setting.
"""

import warnings
from collections.abc import Callable
from io import BytesIO
from typing import Any

import pi_heif
from PIL import (
    AvifImagePlugin,
    BmpImagePlugin,
    GifImagePlugin,
    Image,
    ImageFile,
    JpegImagePlugin,
    PngImagePlugin,
    TiffImagePlugin,
    WebPImagePlugin,
)

from images.decode.png import needed_chunks
from images.decode.prepare import pixel_digest
from images.decode.structure import FORMATS, check_parts, file_format, webp_size
from images.decode.tiff import check_tiff
from images.errors import ImageLimitError, NotAnImageError
from images.schemas import DecodeLimits

_CUT_OFF = "image file is truncated"
_END_OF_JPEG = b"\xff\xd9"
_FILLER = bytes((number * 37 + 170) % 251 for number in range(256))
"""Bytes as they are in pixels' data, and no marker."""

_ORIENTATION_TAG = 0x0112
_UPRIGHT = 1
_PNG_BITS, _DEEPEST_SAMPLE_BITS = 24, 8

warnings.filterwarnings("error", category=Image.DecompressionBombWarning)
# A picture is decoded in one thread, as many pictures are decoded beside each other. (libde265
# always works in one of its own, while the other waits.)
AvifImagePlugin.DEFAULT_MAX_THREADS = 1
pi_heif.options.DECODE_THREADS = 0
# Of a HEIF file nothing but the picture itself is read.
pi_heif.options.THUMBNAILS = pi_heif.options.DEPTH_IMAGES = pi_heif.options.AUX_IMAGES = False


class _JpegFile(JpegImagePlugin.JpegImageFile):
    """A JPEG of which only the first picture counts, and whose EXIF is read with the others'.

    Pillow's own factory goes on to read an index of further pictures (MPO), and its reader takes
    the resolution out of EXIF, of whatever size, while it opens the file.
    """

    def _read_dpi_from_exif(self) -> None:
        """The resolution is not used."""

    def load(self) -> Any:
        """Decode it; where the file has no end marker, but all of its pixels, as if it had one.

        Pillow's `LOAD_TRUNCATED_IMAGES` would take half a picture as well, of whatever format.
        """
        file: Any = self.fp
        try:
            return super().load()
        except OSError as error:
            if file is None or not str(error).startswith(_CUT_OFF):
                raise
            self._im = None  # its memory is needed
            self.im, self.tile = _complete(file.getvalue()), []
        return super().load()


def _complete(data: bytes) -> Any:
    """The pixels of a JPEG that lacks its end.

    libjpeg makes up what is missing, and tells nobody. So it is decoded twice, with other bytes
    in place of the end: where these make a difference, pixels are missing.

    Raises:
        OSError: there are.
    """
    data = data.removesuffix(b"\xff")  # half of the marker
    otherwise = pixel_digest(_decoded(data + _FILLER + _END_OF_JPEG))
    picture = _decoded(data + _END_OF_JPEG)
    if pixel_digest(picture) != otherwise:
        raise OSError(_CUT_OFF)
    return picture.im


def _decoded(data: bytes) -> JpegImagePlugin.JpegImageFile:
    picture = JpegImagePlugin.JpegImageFile(BytesIO(data), "")
    picture.load()
    return picture


class _PngFile(PngImagePlugin.PngImageFile):
    """A PNG whose transparent colour has as many bits as its pixels are read with."""

    def _open(self) -> None:
        super()._open()
        file: Any = self.fp
        colour, bits = self.info.get("transparency"), file.getbuffer()[_PNG_BITS]
        if self.mode == "L" and isinstance(colour, int):
            most = (1 << min(bits, _DEEPEST_SAMPLE_BITS)) - 1
            self.info["transparency"] = (colour & most) * 255 // most
        elif self.mode == "RGB" and isinstance(colour, tuple):
            shift = max(0, bits - _DEEPEST_SAMPLE_BITS)
            self.info["transparency"] = tuple(value >> shift & 255 for value in colour)


class _GifFile(GifImagePlugin.GifImageFile):
    """A GIF that is transparent where its first frame does not cover the screen."""

    def load_end(self) -> None:
        super().load_end()
        frame = self.dispose_extent
        if frame is not None and frame != (0, 0, *self.size):
            screen = Image.new("RGBA", self.size)
            screen.paste(self._new(self.im).convert("RGBA").crop(frame), frame)
            self.info.pop("transparency", None)
            self.im, self._mode = screen.im, screen.mode


class _BmpFile(BmpImagePlugin.BmpImageFile):
    """A BMP that is opaque where its alpha says that nothing at all is to be seen.

    Many writers leave zeros there. Browsers do the same.
    """

    def load_end(self) -> None:
        super().load_end()
        if self.mode == "RGBA" and self.im.getband(3).getextrema() == (0, 0):
            self.im, self._mode = self.im.convert("RGB"), "RGB"


class _TiffFile(TiffImagePlugin.TiffImageFile):
    """The first page of a TIFF, which is turned as other formats are."""

    def _open(self) -> None:
        super()._open()
        self.orientation = self.tag_v2.get(_ORIENTATION_TAG, _UPRIGHT)
        self._size = self._tile_size

    def load_end(self) -> None:
        """Pillow would go on to read other directories, and turn it."""


class _HeifFile(pi_heif.HeifImageFile):  # type: ignore[misc]  # it has no types
    """The primary picture of a HEIF file, in 8 bits and upright.

    It is turned by the file's own properties, which libheif follows: what EXIF says of that tells
    of the camera, and must not turn it again (ISO/IEC 23008-12, 7.2.3).
    """

    orientation = _UPRIGHT

    def load(self) -> Any:
        promised = self.size
        loaded = super().load()
        self._heif_file = None
        if self.size != promised:
            raise SyntaxError(f"{promised} by its header, but {self.size}")
        return loaded


_READERS: dict[str, Callable[..., ImageFile.ImageFile]] = {
    "JPEG": _JpegFile,
    "PNG": _PngFile,
    "WEBP": WebPImagePlugin.WebPImageFile,
    "GIF": _GifFile,
    "BMP": _BmpFile,
    "AVIF": AvifImagePlugin.AvifImageFile,
    "HEIF": _HeifFile,
    "TIFF": _TiffFile,
}


def opened(data: bytes, limits: DecodeLimits) -> ImageFile.ImageFile:
    """Read a file's header, after its structure was judged.

    This is `Image.open` with a list of formats, but for one thing: ultralytics replaces that
    function, in any process that imports it, by one that installs a package whenever a file is
    not recognized (ultralytics/utils/patches.py).

    Raises:
        NotAnImageError: the bytes are of none of `FORMATS`.
        ImageLimitError: there are more pixels, parts or frames than are accepted.
        Exception: whatever Pillow's reader makes of a damaged file.
    """
    name = file_format(data)
    if name is None:
        raise NotAnImageError(
            f"the file is not an image of a supported format ({', '.join(FORMATS)})",
            f"starts with {data[:16]!r}",
        )
    Image.MAX_IMAGE_PIXELS = limits.max_image_pixels
    check_parts(name, data, limits)
    webp_size(data, limits)
    if name == "TIFF":
        check_tiff(data, limits)
    try:
        return _READERS[name](BytesIO(needed_chunks(data, limits) if name == "PNG" else data), "")
    except (Image.DecompressionBombWarning, Image.DecompressionBombError) as error:
        raise ImageLimitError(
            f"the image has more than {limits.max_image_pixels:,} pixels, which is the "
            "most that is accepted",
            str(error),
        ) from error
