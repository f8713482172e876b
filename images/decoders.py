"""The processes that decode, and what they are asked for: as many pictures at once as there are.

A picture that its process does not survive is answered with an error; the process is replaced and
the others never notice.
"""

import asyncio
import logging
import os
from collections import Counter
from collections.abc import Callable, Coroutine, Iterator, Sequence
from contextlib import ExitStack, contextmanager, nullcontext, suppress
from dataclasses import asdict, dataclass
from functools import partial
from typing import Any, Generic, Literal, TypeVar

from images.decoder import Decoder, DecoderGoneError, NotTakenError
from images.errors import DecoderError, ImageError, ImageMemoryError
from images.held import HeldPicture, Use
from images.replies import Pixels, read_clip, read_letterbox, read_refusal
from images.room import most_needed_bytes, needed_bytes
from images.schemas import ClipTask, DecodeLimits, LabelledBox, Letterboxed, LetterboxTask
from images.wire import Head

T = TypeVar("T")
logger = logging.getLogger(__name__)

Reason = Literal["crash", "timeout", "memory"]

_ATTEMPTS = 3
_START_AGAIN_S = 1.0
_MAX_WHY_CHARS = 300
_JPEG_BYTES_PER_PIXEL, _JPEG_HEADER_BYTES = 4, 1 << 16


@dataclass(frozen=True)
class _Question(Generic[T]):
    """A request, its file, what the reply's body may be long, and what is made of the reply."""

    request: Head
    data: bytes
    most_bytes: int
    read: Callable[[Head, Pixels], T]


