"""Pictures and decoding tasks as the API knows them, without Pillow and OpenCV.

Also how they go to a decoder process, and the memory that they need there.
"""

import os
from collections.abc import Callable
from contextlib import AbstractContextManager, nullcontext
from dataclasses import dataclass
from struct import Struct
from typing import Any, Self

import numpy as np
from numpy.typing import NDArray

LENGTHS = Struct(">IQ")
"""Wire format between the API's process and a decoder, a request as well as a reply:

    head length (4 bytes) | body length (8 bytes) | head: a JSON object | body: raw bytes

Both numbers are big-endian. Heads are JSON and never pickles, as a decoder reads what strangers
made. A descriptor may travel with a request, never with a reply.
"""
MAX_HEAD_BYTES = 1 << 20
Head = dict[str, Any]
Body = bytes | memoryview

ORDINARY_BYTES = 64 << 20
"""Memory that a picture is given without asking its file: enough for up to 5 megapixels."""

LARGEST_BYTES = 2 << 30
"""Memory that one picture may take, where the budget of all is not more: 150 megapixels of JPEG."""

_DRAWN_BYTES = 14
"""Per pixel: 3 for the shared pixels, 8 for two copies of 4, 3 for the JPEG file."""

_DECODED_BYTES = {
    # A progressive one: 2 for each coefficient of 4 channels, beside the picture.
    "JPEG": 12,
    # Its own mode, its copy in RGB, and that turned upright: 4 each; masks of 1.
    "PNG": 13,
    "BMP": 13,
    "GIF": 13,
    # Two canvases of 4 and a frame of 4 in libwebp; 4 as bytes; the picture, and its copy in RGB.
    "WEBP": 24,
    # Planes of 16 bits, with alpha 8, twice where it is a grid; 4 in RGBA, 4 as bytes; as above.
    "AVIF": 32,
    # Planes of 16 bits, with alpha 8, and what libde265 knows of each block; the picture, as above.
    "HEIF": 18,
    # A strip that is all of it, 8 where it is deep; the picture, as above.
    "TIFF": 16,
}


def needed_bytes(file_format: str, pixels: int, file_bytes: int) -> int:
    """The memory that a picture takes at most: decoded, prepared, drawn, its file included.

    An upper bound per pixel, by format: how the readers of Pillow 13 go about it, and checked
    against real processes in every mode (tests/images/workers/test_decode_memory.py).
    """
    return max(_DECODED_BYTES[file_format], _DRAWN_BYTES) * pixels + 3 * file_bytes


def most_needed_bytes(max_pixels: int, file_bytes: int) -> int:
    """The memory that a file takes at most, whatever is in it."""
    return max(needed_bytes(name, max_pixels, file_bytes) for name in _DECODED_BYTES)


@dataclass(frozen=True)
class DecodeLimits:
    """What a picture may be; `DecodeSettings` says what each limit is for.

    Attributes:
        max_memory_bytes: that one picture may take.
    """

    max_image_pixels: int
    max_aspect_ratio: float
    max_image_frames: int
    max_memory_bytes: int = LARGEST_BYTES


@dataclass(frozen=True)
class ClipTask:
    """How a picture is prepared for the embedder; as `images.decode.prepare.clip_pixels` takes it.

    Attributes:
        digest: Whether to make the digest of the whole picture's pixels, too.
        thumbnail_side: What the longer side of its thumbnail is at most, in pixels; 0 makes none.
        exif: Whether to read what EXIF tells, too.
        reduced: Whether a JPEG may be decoded at a fraction of its size.
    """

    image_size: int
    interpolation: str
    resize_mode: str
    fill_color: int
    digest: bool
    thumbnail_side: int = 0
    exif: bool = False
    reduced: bool = False


MAX_CAMERA_CHARS = 128
"""Longest name of a camera that is one."""


@dataclass(frozen=True)
class ExifData:
    """What a picture's EXIF tells; None for what it does not.

    Attributes:
        taken_at: when it was taken: RFC 3339, in UTC.
        camera: make and model.
        place: latitude and longitude in degrees, to 6 digits; north and east are positive.
    """

    taken_at: str | None = None
    camera: str | None = None
    place: tuple[float, float] | None = None


