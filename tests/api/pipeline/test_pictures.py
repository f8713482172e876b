"""From URLs to pixels with many large pictures at once: memory stays within its budget."""

import asyncio
import os
import signal
import subprocess
import sys
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path

import numpy as np
import psutil
import pytest
from numpy.typing import NDArray
from PIL import Image

from api.pipeline.pictures import Pictures
from api.requests.source import Source
from api.settings import Settings
from demo.server import PictureServer
from images.errors import BrokenImageError, ImageError, MoreMemoryError
from images.schemas import ORDINARY_BYTES, Head, LabelledBox
from images.workers.process import Decoder
from runners.schemas import ClipInfo, YoloInfo
from tests.images.workers.decoder_processes import busy, pids
from tests.unprivileged import needs_root

CLIP = ClipInfo("m", "p", 8, 32, "bicubic", "shortest", 0, (0, 0, 0), (1, 1, 1), 77)
YOLO = YoloInfo("w", ("thing",), 64, 32)
BUDGET_BYTES = 128 << 20
LARGE = (2500, 2000)  # 14 bytes for each of 5 million pixels: one fits into the budget, not two


@contextmanager
def watched_bytes() -> Iterator[list[int]]:
    """The largest memory of this process and its children, beyond what they had: [bytes]."""
    most, done, this = [0], threading.Event(), psutil.Process()

    def now() -> int:
        # Proportional: memory that several of them map counts once.
        return sum(one.memory_full_info().pss for one in [this, *this.children()])

    before = now()

    def watch() -> None:
        while not done.wait(0.05):
            most[0] = max(most[0], now() - before)

    thread = threading.Thread(target=watch)
    thread.start()
    try:
        yield most
    finally:
        done.set()
        thread.join()


async def keep_nothing(_: bytes) -> str | None:
    raise AssertionError("no file of these is to be kept")


@pytest.fixture
def settings(monkeypatch: pytest.MonkeyPatch) -> Settings:
    for name, value in {
        "ALLOW_NETWORKS": "127.0.0.1/32",
        "DECODE_PROCESSES": "3",
        "DECODE_MEMORY_BYTES": str(BUDGET_BYTES),
    }.items():
        monkeypatch.setenv(f"IMAGE_SEARCH_{name}", value)
    return Settings.from_environment()


@needs_root
def test_forty_large_pictures_at_once_stay_within_the_budget(settings: Settings) -> None:
    async def detect(pictures: Pictures, url: str) -> int:
        async with pictures.for_yolo(Source(url), YOLO) as (picture, boxed):
            assert boxed.pixels.shape == (64, 64, 3)
            return len(
                await pictures.annotated(picture, [LabelledBox((9, 9, 99, 99), 0.5, 0, "a")])
            )

    async def run(url: str) -> int:
        pictures = Pictures(settings)
        try:
            await pictures.decoders.ready()
            with watched_bytes() as most:
                clips = [pictures.for_index(Source(url), CLIP, keep_nothing) for _ in range(20)]
                digests = {picture.digest for picture, _ in await asyncio.gather(*clips)}
                jpegs = await asyncio.gather(*(detect(pictures, url) for _ in range(20)))
            assert len(digests) == len(set(jpegs)) == 1
            assert pictures.memory.free_bytes == BUDGET_BYTES
            assert not pictures.decoders.restarts
            return most[0]
        finally:
            pictures.close()

    with PictureServer() as server:
        server.add("large.jpg", Image.new("RGB", LARGE, "teal"))
        most = asyncio.run(run(f"{server.url}large.jpg"))
    assert 14 * LARGE[0] * LARGE[1] / 2 < most < BUDGET_BYTES + (64 << 20)


def test_room_comes_back_whatever_happens(settings: Settings) -> None:
    async def run(url: str) -> None:
        pictures = Pictures(settings)
        try:
            for _ in range(3):
                with pytest.raises(BrokenImageError):
                    await pictures.for_clip(Source(url + "broken.jpg"), CLIP)
            cancelled = [
                asyncio.create_task(pictures.for_clip(Source(url + "a.jpg"), CLIP))
                for _ in range(20)
            ]
            await asyncio.sleep(0.05)
            for task in cancelled:
                task.cancel()
            await asyncio.gather(*cancelled, return_exceptions=True)
            await until(lambda: busy(pictures.decoders) == 0)
            # What a process has worked with is given back a moment after it has ended its work.
            await until(lambda: pictures.memory.free_bytes == BUDGET_BYTES)
            assert (await pictures.for_clip(Source(url + "a.jpg"), CLIP)).shape == (32, 32, 3)
        finally:
            pictures.close()

    with PictureServer() as server:
        server.add("a.jpg", Image.new("RGB", (400, 300)))
        server.add_file("broken.jpg", b"\xff\xd8\xff\xe0broken")
        asyncio.run(run(server.url))


