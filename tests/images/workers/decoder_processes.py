"""Decoder processes for tests, and pictures for them."""

import asyncio
import os
import signal
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager
from pathlib import Path
from typing import TypeVar

import psutil
from PIL import Image

from images.schemas import ClipTask, LabelledBox, LetterboxTask
from images.settings import DecodeSettings
from images.workers.decoders import Decoders
from tests.images.samples import encoded, picture

T = TypeVar("T")
LIMITS = DecodeSettings().limits
MEMORY_BYTES = 1 << 30
CLIP = ClipTask(32, "bicubic", "shortest", 0, digest=True)
LETTERBOX = LetterboxTask(64, 32)
BOXES = [LabelledBox((20, 10, 200, 100), 0.75, 3, "cat"), LabelledBox((0, 0, 9, 9), 0.5, 1, "dog")]
DATA = encoded(picture(size=(300, 200)), "PNG")
LARGE = encoded(Image.new("RGB", (5000, 5000), "teal"), "PNG", compress_level=1)
"""Takes some tenths of a second, and 100 MB."""


def run(test: Callable[[Decoders], Awaitable[T]], processes: int = 1, timeout_s: float = 60) -> T:
    async def framed() -> T:
        decoders = Decoders(LIMITS, processes, timeout_s)
        try:
            await decoders.ready()
            await clip(decoders)
            return await test(decoders)
        finally:
            decoders.close()

    return asyncio.run(framed())


async def clip(decoders: Decoders, data: bytes = DATA) -> str | None:
    return (await decoders.clip(data, CLIP, MEMORY_BYTES)).digest


def descriptors(pid: int) -> set[str]:
    return {fd.name for fd in Path(f"/proc/{pid}/fd").iterdir()}


def pictures_held() -> int:
    """Descriptors of pictures in this process, where tests before may have left others to close."""
    fds = Path("/proc/self/fd").iterdir()
    return sum("memfd" in str(fd.readlink()) for fd in fds if fd.is_symlink())


def pids(decoders: Decoders) -> list[int]:
    return [one.pid for one in decoders._all]


def busy(decoders: Decoders) -> int:
    """Jobs that processes are at."""
    names = [
        getattr(task.get_coro(), "__name__", "") for task in decoders._tasks if not task.done()
    ]
    return names.count("_work")


async def until_busy(decoders: Decoders) -> None:
    while busy(decoders) == 0:  # noqa: ASYNC110 - a plain number, for metrics
        await asyncio.sleep(0.01)


@asynccontextmanager
async def stopped_with_a_picture(
    decoders: Decoders,
) -> AsyncIterator[tuple[int, "asyncio.Task[str | None]"]]:
    """The only process, stopped in the middle of a picture: it has taken memory for it."""
    (pid,) = pids(decoders)
    process = psutil.Process(pid)
    before = process.memory_info().rss
    task = asyncio.create_task(clip(decoders, LARGE))
    while not task.done() and process.memory_info().rss < before + (16 << 20):  # noqa: ASYNC110
        await asyncio.sleep(0)
    os.kill(pid, signal.SIGSTOP)
    assert not task.done()
    yield pid, task
