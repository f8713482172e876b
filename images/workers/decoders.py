"""Decoders: a pool of processes that decode, prepare and draw pictures, one at a time each.

A picture that its process does not survive is answered with an error; the process is replaced and
the others never notice.
"""

import asyncio
import logging
from collections import Counter
from collections.abc import Callable, Coroutine, Sequence
from contextlib import nullcontext, suppress
from dataclasses import asdict, dataclass
from functools import partial
from typing import Any, Generic, Literal, TypeVar

import numpy as np
from numpy.typing import NDArray

from images.errors import DecoderError, ImageError, ImageMemoryError
from images.schemas import (
    ClipPicture,
    ClipTask,
    CropTask,
    DecodeLimits,
    Head,
    LabelledBox,
    Letterboxed,
    LetterboxTask,
    Pin,
    PixelBox,
    SharedPicture,
    most_needed_bytes,
    needed_bytes,
)
from images.workers.process import Decoder, DecoderGoneError, NotTakenError
from images.workers.replies import (
    Pixels,
    longest_side,
    one_line,
    read_both,
    read_clip,
    read_crops,
    read_letterbox,
    read_refusal,
    read_tiles,
)
from images.workers.sandbox import Sandbox

T = TypeVar("T")
logger = logging.getLogger(__name__)

Reason = Literal["crash", "timeout", "memory"]

MAX_THUMBNAIL_BYTES = 1 << 20
"""Noise of 1024 x 1024 pixels, which nothing compresses, takes 0.9 MB."""

_JPEG_BYTES_PER_PIXEL, _JPEG_HEADER_BYTES = 4, 1 << 16
_ATTEMPTS = 3
_START_AGAIN_S = 1.0
_MAX_WHY_CHARS = 300


@dataclass(frozen=True)
class Job(Generic[T]):
    """A decoder job: header, payload, maximum reply size, reply parser."""

    header: Head
    payload: bytes
    max_reply_bytes: int
    parse: Callable[[Head, Pixels], T]
    fd: int | None = None
    pin: Pin = nullcontext