@pytest.mark.parametrize("ending", [signal.SIGCONT, signal.SIGKILL])
@pytest.mark.parametrize("work", ["clip", "letterbox", "draw"])
def test_room_belongs_to_the_work_when_the_client_is_gone(
    settings: Settings, work: str, ending: signal.Signals
) -> None:
    """A process cannot be interrupted: others would be let in on memory that it still has."""

    async def client(pictures: Pictures, url: str) -> None:
        if work == "clip":
            stop(pictures)
            await pictures.for_clip(Source(url), CLIP)
        if work == "letterbox":
            stop(pictures)
        async with pictures.for_yolo(Source(url), YOLO) as (picture, _):
            stop(pictures)
            await pictures.annotated(picture, [])

    def stop(pictures: Pictures) -> None:
        for pid in pids(pictures.decoders):
            os.kill(pid, signal.SIGSTOP)

    async def run(url: str) -> None:
        pictures = Pictures(settings)
        try:
            await pictures.decoders.ready()
            stopped, before = pids(pictures.decoders), descriptors()
            asking = asyncio.create_task(client(pictures, url))
            await until(lambda: is_stopped(stopped[0]) and busy(pictures.decoders) == 1)
            held_bytes = BUDGET_BYTES - pictures.memory.free_bytes
            assert held_bytes >= 14 * 400 * 300
            asking.cancel()
            await asyncio.gather(asking, return_exceptions=True)
            assert pictures.memory.free_bytes == BUDGET_BYTES - held_bytes
            for pid in stopped:
                os.kill(pid, ending)
            await until(lambda: pictures.memory.free_bytes > BUDGET_BYTES - held_bytes)
            # The job's task is put away a turn of the event loop after its memory.
            await until(lambda: busy(pictures.decoders) == 0)
            assert pictures.memory.free_bytes == BUDGET_BYTES
            assert not [fd for fd in descriptors() - before if "memfd" in fd]
        finally:
            pictures.close()

    with PictureServer() as server:
        server.add("a.jpg", Image.new("RGB", (400, 300)))
        asyncio.run(run(f"{server.url}a.jpg"))


def is_stopped(pid: int) -> bool:
    return psutil.Process(pid).status() == psutil.STATUS_STOPPED


def descriptors() -> set[str]:
    fds = Path("/proc/self/fd").iterdir()
    return {f"{fd.name} {fd.readlink()}" for fd in fds if fd.is_symlink()}


async def until(reached: Callable[[], bool]) -> None:
    async with asyncio.timeout(30):
        while not reached():  # noqa: ASYNC110 - plain numbers, for metrics
            await asyncio.sleep(0.01)


@pytest.mark.parametrize("needed_bytes", [-(1 << 40), 1 << 60, 100 << 20])
def test_a_decoder_that_was_taken_over_gets_no_memory_by_its_word(
    settings: Settings, monkeypatch: pytest.MonkeyPatch, needed_bytes: int
) -> None:
    """Neither does one that wants ever more get an answer that is not foreseen."""

    async def ask(_: Decoder, head: Head, *__: object) -> tuple[Head, NDArray[np.uint8]]:
        more = {"needed_bytes": needed_bytes + head["memory_bytes"]}
        return more, np.zeros(0, np.uint8)

    async def run(url: str) -> None:
        pictures = Pictures(settings)
        try:
            await pictures.decoders.ready()
            monkeypatch.setattr(Decoder, "ask", ask)
            with pytest.raises(ImageError):
                async with pictures.for_yolo(Source(url), YOLO):
                    pass
            assert pictures.memory.free_bytes == BUDGET_BYTES
        finally:
            pictures.close()

    with PictureServer() as server:
        server.add("a.jpg", Image.new("RGB", (400, 300)))
        asyncio.run(run(f"{server.url}a.jpg"))


def test_a_picture_gets_more_memory_once(
    settings: Settings, monkeypatch: pytest.MonkeyPatch
) -> None:
    asked: list[int] = []

    async def ask(_: Decoder, head: Head, *__: object) -> tuple[Head, NDArray[np.uint8]]:
        asked.append(head["memory_bytes"])
        return {"needed_bytes": asked[-1] + 1}, np.zeros(0, np.uint8)

    async def run() -> None:
        pictures = Pictures(settings)
        try:
            await pictures.decoders.ready()
            monkeypatch.setattr(Decoder, "ask", ask)
            with pytest.raises(MoreMemoryError):
                await pictures.for_clip(Source("", b"file"), CLIP)
            await until(lambda: pictures.memory.free_bytes == BUDGET_BYTES)
            assert not pictures.decoders.restarts
        finally:
            pictures.close()

    asyncio.run(run())
    assert asked == [ORDINARY_BYTES, ORDINARY_BYTES + 1]


def test_the_service_itself_holds_no_decoder() -> None:
    """What opens files of strangers is not even loaded into the process that has the keys."""
    held = "{'cv2', 'images.decode.decode'} & set(sys.modules)"
    code = f"import sys, api.pipeline.backend; sys.exit(bool({held}))"
    project = Path(__file__).resolve().parents[3]
    subprocess.run([sys.executable, "-c", code], cwd=project, check=True, timeout=120)
