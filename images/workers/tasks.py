"""What a process that decodes does: one request after the other, each to its reply."""

import mmap
import os
from collections.abc import Callable

import numpy as np
from numpy.typing import NDArray
from PIL import Image

from images.decode.decode import decode_pixels, open_header
from images.decode.digest import pixel_digest
from images.decode.draw import draw_boxes, encode_jpeg
from images.decode.memory import MoreRoomError, needed_bytes
from images.decode.prepare import clip_pixels, letterbox
from images.decode.sizes import webp_size
from images.decode.thumbnail import thumbnail
from images.errors import ImageError, ImageMemoryError
from images.schemas import ClipTask, DecodeLimits, LabelledBox, LetterboxTask
from images.workers.limits import limited_memory
from images.workers.wire import Body, Head

Reply = tuple[Head, Body]
_MAX_DETAIL_CHARS = 1000


class Tasks:
    """Answers requests.

    Args:
        limits: what a picture may be.
    """

    def __init__(self, limits: DecodeLimits) -> None:
        self._limits = limits
        self._tasks: dict[str, Callable[[Head, bytes, int | None], Reply]] = {
            "clip": self._clip,
            "letterbox": self._letterbox,
            "draw": self._draw,
        }

    def answer(self, request: Head, data: bytes, fd: int | None) -> Reply:
        """Do what a request asks for; whatever goes wrong is told, and nothing is raised."""
        try:
            with limited_memory(request["room_bytes"]):
                return self._tasks[request["task"]](request, data, fd)
        except MoreRoomError as more:
            return {"needed_bytes": more.needed_bytes}, b""
        except ImageError as error:
            return _told(type(error).__name__, str(error), error.detail)
        except MemoryError:
            return _told(ImageMemoryError.__name__)
        except Exception as error:  # a fault of ours: told of, and logged, where there is a log
            return _told("", detail=f"{type(error).__name__}: {error}")

    def _clip(self, request: Head, data: bytes, _: int | None) -> Reply:
        task = ClipTask(**request["with"])
        picture, _room = self._decoded(request, data)
        pixels = clip_pixels(
            picture, task.image_size, task.interpolation, task.resize_mode, task.fill_color
        )
        small = thumbnail(picture, task.thumbnail_side) if task.thumbnail_side else b""
        digest = pixel_digest(picture) if task.digest else None
        return {"digest": digest}, pixels.tobytes() + small

    def _letterbox(self, request: Head, data: bytes, fd: int | None) -> Reply:
        task = LetterboxTask(**request["with"])
        picture, needed = self._decoded(request, data)
        pixels = np.asarray(picture)
        del picture
        if fd is not None:
            _write(fd, pixels)
        boxed = letterbox(pixels, task.image_size, task.stride)
        reply = {
            "shape": boxed.pixels.shape,
            "gain": boxed.gain,
            "pad": boxed.pad,
            "original_size": boxed.original_size,
            "needed_bytes": 0 if fd is None else needed,
        }
        return reply, boxed.pixels.data.cast("B")

    def _draw(self, request: Head, _: bytes, fd: int | None) -> Reply:
        if fd is None:
            raise ValueError("there is no picture to draw into")
        width, height = request["with"]["size"]
        with mmap.mmap(fd, 3 * width * height, access=mmap.ACCESS_READ) as pixels:
            rows = np.frombuffer(pixels, np.uint8).reshape(height, width, 3)
            picture = Image.fromarray(rows)
            del rows  # else the map cannot be closed
        boxes = [LabelledBox(**box) for box in request["with"]["boxes"]]
        return {}, encode_jpeg(draw_boxes(picture, boxes), request["with"]["quality"])

    def _decoded(self, request: Head, data: bytes) -> tuple[Image.Image, int]:
        """The picture, and what it is reckoned to need."""
        if size := webp_size(data, self._limits):
            _room_for("WEBP", size, data, request)
        header = open_header(data, self._limits)
        needed = _room_for(header.format or "", header.size, data, request)
        return decode_pixels(header), needed


def _room_for(file_format: str, size: tuple[int, int], data: bytes, request: Head) -> int:
    needed = needed_bytes(file_format, size[0] * size[1], len(data))
    if needed > request["room_bytes"]:
        raise MoreRoomError(needed)
    return needed


def _write(fd: int, pixels: NDArray[np.uint8]) -> None:
    """Write all rows; one call of write(2) takes 2 GB at most."""
    left = pixels.data.cast("B")
    while left:
        left = left[os.write(fd, left) :]


def _told(error: str, message: str = "", detail: str = "") -> Reply:
    return {"error": error, "message": message, "detail": detail[:_MAX_DETAIL_CHARS]}, b""