class Pool:
    """Has jobs done by the next process that is free.

    Attributes:
        waiting: jobs that wait for a process.
        restarts: processes that were replaced, by reason.
        sandbox: what keeps the processes in; known once they are ready.
    """

    def __init__(self, limits: DecodeLimits, processes: int, timeout_s: float) -> None:
        self.waiting = 0
        self.restarts: Counter[Reason] = Counter()
        self.sandbox: Sandbox = ""
        self._limits, self._timeout_s = limits, timeout_s
        self._all = {Decoder(limits) for _ in range(processes)}
        self._starting: list[asyncio.Task[None]] | None = None
        self._idle: asyncio.Queue[Decoder] = asyncio.Queue()
        self._tasks: set[asyncio.Task[Any]] = set()

    async def ready(self) -> None:
        """Wait until all processes work. Jobs may come before: they wait for the first."""
        if self._starting is None:
            self._starting = [self._spawn(self._start(decoder)) for decoder in self._all]
        await asyncio.gather(*self._starting)

    def close(self) -> None:
        """End all processes, and with them what they work on."""
        for task in self._tasks:
            task.cancel()
        for decoder in self._all:
            decoder.kill()

    async def run(self, job: Job[T]) -> T:
        """Have a job done by the next process that is free.

        Where the caller is cancelled, the process is let finish, as it cannot be interrupted.

        Raises:
            ImageError: the answer is one, or the process did not survive the picture.
        """
        for _ in range(_ATTEMPTS):
            if self._starting is None:
                self._spawn(self.ready())
            self.waiting += 1
            try:
                decoder = await self._idle.get()
            finally:
                self.waiting -= 1
            with suppress(NotTakenError):
                return await asyncio.shield(self._spawn(self._work(decoder, job)))
        raise DecoderError("the image could not be decoded; try again", "no process stays alive")

    async def _work(self, decoder: Decoder, job: Job[T]) -> T:
        """Do a job, whether or not anybody still waits for it.

        Its first step pins the reservation and sends the descriptor: before a caller that was
        cancelled can give either back.
        """
        with job.pin():
            try:
                async with asyncio.timeout(self._timeout_s):
                    reply = await decoder.ask(job.header, job.payload, job.fd, job.max_reply_bytes)
                result = self._read(job, *reply)
            except TimeoutError as error:
                ended = await self._replace(decoder, "timeout", f"more than {self._timeout_s:g} s")
                raise DecoderError(
                    f"the image could not be decoded within {self._timeout_s:g} seconds", ended
                ) from error
            except Exception as error:  # a process that lies can bring about any
                why = str(error) if isinstance(error, DecoderGoneError) else repr(error)
                ended = await self._replace(decoder, "crash", one_line(why, _MAX_WHY_CHARS))
                if isinstance(error, NotTakenError):
                    raise
                raise DecoderError(
                    "the image could not be decoded: its decoder crashed", ended
                ) from error
            if isinstance(result, ImageMemoryError):
                await self._replace(decoder, "memory", result.detail)
            else:
                self._idle.put_nowait(decoder)
        if isinstance(result, ImageError):
            raise result
        return result

    def _read(self, job: Job[T], head: Head, body: Pixels) -> T | ImageError:
        """The result of a job, or why there is none.

        Raises:
            DecoderGoneError: the reply makes no sense: its process is broken.
        """
        file_bytes, pixels = len(job.payload), self._limits.max_image_pixels
        most_bytes = most_needed_bytes(pixels, file_bytes) if file_bytes else 0
        most_bytes = min(most_bytes, self._limits.max_memory_bytes)
        try:
            refusal = read_refusal(head, job.header["memory_bytes"], most_bytes)
            return refusal or job.parse(head, body)
        except (TypeError, ValueError) as error:
            raise DecoderGoneError(f"a reply that makes no sense: {error}") from error

    async def _replace(self, decoder: Decoder, reason: Reason, why: str) -> str:
        """End a process, and start another in its place."""
        self.restarts[reason] += 1
        self._all.discard(decoder)
        ended = f"{why}; {await decoder.end()}"
        logger.warning("a decoder is replaced (%s): %s", reason, ended)
        self._spawn(self._start(None))
        return ended

    async def _start(self, decoder: Decoder | None) -> None:
        """Let a process, or a new one, work once it is ready; try again until one is."""
        while True:
            try:
                decoder = decoder or Decoder(self._limits)
                self._all.add(decoder)
                await decoder.ready()
            except (OSError, DecoderGoneError) as error:  # a time limit is an OSError, too
                logger.error("a decoder cannot be started: %r", error)  # noqa: TRY400 - each time
                if decoder is not None:
                    self._all.discard(decoder)
                    await decoder.end()
                    decoder = None
                await asyncio.sleep(_START_AGAIN_S)
            else:
                self.sandbox = decoder.sandbox
                self._idle.put_nowait(decoder)
                return

    def _spawn(self, work: Coroutine[Any, Any, T]) -> "asyncio.Task[T]":
        """Run something to its end, also when nobody waits for it any more."""
        task = asyncio.create_task(work)
        self._tasks.add(task)
        task.add_done_callback(self._forget)
        return task

    def _forget(self, task: "asyncio.Task[Any]") -> None:
        self._tasks.discard(task)
        if not task.cancelled():
            task.exception()  # where nobody waits any more, nobody misses it


def _most_clip_bytes(task: ClipTask) -> int:
    return 3 * task.image_size**2 + (MAX_THUMBNAIL_BYTES if task.thumbnail_side else 0)


