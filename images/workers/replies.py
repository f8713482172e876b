"""What a process that decodes may answer, checked before anybody believes it.

It has read what strangers made, and may speak for them. What it never says by itself is a
ValueError here: the process is not to be used any more.
"""

import logging
from typing import Annotated, Literal

import numpy as np
from numpy.typing import NDArray
from pydantic import BaseModel, Field

from images.decode.memory import MoreRoomError
from images.errors import (
    BrokenImageError,
    DecoderError,
    ImageError,
    ImageLimitError,
    ImageMemoryError,
    NotAnImageError,
)
from images.schemas import ClipPicture, ClipTask, DecodeLimits, Letterboxed
from images.workers.wire import Head

logger = logging.getLogger(__name__)

Pixels = NDArray[np.uint8]

_MAX_TEXT_CHARS = 1000
_JPEG = b"\xff\xd8\xff"
_TOLD: dict[str, type[ImageError]] = {
    one.__name__: one for one in (BrokenImageError, ImageLimitError, NotAnImageError)
}
_Side = Annotated[int, Field(ge=1, le=1 << 30)]
_Pad = Annotated[int, Field(ge=-1, le=1 << 20)]
_Gain = Annotated[float, Field(ge=1e-9, le=1e9, allow_inf_nan=False)]


class _Clip(BaseModel):
    digest: Annotated[str, Field(pattern="^[0-9a-f]{64}$")] | None


class _Letterbox(BaseModel):
    shape: tuple[_Side, _Side, Literal[3]]
    gain: tuple[_Gain, _Gain]
    pad: tuple[_Pad, _Pad]
    original_size: tuple[_Side, _Side]
    needed_bytes: int


class _MoreRoom(BaseModel):
    needed_bytes: int


def read_clip(head: Head, body: Pixels, task: ClipTask) -> ClipPicture:
    """What the embedder takes, and what else there is: the thumbnail stands behind the pixels.

    Raises:
        ValueError: no decoder says so by itself.
    """
    side = task.image_size
    pixels, small = body[: 3 * side * side], body[3 * side * side :].tobytes()
    if small[:3] != (_JPEG if task.thumbnail_side else b""):
        raise ValueError("a thumbnail that is no JPEG file, or was not asked for")
    digest = _Clip.model_validate(head).digest
    return ClipPicture(pixels.reshape(side, side, 3), digest, small or None)


def read_letterbox(
    head: Head, body: Pixels, room_bytes: int, most_side: int, limits: DecodeLimits
) -> tuple[Letterboxed, int]:
    """What the detector takes, and the memory that the picture needs.

    Args:
        head: of the reply.
        body: of the reply.
        room_bytes: memory that the picture could take.
        most_side: of the detector's input, in pixels.
        limits: what a picture may be.

    Raises:
        ValueError: no decoder says so by itself.
    """
    told = _Letterbox.model_validate(head)
    width, height = told.original_size
    if width * height > limits.max_image_pixels or max(told.shape) > most_side:
        raise ValueError(f"a picture of {width} x {height} pixels as {told.shape}")
    if not 0 <= told.needed_bytes <= room_bytes:
        raise ValueError(f"it needed {told.needed_bytes} bytes of {room_bytes}")
    boxed = Letterboxed(body.reshape(told.shape), told.gain, told.pad, told.original_size)
    return boxed, told.needed_bytes


def read_refusal(head: Head, room_bytes: int, most_needed_bytes: int) -> ImageError | None:
    """What a process gives instead of an answer, in words that are known to be a line.

    Args:
        head: of the reply.
        room_bytes: memory that the picture could take.
        most_needed_bytes: what any picture can need.

    Raises:
        ValueError: no decoder says so by itself.
    """
    if "needed_bytes" in head and "shape" not in head:
        needed = _MoreRoom.model_validate(head).needed_bytes
        if not room_bytes < needed <= most_needed_bytes:
            raise ValueError(f"it wants {needed} bytes, and has {room_bytes}")
        return MoreRoomError(needed)
    return _read_error(head) if "error" in head else None


def _read_error(head: Head) -> ImageError:
    name, message, detail = (
        " ".join(str(head.get(field, "")).split())[:_MAX_TEXT_CHARS]
        for field in ("error", "message", "detail")
    )
    if name == ImageMemoryError.__name__:
        return ImageMemoryError(detail=detail)
    if name in _TOLD:
        return _TOLD[name](message, detail)
    logger.error("a decoder failed: %s", detail)
    return DecoderError("the image could not be decoded", detail)