@dataclass(frozen=True, eq=False)
class ClipPicture:
    """A picture as the embedder takes it, and what else was to be made of it.

    Attributes:
        pixels: uint8 [size, size, 3], RGB.
        digest: Of the whole picture's pixels (`images.decode.prepare.pixel_digest`).
        thumbnail: A small copy, as a JPEG file.
        exif: What its EXIF tells.
        is_reduced: Whether it was decoded at a fraction of its size.
    """

    pixels: NDArray[np.uint8]
    digest: str | None = None
    thumbnail: bytes | None = None
    exif: ExifData | None = None
    is_reduced: bool = False


@dataclass(frozen=True)
class LetterboxTask:
    """How a picture is prepared for the detector; as `images.decode.prepare.letterbox` takes it."""

    image_size: int
    stride: int


@dataclass(frozen=True)
class CropTask:
    """How parts of a shared picture are cut out for the embedder.

    They are squashed to its square: nothing of a long object is lost, and nothing but the object is
    seen. Measured on mosaics of the demo's scenes, an object's nearest showed the same in 1.000 of
    ten, where letterboxed ones did in 0.85 to 0.97.

    Attributes:
        image_size: side of the square, in pixels.
        interpolation: as of `ClipTask`.
    """

    image_size: int
    interpolation: str


PixelBox = tuple[int, int, int, int]
"""Left, top, right and bottom in pixels of a picture; right and bottom lie outside."""

Pin = Callable[[], AbstractContextManager[None]]
"""Context manager that pins a memory reservation until the block exits."""


class SharedPicture:
    """Decoded picture in shared memory: uint8 [height, width, 3], RGB.

    The process that decodes writes it, any other draws into a copy of it, and where either of them
    crashes it is still there. Nothing of it is mapped into the API's own process.

    Args:
        has_pixels: whether something will be drawn into it; else it has a size only.

    Attributes:
        fd: descriptor of the memory (memfd_create(2)); None without pixels.
        size: width and height in pixels; (0, 0) before the picture is decoded.
        pin: of the memory that is reserved for it.
    """

    def __init__(self, *, has_pixels: bool = True) -> None:
        self.fd = os.memfd_create("picture", os.MFD_CLOEXEC) if has_pixels else None
        self.size = (0, 0)
        self.pin: Pin = nullcontext

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        """Give the memory back."""
        if self.fd is not None:
            os.close(self.fd)


@dataclass(frozen=True)
class LabelledBox:
    """A found object, as it is drawn.

    Attributes:
        xyxy: Left, top, right and bottom in pixels of the original picture.
        confidence: 0 to 1.
        class_id: Number of the class; the same number always gets the same colour.
        class_name: What stands in the label.
    """

    xyxy: tuple[float, float, float, float]
    confidence: float
    class_id: int
    class_name: str


@dataclass(frozen=True, eq=False)
class Letterboxed:
    """A picture scaled into the model's input and padded, and the way back.

    Attributes:
        pixels: uint8 [height, width, 3], RGB; both sides are multiples of the model's stride.
        gain: Model pixels per original pixel, in x and y.
        pad: Padding at the left and at the top, in model pixels.
        original_size: Width and height of the original, in pixels.
    """

    pixels: NDArray[np.uint8]
    gain: tuple[float, float]
    pad: tuple[int, int]
    original_size: tuple[int, int]

    def to_original(self, xyxy: NDArray[np.float32]) -> NDArray[np.float32]:
        """Move boxes from model pixels to pixels of the original, cut at its edges.

        Args:
            xyxy: float32 [n, 4]; is left as it is.

        Returns:
            float32 [n, 4].
        """
        pad, gain, edges = (
            np.array(pair * 2, np.float32) for pair in (self.pad, self.gain, self.original_size)
        )
        boxes: NDArray[np.float32] = ((xyxy - pad) / gain).clip(0, edges)
        return boxes