class Decoders(Pool):
    """Decodes, prepares and draws; one picture at a time in each process."""

    async def clip(
        self, data: bytes, task: ClipTask, memory_bytes: int, pin: Pin = nullcontext
    ) -> ClipPicture:
        """Decode a file, and prepare it for the embedder, with no more memory than was reserved.

        Raises:
            MoreMemoryError: it needs more memory than that.
            ImageError: it is no acceptable picture.
        """

        header = {"task": "clip", "memory_bytes": memory_bytes, "with": vars(task)}
        parse = partial(read_clip, task=task)
        return await self.run(Job(header, data, _most_clip_bytes(task), parse, pin=pin))

    async def letterbox(
        self, data: bytes, task: LetterboxTask, memory_bytes: int, picture: SharedPicture
    ) -> tuple[Letterboxed, int]:
        """Decode a file, prepare it for the detector, and share it with `draw`.

        Returns:
            What the detector takes, and the memory that it takes at most until it is drawn: none
            where its pixels are not shared.

        Raises:
            MoreMemoryError: it needs more memory than that.
            ImageError: it is no acceptable picture.
        """
        header = {"task": "letterbox", "memory_bytes": memory_bytes, "with": vars(task)}
        parse = partial(read_letterbox, task=task, memory_bytes=memory_bytes, limits=self._limits)
        job = Job(header, data, 3 * longest_side(task) ** 2, parse, picture.fd, picture.pin)
        boxed, held_bytes = await self.run(job)
        picture.size = boxed.original_size
        return boxed, held_bytes

    async def both(
        self,
        data: bytes,
        tasks: tuple[ClipTask, LetterboxTask],
        memory_bytes: int,
        picture: SharedPicture,
    ) -> tuple[ClipPicture, Letterboxed, int]:
        """Decode a file once, for the embedder and the detector, and share it with `crop`.

        Raises:
            MoreMemoryError: it needs more memory than that.
            ImageError: it is no acceptable picture.
        """
        clip, box = tasks
        header = {"task": "both", "memory_bytes": memory_bytes, "with": vars(clip)}
        parse_box = partial(
            read_letterbox, task=box, memory_bytes=memory_bytes, limits=self._limits
        )
        parse = partial(read_both, clip=clip, boxed=parse_box)
        most_bytes = _most_clip_bytes(clip) + 3 * longest_side(box) ** 2
        header |= {"letterbox": vars(box)}
        job = Job(header, data, most_bytes, parse, picture.fd, picture.pin)
        clipped, (boxed, held_bytes) = await self.run(job)
        picture.size = boxed.original_size
        return clipped, boxed, held_bytes

    async def crop(
        self, picture: SharedPicture, boxes: Sequence[PixelBox], task: CropTask
    ) -> NDArray[np.uint8]:
        """Cut parts out of a shared picture: uint8 [boxes, side, side, 3].

        Args:
            picture: that was decoded.
            boxes: the parts, each of one pixel or more, all of it in the picture.
            task: what becomes of them.

        Raises:
            ImageError: they cannot be cut out.
        """
        memory_bytes = needed_bytes("JPEG", picture.size[0] * picture.size[1], 0)
        header = {
            "task": "crop",
            "memory_bytes": memory_bytes,
            "with": {"size": picture.size, "boxes": list(boxes)},
            "crop": vars(task),
        }
        most_bytes = 3 * task.image_size**2 * len(boxes)
        parse = partial(read_crops, count=len(boxes), side=task.image_size)
        return await self.run(Job(header, b"", most_bytes, parse, picture.fd, picture.pin))

    async def tiles(
        self, picture: SharedPicture, boxes: Sequence[PixelBox], task: LetterboxTask
    ) -> list[Letterboxed]:
        """Cut parts out of a shared picture, and prepare each for the detector.

        Args:
            picture: that was decoded.
            boxes: the parts, as of `crop`.
            task: what becomes of each.

        Raises:
            ImageError: they cannot be cut out.
        """
        header = {
            "task": "tiles",
            "memory_bytes": needed_bytes("JPEG", picture.size[0] * picture.size[1], 0),
            "with": {"size": picture.size, "boxes": list(boxes)},
            "letterbox": vars(task),
        }
        sizes = [(right - left, lower - upper) for left, upper, right, lower in boxes]
        most_bytes = 3 * longest_side(task) ** 2 * len(boxes)
        parse = partial(read_tiles, sizes=sizes, task=task)
        return await self.run(Job(header, b"", most_bytes, parse, picture.fd, picture.pin))

    async def draw(
        self, picture: SharedPicture, boxes: Sequence[LabelledBox], quality: int
    ) -> bytes:
        """Draw boxes into a copy of a shared picture, and return it as a JPEG file.

        Raises:
            ImageError: it cannot be drawn, or is too long for a JPEG file.
        """
        pixels = picture.size[0] * picture.size[1]
        drawn = {"size": picture.size, "boxes": [asdict(box) for box in boxes], "quality": quality}
        memory_bytes = needed_bytes("JPEG", pixels, 0)
        header = {"task": "draw", "memory_bytes": memory_bytes, "with": drawn}
        most_bytes = _JPEG_BYTES_PER_PIXEL * pixels + _JPEG_HEADER_BYTES
        job = Job(header, b"", most_bytes, lambda _, body: body.tobytes(), picture.fd, picture.pin)
        return await self.run(job)
