"""The processes that decode: a fixed number, each with one request at a time.

A picture that its process does not survive is answered with an error; the process is replaced and
the others never notice.
"""

import asyncio
import logging
import os
from collections import Counter
from collections.abc import Callable, Coroutine, Iterator
from contextlib import ExitStack, contextmanager, suppress
from dataclasses import dataclass
from typing import Any, Generic, Literal, TypeVar

from images.decode.memory import most_needed_bytes
from images.errors import DecoderError, ImageError, ImageMemoryError
from images.schemas import DecodeLimits
from images.workers.process import Decoder, DecoderGoneError, NotTakenError
from images.workers.replies import Pixels, read_refusal
from images.workers.shared_picture import Use
from images.workers.wire import Head

T = TypeVar("T")
logger = logging.getLogger(__name__)

Reason = Literal["crash", "timeout", "memory"]

_ATTEMPTS = 3
_START_AGAIN_S = 1.0
_MAX_WHY_CHARS = 300


@dataclass(frozen=True)
class Question(Generic[T]):
    """A request, its file, what the reply's body may be long, and what is made of the reply."""

    request: Head
    data: bytes
    most_bytes: int
    read: Callable[[Head, Pixels], T]


class Pool:
    """Has requests answered by the next process that is free.

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

    def close(self) -> None:
        """End all processes, and with them what they work on."""
        for task in self._tasks:
            task.cancel()
        for decoder in self._all:
            decoder.kill()

    async def asked(self, question: Question[T], fd: int | None, use: Use) -> T:
        """Have a request answered by the next process that is free.

        Whoever asks may go away; the process is then let finish, as it cannot be interrupted, and
        what it works with stays in use until then.

        Args:
            question: to answer.
            fd: a descriptor that goes with it; stays the caller's.
            use: of what the process works with.

        Raises:
            ImageError: the answer is one, or the process did not survive the picture.
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

    async def _worked(self, decoder: Decoder, question: Question[T], fd: int | None) -> T:
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

    def _believed(self, question: Question[T], head: Head, body: Pixels) -> T | ImageError:
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
