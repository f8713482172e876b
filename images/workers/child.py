"""A decoder process: `python -m images.workers.child LIMITS PARENT`, a socket as its input.

LIMITS are those of `DecodeLimits` as a JSON object, PARENT is the id of the process that started
this one. It imports what decoding needs and nothing of the service: no settings, no keys, no
table. Then it enters its sandbox, in which nothing more can be imported or opened. Linux only, as
the service is. `images.workers.process` is the other side, which also limits its memory.
"""

import ctypes
import gc
import json
import mmap
import os
import resource
import signal
import socket
import sys
from collections.abc import Callable
from dataclasses import asdict

import numpy as np
from numpy.typing import NDArray
from PIL import Image, ImageCms, ImageColor, ImageFilter, ImagePalette, PpmImagePlugin

from images.decode.decode import decode_pixels, exif_block, open_header, reduce
from images.decode.draw import draw_boxes, encode_jpeg
from images.decode.exif import exif_of
from images.decode.prepare import clip_pixels, letterbox, pixel_digest, thumbnail
from images.decode.structure import webp_size
from images.errors import ImageError, ImageLimitError, ImageMemoryError, MoreMemoryError
from images.schemas import (
    LENGTHS,
    Body,
    ClipTask,
    CropTask,
    DecodeLimits,
    Head,
    LabelledBox,
    LetterboxTask,
    needed_bytes,
)
from images.workers import sandbox

# Pillow imports them where it first needs them, which is too late in the sandbox.
_IMPORTED = (ImageCms, ImageColor, ImageFilter, ImagePalette, PpmImagePlugin)

Reply = tuple[Head, Body]
_MAX_DETAIL_CHARS = 1000
_PR_SET_PDEATHSIG, _PR_SET_DUMPABLE, _PR_SET_NO_NEW_PRIVS = 1, 4, 38
_MAX_OPEN_FILES = 32
_MAX_THREADS_OF_USER = 4096
_NICENESS = 2
_TIMES_THE_MODELS_SIDE = 3

_libc = ctypes.CDLL(None, use_errno=True)