class Decoders:
    """A fixed number of processes, each with one picture at a time.

    Args:
        limits: what a picture may be.
        processes: how many there are.
        timeout_s: how long one may take for a picture before it is ended.

    Attributes:
        busy: processes that work on a picture.
        waiting: pictures that wait for a process.
        restarts: processes that were replaced, by reason.
    """

    def __init__(self, limits: DecodeLimits, processes: int, timeout_s: float) -> None:
        self.busy = self.waiting = 0
        self.restarts: Counter[Reason] = Counter()
        self._limits, self._timeout_s = limits, timeout_s
        self._all = {Decoder(limits) for _ in range(processes)}
        self._starting: list[asyncio.Task[None]] | None = None
        self._idle: asyncio.Queue[Decoder] = asyncio.Queue()
        self._tasks: set[asyncio.Task[Any]] = set()

    @property
    def pids(self) -> list[int]:
        """The processes there are."""
        return [decoder.pid for decoder in self._all]

    async def ready(self) -> None:
        """Wait until all processes work; whoever comes before waits for the first of them."""
        if self._starting is None:
            self._starting = [self._started(self._join(decoder)) for decoder in self._all]
        await asyncio.gather(*self._starting)

    async def clip(
        self, data: bytes, task: ClipTask, room_bytes: int, use: Use = nullcontext
    ) -> tuple[Pixels, str | None]:
        """Decode a file, and prepare it for the embedder.

        Args:
            data: the file.
            task: how it is prepared.
            room_bytes: memory that it may take.
            use: of that memory: a process works on when nobody waits for it any more.

        Returns:
            uint8 [size, size, 3], RGB; and the digest of the whole picture, if it was asked for.

        Raises:
            MoreRoomError: it needs more memory than that.
            ImageError: it is no acceptable picture.
        """
        side = task.image_size
        request = {"task": "clip", "room_bytes": room_bytes, "with": asdict(task)}
        read = partial(read_clip, side=side)
        question = _Question(request, data, 3 * side * side, read)
        return await self._asked(question, None, use)

    async def letterbox(
        self, data: bytes, task: LetterboxTask, room_bytes: int, held: HeldPicture
    ) -> tuple[Letterboxed, int]:
        """Decode a file, prepare it for the detector, and keep it for `draw` if that is wanted.

        Args:
            data: the file.
            task: how it is prepared.
            room_bytes: memory that it may take.
            held: gets the picture, or its size alone; its `use` is that of the memory.

        Returns:
            What the detector takes, and the memory that it takes at most until it is drawn: none
            where it is not kept.

        Raises:
            MoreRoomError: it needs more memory than that.
            ImageError: it is no acceptable picture.
        """
        most_side = -(-task.image_size // task.stride) * task.stride
        request = {"task": "letterbox", "room_bytes": room_bytes, "with": asdict(task)}
        read = partial(
            read_letterbox, room_bytes=room_bytes, most_side=most_side, limits=self._limits
        )
        question = _Question(request, data, 3 * most_side * most_side, read)
        boxed, needed = await self._asked(question, held.fd, held.use)
        held.size = boxed.original_size
        return boxed, needed

    async def draw(self, held: HeldPicture, boxes: Sequence[LabelledBox], quality: int) -> bytes:
        """Draw boxes into a copy of a kept picture, and return it as a JPEG file.

        Raises:
            ImageError: it cannot be drawn, or is too long for a JPEG file.
        """
        pixels = held.size[0] * held.size[1]
        told = {"size": held.size, "boxes": [asdict(box) for box in boxes], "quality": quality}
        room_bytes = needed_bytes("JPEG", pixels, 0)
        request = {"task": "draw", "room_bytes": room_bytes, "with": told}
        most_bytes = _JPEG_BYTES_PER_PIXEL * pixels + _JPEG_HEADER_BYTES
        question = _Question(request, b"", most_bytes, lambda _, body: body.tobytes())
        return await self._asked(question, held.fd, held.use)

    def close(self) -> None:
        """End all processes, and with them what they work on."""
        for task in self._tasks:
            task.cancel()
        for decoder in self._all:
            decoder.kill()

    async def _asked(self, question: _Question[T], fd: int | None, use: Use) -> T:
        """Have a request answered by the next process that is free.

        Whoever asks may go away; the process is then let finish, as it cannot be interrupted, and
        what it works with stays in use until then.
        """
        for _ in range(_ATTEMPTS):
            with ExitStack() as own:  # what may fail comes before a process is taken
                own.enter_context(use())
                own_fd = None if fd is None else own.enter_context(_copied(fd))
                decoder = await self._next()
                work = self._started(self._worked(decoder, question, own_fd))
                work.add_done_callback(_closing(own.pop_all()))
            with suppress(NotTakenError):
                return await asyncio.shield(work)
        raise DecoderError("the image could not be decoded; try again", "no process stays alive")

    async def _next(self) -> Decoder:
        if self._starting is None:
            self._started(self.ready())
        self.waiting += 1
        try:
            return await self._idle.get()
        finally:
            self.waiting -= 1

    async def _worked(self, decoder: Decoder, question: _Question[T], fd: int | None) -> T:
        self.busy += 1
        try:
            async with asyncio.timeout(self._timeout_s):
                head, body = await decoder.ask(
                    question.request, question.data, fd, question.most_bytes
                )
            answer = self._believed(question, head, body)
        except DecoderGoneError as error:
            ended = await self._replace(decoder, "crash", str(error))
            if isinstance(error, NotTakenError):
                raise
            raise DecoderError(
                "the image could not be decoded: its decoder crashed", ended
            ) from error
        except TimeoutError as error:
            ended = await self._replace(decoder, "timeout", f"more than {self._timeout_s:g} s")
            raise DecoderError(
                f"the image could not be decoded within {self._timeout_s:g} seconds", ended
            ) from error
        finally:
            self.busy -= 1
        if isinstance(answer, ImageMemoryError):
            await self._replace(decoder, "memory", answer.detail)
        else:
            self._idle.put_nowait(decoder)
        if isinstance(answer, ImageError):
            raise answer
        return answer

    def _believed(self, question: _Question[T], head: Head, body: Pixels) -> T | ImageError:
        """What a reply says; one that cannot be right is as bad as none."""
        data, room_bytes = question.data, question.request["room_bytes"]
        most = most_needed_bytes(self._limits.max_image_pixels, len(data)) if data else 0
        try:
            return read_refusal(head, room_bytes, most) or question.read(head, body)
        except ValueError as error:
            why = " ".join(str(error).split())[:_MAX_WHY_CHARS]
            raise DecoderGoneError(f"a reply that cannot be right: {why}") from error

    async def _replace(self, decoder: Decoder, reason: Reason, why: str) -> str:
        """End a process, and start another in its place."""
        self.restarts[reason] += 1
        self._all.discard(decoder)
        ended = f"{why}; {await decoder.end()}"
        logger.warning("a decoder is replaced (%s): %s", reason, ended)
        self._started(self._join(None))
        return ended

    async def _join(self, decoder: Decoder | None) -> None:
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
                self._idle.put_nowait(decoder)
                return

    def _started(self, work: Coroutine[Any, Any, T]) -> "asyncio.Task[T]":
        """Run something to its end, also when nobody waits for it any more."""
        task = asyncio.create_task(work)
        self._tasks.add(task)
        task.add_done_callback(self._ended)
        return task

    def _ended(self, task: "asyncio.Task[Any]") -> None:
        self._tasks.discard(task)
        if not task.cancelled():
            task.exception()  # whoever asked has been told, or is gone


@contextmanager
def _copied(fd: int) -> Iterator[int]:
    """A descriptor of one's own: the asker may close its one meanwhile."""
    own_fd = os.dup(fd)
    try:
        yield own_fd
    finally:
        os.close(own_fd)


def _closing(stack: ExitStack) -> "Callable[[asyncio.Task[Any]], None]":
    """A callback that closes a stack when a task has ended, in whatever way."""
    return lambda _: stack.close()
