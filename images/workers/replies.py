"""What a decoder process may reply, checked before anybody believes it.

It has read what strangers made, and may speak for them.
"""

import logging
import math
from collections.abc import Callable, Sequence
from datetime import datetime
from typing import Annotated, Literal, TypeVar

import numpy as np
from numpy.typing import NDArray
from pydantic import AfterValidator, BaseModel, Field

from images.errors import (
    BrokenImageError,
    DecoderError,
    ImageError,
    ImageLimitError,
    ImageMemoryError,
    MoreMemoryError,
    NotAnImageError,
)
from images.schemas import (
    MAX_CAMERA_CHARS,
    ClipPicture,
    ClipTask,
    DecodeLimits,
    ExifData,
    Head,
    Letterboxed,
    LetterboxTask,
)

logger = logging.getLogger(__name__)

Pixels = NDArray[np.uint8]
_Boxed = TypeVar("_Boxed")

_MAX_TEXT_CHARS = 1000
_JPEG_START = b"\xff\xd8\xff"
_REFUSALS: dict[str, type[ImageError]] = {
    each.__name__: each
    for each in (BrokenImageError, ImageLimitError, ImageMemoryError, NotAnImageError)
}


def one_line(text: str, most_chars: int = _MAX_TEXT_CHARS) -> str:
    """The words of a text, for a message or a line of the log."""
    return " ".join(text.split())[:most_chars]