class Tasks:
    """Answers requests."""

    def __init__(self, limits: DecodeLimits) -> None:
        self._limits = limits
        self._tasks: dict[str, Callable[[Head, bytes, int | None], Reply]] = {
            "clip": self._clip,
            "letterbox": self._letterbox,
            "both": self._both,
            "draw": self._draw,
            "crop": self._crop,
            "tiles": self._tiles,
        }

    def answer(self, request: Head, data: bytes, fd: int | None) -> Reply:
        """Do a task. Nothing is raised: whatever goes wrong becomes a reply."""
        try:
            return self._tasks[request["task"]](request, data, fd)
        except MoreMemoryError as more:
            return {"needed_bytes": more.needed_bytes}, b""
        except ImageError as error:
            return _failure(type(error).__name__, str(error), error.detail)
        except MemoryError:
            return _failure(ImageMemoryError.__name__)
        except Exception as error:  # a fault of ours: the API logs it
            return _failure("", detail=f"{type(error).__name__}: {error}")

    def _clip(self, request: Head, data: bytes, _: int | None) -> Reply:
        picture, _needed, told = self._decoded(request, data)
        clipped, body = _clipped(picture, ClipTask(**request["with"]))
        return {**clipped, **told}, body

    def _letterbox(self, request: Head, data: bytes, fd: int | None) -> Reply:
        picture, needed, _ = self._decoded(request, data)
        return _letterboxed(picture, LetterboxTask(**request["with"]), needed, fd)

    def _both(self, request: Head, data: bytes, fd: int | None) -> Reply:
        """For the embedder and the detector; the latter's pixels stand behind."""
        picture, needed, told = self._decoded(request, data)
        clipped, body = _clipped(picture, ClipTask(**request["with"]))
        boxed, pixels = _letterboxed(picture, LetterboxTask(**request["letterbox"]), needed, fd)
        return {**clipped, **told, "letterbox": boxed}, body + bytes(pixels)

    def _draw(self, request: Head, _: bytes, fd: int | None) -> Reply:
        picture = _shared(fd, *request["with"]["size"])
        boxes = [LabelledBox(**box) for box in request["with"]["boxes"]]
        return {}, encode_jpeg(draw_boxes(picture, boxes), request["with"]["quality"])

    def _crop(self, request: Head, _: bytes, fd: int | None) -> Reply:
        task, asked = CropTask(**request["crop"]), request["with"]
        picture = _shared(fd, *asked["size"])
        crops = [
            clip_pixels(picture.crop(box), task.image_size, task.interpolation, "squash", 0)
            for box in asked["boxes"]
        ]
        return {}, b"".join(crop.tobytes() for crop in crops)

    def _tiles(self, request: Head, _: bytes, fd: int | None) -> Reply:
        task, asked = LetterboxTask(**request["letterbox"]), request["with"]
        picture = _shared(fd, *asked["size"])
        tiles = [_letterboxed(picture.crop(box), task, 0, None) for box in asked["boxes"]]
        return {"tiles": [told for told, _ in tiles]}, b"".join(bytes(body) for _, body in tiles)

    def _decoded(self, request: Head, data: bytes) -> tuple[Image.Image, int, Head]:
        """The picture, the memory that it takes at most, and what it tells where that is wanted."""
        if size := webp_size(data, self._limits):
            self._check_memory("WEBP", size, data, request)
        header = open_header(data, self._limits)
        needed = self._check_memory(header.format or "", header.size, data, request)
        told: Head = {}
        if request["with"].get("exif"):  # else it does not leave this process
            told["exif"] = asdict(exif_of(exif_block(header, data)))
        elif request["with"].get("reduced"):
            least_side = _TIMES_THE_MODELS_SIDE * request["with"]["image_size"]
            told["is_reduced"] = reduce(header, least_side)
        return decode_pixels(header), needed, told

    def _check_memory(self, name: str, size: tuple[int, int], data: bytes, request: Head) -> int:
        needed = needed_bytes(name, size[0] * size[1], len(data))
        if needed > self._limits.max_memory_bytes:
            raise ImageLimitError(
                f"the image has {size[0]} x {size[1]} pixels, which as {name} take "
                f"{needed >> 20:,} MiB of memory; at most {self._limits.max_memory_bytes >> 20:,} "
                "are given to one (IMAGE_SEARCH_DECODE_MEMORY_BYTES)"
            )
        if needed > request["memory_bytes"]:
            raise MoreMemoryError(needed)
        return needed


def _clipped(picture: Image.Image, task: ClipTask) -> tuple[Head, bytes]:
    """What the embedder takes, with a thumbnail behind it, and the digest."""
    pixels = clip_pixels(
        picture, task.image_size, task.interpolation, task.resize_mode, task.fill_color
    )
    small = thumbnail(picture, task.thumbnail_side) if task.thumbnail_side else b""
    digest = pixel_digest(picture) if task.digest else None
    return {"digest": digest}, pixels.tobytes() + small


def _letterboxed(picture: Image.Image, task: LetterboxTask, needed: int, fd: int | None) -> Reply:
    """What the detector takes; the picture itself goes into a shared one."""
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
        "held_bytes": 0 if fd is None else needed,
    }
    return reply, boxed.pixels.data.cast("B")


def _shared(fd: int | None, width: int, height: int) -> Image.Image:
    """A copy of a shared picture."""
    if fd is None:
        raise ValueError("there is no picture")
    if os.lseek(fd, 0, os.SEEK_END) < 3 * width * height:  # a map beyond it ends the process
        raise ValueError("the picture has fewer pixels than its size says")
    with mmap.mmap(fd, 3 * width * height, access=mmap.ACCESS_READ) as pixels:
        rows = np.frombuffer(pixels, np.uint8).reshape(height, width, 3)
        picture = Image.fromarray(rows)
        del rows  # else the map cannot be closed
    return picture


def _write(fd: int, pixels: NDArray[np.uint8]) -> None:
    """Write all rows; one call of write(2) takes 2 GB at most."""
    left = pixels.data.cast("B")
    while left:
        left = left[os.write(fd, left) :]


def _failure(error: str, message: str = "", detail: str = "") -> Reply:
    return {"error": error, "message": message, "detail": detail[:_MAX_DETAIL_CHARS]}, b""


