"""A pool of decoder processes: each does one job at a time, and one that breaks is replaced.

A picture that its process does not survive is answered with an error; the others never notice.
"""

import asyncio
import logging
from collections import Counter
from collections.abc import Callable, Coroutine
from contextlib import nullcontext, suppress
from dataclasses import dataclass
from typing import Any, Generic, Literal, TypeVar

from images.errors import DecoderError, ImageError, ImageMemoryError
from images.schemas import (
    DecodeLimits,
    Head,
    Pin,
    most_needed_bytes,
)
from images.workers.process import Decoder, DecoderGoneError, NotTakenError
from images.workers.replies import (
    Pixels,
    one_line,
    read_refusal,
)
from images.workers.sandbox import Sandbox

T = TypeVar("T")
logger = logging.getLogger(__name__)

Reason = Literal["crash", "timeout", "memory"]
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