def longest_side(task: LetterboxTask) -> int:
    """Of what the detector takes, in pixels."""
    return -(-task.image_size // task.stride) * task.stride


def _told(text: str) -> str:
    text.encode()  # fails at half a surrogate pair, which no answer and no log can carry
    return one_line(text)


_Line = Annotated[str, AfterValidator(_told)]
_Side = Annotated[int, Field(ge=1, le=1 << 30)]
_Pad = Annotated[int, Field(ge=-1, le=1 << 20)]  # -1: `images.decode.prepare._geometry` rounds
_Gain = Annotated[float, Field(ge=1e-9, le=1e9, allow_inf_nan=False)]


def _moment(text: str) -> str:
    datetime.fromisoformat(text)
    return text


_Moment = Annotated[
    str,
    Field(pattern=r"^\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d(\.\d{6})?Z$"),
    AfterValidator(_moment),
]


class _Exif(BaseModel):
    taken_at: _Moment | None
    camera: Annotated[_Line, Field(min_length=1, max_length=MAX_CAMERA_CHARS)] | None
    place: (
        tuple[Annotated[float, Field(ge=-90, le=90)], Annotated[float, Field(ge=-180, le=180)]]
        | None
    )


class _Clip(BaseModel):
    digest: Annotated[str, Field(pattern="^[0-9a-f]{64}$")] | None
    exif: _Exif | None = None
    is_reduced: bool = False


class _Letterbox(BaseModel):
    shape: tuple[_Side, _Side, Literal[3]]
    gain: tuple[_Gain, _Gain]
    pad: tuple[_Pad, _Pad]
    original_size: tuple[_Side, _Side]
    held_bytes: int


class _Tiles(BaseModel):
    tiles: list[_Letterbox]


class _MoreMemory(BaseModel):
    needed_bytes: int


class _Refusal(BaseModel):
    error: str
    message: _Line
    detail: _Line


def read_clip(head: Head, body: Pixels, task: ClipTask) -> ClipPicture:
    """What the embedder takes. The thumbnail stands behind the pixels.

    Raises:
        ValueError: the reply makes no sense.
    """
    reply, side = _Clip.model_validate(head), task.image_size
    pixels, thumbnail = body[: 3 * side * side], body[3 * side * side :].tobytes()
    if thumbnail[:3] != (_JPEG_START if task.thumbnail_side else b""):
        raise ValueError("a thumbnail that is no JPEG file, or was not asked for")
    if (reply.exif is not None) != task.exif:
        raise ValueError("EXIF that was not asked for, or none")
    if reply.is_reduced and not task.reduced:
        raise ValueError("a picture at a fraction of its size, which was not asked for")
    exif = None if reply.exif is None else ExifData(**reply.exif.model_dump())
    square = pixels.reshape(side, side, 3)
    return ClipPicture(square, reply.digest, thumbnail or None, exif, reply.is_reduced)


def read_letterbox(
    head: Head, body: Pixels, task: LetterboxTask, memory_bytes: int, limits: DecodeLimits
) -> tuple[Letterboxed, int]:
    """What the detector takes, and the part of the memory that the picture still takes.

    Raises:
        ValueError: the reply makes no sense.
    """
    reply = _Letterbox.model_validate(head)
    width, height = reply.original_size
    if width * height > limits.max_image_pixels or max(reply.shape) > longest_side(task):
        raise ValueError(f"a picture of {width} x {height} pixels as {reply.shape}")
    if not 0 <= reply.held_bytes <= memory_bytes:
        raise ValueError(f"it holds {reply.held_bytes} of {memory_bytes} bytes")
    boxed = Letterboxed(body.reshape(reply.shape), reply.gain, reply.pad, reply.original_size)
    return boxed, reply.held_bytes


def read_both(
    head: Head, body: Pixels, clip: ClipTask, boxed: Callable[[Head, Pixels], _Boxed]
) -> tuple[ClipPicture, _Boxed]:
    """What the embedder takes, and behind it what the detector takes.

    Args:
        head: of the reply.
        body: of the reply.
        clip: what was asked for.
        boxed: reads the detector's part.

    Raises:
        ValueError: the reply makes no sense.
    """
    own = head.pop("letterbox", None)
    height, width, channels = _Letterbox.model_validate(own).shape
    at = len(body) - height * width * channels
    if at < 0:
        raise ValueError("a picture that is cut off")
    return read_clip(head, body[:at], clip), boxed(own, body[at:])


def read_crops(_: Head, body: Pixels, count: int, side: int) -> Pixels:
    """So many parts of a picture, uint8 [count, side, side, 3].

    Raises:
        ValueError: they are more or fewer.
    """
    return body.reshape(count, side, side, 3)


def read_tiles(
    head: Head, body: Pixels, sizes: Sequence[tuple[int, int]], task: LetterboxTask
) -> list[Letterboxed]:
    """Parts of a picture of these sizes, as the detector takes them, one behind the other.

    Raises:
        ValueError: the reply makes no sense.
    """
    tiles, found = _Tiles.model_validate(head).tiles, []
    for tile, size in zip(tiles, sizes, strict=True):
        if tile.original_size != size or max(tile.shape) > longest_side(task):
            raise ValueError(f"a part of {size} as {tile.shape} of {tile.original_size}")
        count = math.prod(tile.shape)
        pixels, body = body[:count].reshape(tile.shape), body[count:]
        found.append(Letterboxed(pixels, tile.gain, tile.pad, size))
    if len(body):
        raise ValueError(f"{len(body)} bytes too many")
    return found


def read_refusal(head: Head, memory_bytes: int, most_bytes: int) -> ImageError | None:
    """Why there is no result; None where there is one.

    Args:
        head: of the reply.
        memory_bytes: that the picture was given.
        most_bytes: that it could need, whatever it is.

    Raises:
        ValueError, TypeError: the reply makes no sense.
    """
    if "needed_bytes" in head:
        needed = _MoreMemory.model_validate(head).needed_bytes
        if not memory_bytes < needed <= most_bytes:
            raise ValueError(f"it wants {needed} bytes, and has {memory_bytes}")
        return MoreMemoryError(needed)
    if "error" not in head:
        return None
    refusal = _Refusal.model_validate(head)
    if refusal.error in _REFUSALS:
        return _REFUSALS[refusal.error](refusal.message, refusal.detail)
    logger.error("a decoder failed: %s", refusal.detail)
    return DecoderError("the image could not be decoded", refusal.detail)