def _receive(channel: socket.socket) -> tuple[Head, bytes, list[int]] | None:
    """Wait for the next request on a blocking socket; None when the other side is gone.

    The descriptors that came with it are the caller's to close.
    """
    whole = socket.MSG_WAITALL
    lengths, fds, _, _ = socket.recv_fds(channel, LENGTHS.size, 1, whole | socket.MSG_CMSG_CLOEXEC)
    if len(lengths) < LENGTHS.size:
        return None
    head_bytes, body_bytes = LENGTHS.unpack(lengths)
    head = channel.recv(head_bytes, whole)
    body = channel.recv(body_bytes, whole) if body_bytes else b""
    if len(head) < head_bytes or len(body) < body_bytes:
        return None
    return json.loads(head), body, fds


def _send(channel: socket.socket, head: Head, body: Body) -> None:
    """Send a reply through a blocking socket."""
    text = json.dumps(head, separators=(",", ":")).encode()
    start = LENGTHS.pack(len(text), len(body)) + text
    sent = channel.sendmsg([start, body])  # in one call: the reader is woken once
    if sent < len(start):
        channel.sendall(start[sent:])
    channel.sendall(memoryview(body)[max(0, sent - len(start)) :])


def serve(channel: socket.socket, tasks: Tasks) -> None:
    """Answer requests until the other side is gone."""
    while (request := _receive(channel)) is not None:
        head, body, fds = request
        try:
            reply = tasks.answer(head, body, fds[0] if fds else None)
        finally:
            for fd in fds:
                os.close(fd)
        del body, request
        _send(channel, *reply)
        del reply


def main(limits_json: str, parent: str) -> None:
    """Give up what is not needed, report that this process is ready, and serve."""
    limits = DecodeLimits(**json.loads(limits_json))
    confine(int(parent), max_file_bytes=3 * limits.max_image_pixels)
    channel = socket.socket(fileno=sys.stdin.fileno())
    _close_errors()
    warm_up()
    gc.freeze()
    _send(channel, {"sandbox": sandbox.enter()}, b"")
    serve(channel, Tasks(limits))


def confine(parent: int, max_file_bytes: int) -> None:
    """Have this process end with its parent even if it hangs; drop what decoding does not need."""
    _libc.prctl(_PR_SET_PDEATHSIG, signal.SIGKILL)
    if os.getppid() != parent:  # it died before it was watched
        sys.exit(0)
    _libc.prctl(_PR_SET_DUMPABLE, 0, 0, 0, 0)
    _libc.prctl(_PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0)
    # Both also reach a whole group of processes; this one is needed until its parent has drained.
    signal.signal(signal.SIGINT, signal.SIG_IGN)
    signal.signal(signal.SIGTERM, signal.SIG_IGN)
    resource.setrlimit(resource.RLIMIT_CORE, (0, 0))
    resource.setrlimit(resource.RLIMIT_NOFILE, (_MAX_OPEN_FILES, _MAX_OPEN_FILES))
    resource.setrlimit(resource.RLIMIT_FSIZE, (max_file_bytes, max_file_bytes))
    # Threads are counted by user, and root's never: its decoders' end with their time limit.
    _, most = resource.getrlimit(resource.RLIMIT_NPROC)
    threads = _MAX_THREADS_OF_USER if most < 0 else min(most, _MAX_THREADS_OF_USER)
    resource.setrlimit(resource.RLIMIT_NPROC, (threads, threads))
    os.nice(_NICENESS)  # the event loop of the API goes first


def warm_up() -> None:
    """Do a little of everything: libraries open at first use what the sandbox would refuse."""
    box = LabelledBox((8, 8, 64, 64), 0.5, 0, "\u00e4 \u0416 \u732b")
    drawn = encode_jpeg(draw_boxes(Image.new("RGB", (320, 240)), [box]))
    picture = decode_pixels(open_header(drawn, DecodeLimits(1 << 20, 2, 1)))
    clip_pixels(picture, 32, "bicubic", "shortest", 0)
    letterbox(np.asarray(picture), 64, 32)
    thumbnail(picture, 64)
    pixel_digest(picture)


def _close_errors() -> None:
    """Silence C libraries, which write there what files made up."""
    nowhere = os.open(os.devnull, os.O_WRONLY)
    os.dup2(nowhere, sys.stderr.fileno())
    os.close(nowhere)


if __name__ == "__main__":
    main(sys.argv[1], sys.argv[2])
