"""The processes that decode: what they answer, and what happens when one is no more.

The faults are real: a process is killed, stopped or starved from outside, while it has a picture.
"""

import asyncio
import os
import resource
import signal
import socket
import subprocess
import sys
import time
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager, suppress
from dataclasses import replace
from itertools import islice
from pathlib import Path
from typing import Any, TypeVar

import numpy as np
import psutil
import pytest
from PIL import Image

from images.decode import decode
from images.decoder import Decoder
from images.decoders import Decoders
from images.digest import pixel_digest
from images.draw import draw_boxes, encode_jpeg
from images.errors import BrokenImageError, DecoderError, ImageMemoryError
from images.held import HeldPicture
from images.prepare import clip_pixels, letterbox
from images.room import ORDINARY_BYTES
from images.schemas import ClipTask, LabelledBox, LetterboxTask
from images.settings import DecodeSettings
from images.thumbnail import thumbnail
from tests.images.samples import encoded, picture

T = TypeVar("T")
LIMITS = DecodeSettings().limits
PROJECT = Path(__file__).resolve().parents[2]
ROOM_BYTES = 1 << 30
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
    return (await decoders.clip(data, CLIP, ROOM_BYTES)).digest


def descriptors(pid: int) -> set[str]:
    return {fd.name for fd in Path(f"/proc/{pid}/fd").iterdir()}


def pictures_held() -> int:
    """Descriptors of pictures in this process, where tests before may have left others to close."""
    fds = Path("/proc/self/fd").iterdir()
    return sum("memfd" in str(fd.readlink()) for fd in fds if fd.is_symlink())


async def until_busy(decoders: Decoders) -> None:
    while decoders.busy == 0:  # noqa: ASYNC110 - a plain number, for metrics
        await asyncio.sleep(0.01)


@asynccontextmanager
async def stopped_with_a_picture(
    decoders: Decoders,
) -> AsyncIterator[tuple[int, "asyncio.Task[str | None]"]]:
    """The only process, stopped in the middle of a picture: it has taken memory for it."""
    (pid,) = decoders.pids
    process = psutil.Process(pid)
    before = process.memory_info().rss
    task = asyncio.create_task(clip(decoders, LARGE))
    while not task.done() and process.memory_info().rss < before + (16 << 20):  # noqa: ASYNC110
        await asyncio.sleep(0)
    os.kill(pid, signal.SIGSTOP)
    assert not task.done()
    yield pid, task


def test_what_comes_back_is_what_the_same_steps_give_here() -> None:
    async def test(decoders: Decoders) -> None:
        expected = decode(DATA, LIMITS)
        task = replace(CLIP, thumbnail_side=100)
        picture = await decoders.clip(DATA, task, ORDINARY_BYTES)
        pixels, digest = picture.pixels, picture.digest
        assert picture.thumbnail == thumbnail(expected, 100)
        assert np.array_equal(pixels, clip_pixels(expected, 32, "bicubic", "shortest", 0))
        assert digest == pixel_digest(expected)
        with HeldPicture() as held:
            boxed, needed_bytes = await decoders.letterbox(DATA, LETTERBOX, ORDINARY_BYTES, held)
            jpeg = await decoders.draw(held, BOXES, 80)
        own = letterbox(np.asarray(expected), 64, 32)
        assert np.array_equal(boxed.pixels, own.pixels)
        assert (boxed.gain, boxed.pad, boxed.original_size) == (own.gain, own.pad, (300, 200))
        assert jpeg == encode_jpeg(draw_boxes(expected, BOXES), 80)
        assert 0 < needed_bytes <= ORDINARY_BYTES

    run(test)


def test_a_picture_that_is_not_drawn_into_is_not_kept() -> None:
    async def test(decoders: Decoders) -> None:
        before = pictures_held()
        with HeldPicture(keep=False) as held:
            boxed, needed_bytes = await decoders.letterbox(DATA, LETTERBOX, ORDINARY_BYTES, held)
            assert pictures_held() == before
            assert (held.size, needed_bytes) == ((300, 200), 0)
            with pytest.raises(DecoderError):
                await decoders.draw(held, BOXES, 80)
        own = letterbox(np.asarray(decode(DATA, LIMITS)), 64, 32)
        assert np.array_equal(boxed.pixels, own.pixels)
        assert not decoders.restarts

    run(test)


def test_no_digest_where_none_is_wanted() -> None:
    async def test(decoders: Decoders) -> None:
        task = ClipTask(32, "bicubic", "shortest", 0, digest=False)
        assert (await decoders.clip(DATA, task, ORDINARY_BYTES)).digest is None

    run(test)


@pytest.mark.parametrize("fault", [signal.SIGSEGV, signal.SIGKILL, signal.SIGABRT])
def test_a_crash_costs_one_picture(fault: signal.Signals) -> None:
    async def test(decoders: Decoders) -> None:
        digest = await clip(decoders)
        async with stopped_with_a_picture(decoders) as (pid, crashing):
            waiting = [asyncio.create_task(clip(decoders)) for _ in range(3)]
            os.kill(pid, fault)
            os.kill(pid, signal.SIGCONT)
            with pytest.raises(DecoderError, match="its decoder crashed") as caught:
                await crashing
        assert f"-{fault.value}" in caught.value.detail
        assert await asyncio.gather(*waiting) == [digest] * 3
        assert pid not in decoders.pids
        assert decoders.restarts == {"crash": 1}
        assert (decoders.busy, decoders.waiting) == (0, 0)

    run(test)


def test_a_hang_costs_one_picture_and_its_time() -> None:
    async def test(decoders: Decoders) -> None:
        async with stopped_with_a_picture(decoders) as (pid, hanging):
            with pytest.raises(DecoderError, match="within 1 seconds"):
                await hanging
        assert not psutil.pid_exists(pid)
        assert decoders.restarts == {"timeout": 1}
        assert await clip(decoders)

    run(test, timeout_s=1)


def test_others_go_on_beside_a_hang() -> None:
    async def test(decoders: Decoders) -> None:
        os.kill(decoders.pids[0], signal.SIGSTOP)
        pictures = [asyncio.create_task(clip(decoders)) for _ in range(6)]
        digests = {await done for done in islice(asyncio.as_completed(pictures), 5)}
        assert decoders.busy == 1
        os.kill(decoders.pids[0], signal.SIGCONT)
        assert set(await asyncio.gather(*pictures)) == digests

    run(test, processes=2)


def test_a_process_that_died_idle_costs_nothing() -> None:
    async def test(decoders: Decoders) -> None:
        for _ in range(2):
            (pid,) = decoders.pids
            psutil.Process(pid).kill()
            psutil.wait_procs([psutil.Process(pid)], timeout=5)
            assert await clip(decoders)
        assert decoders.restarts == {"crash": 2}

    run(test)


def test_a_picture_is_drawn_by_another_process_than_decoded_it() -> None:
    async def test(decoders: Decoders) -> None:
        with HeldPicture() as held:
            await decoders.letterbox(DATA, LETTERBOX, ORDINARY_BYTES, held)
            os.kill(decoders.pids[0], signal.SIGKILL)
            jpeg = await decoders.draw(held, BOXES, 80)
        assert jpeg == encode_jpeg(draw_boxes(decode(DATA, LIMITS), BOXES), 80)

    run(test)


def test_what_takes_more_memory_than_it_may_is_refused() -> None:
    async def test(decoders: Decoders) -> None:
        (pid,) = decoders.pids
        now = psutil.Process(pid).memory_info().vms
        resource.prlimit(pid, resource.RLIMIT_AS, (now, now))
        with pytest.raises(ImageMemoryError, match="more memory"):
            await clip(decoders, LARGE)
        assert decoders.restarts == {"memory": 1}
        assert await clip(decoders)
        assert pid not in decoders.pids

    run(test)


def test_a_broken_file_costs_no_process() -> None:
    async def test(decoders: Decoders) -> None:
        pids = decoders.pids
        with pytest.raises(BrokenImageError, match="damaged") as caught:
            await clip(decoders, DATA[:200])
        assert caught.value.detail
        assert decoders.pids == pids
        assert not decoders.restarts

    run(test)


def test_whoever_asked_may_go_away() -> None:
    """The process is let finish, with a descriptor of its own, and then serves the next."""

    async def test(decoders: Decoders) -> None:
        (pid,) = decoders.pids
        os.kill(pid, signal.SIGSTOP)
        before = pictures_held()
        with HeldPicture() as held:
            asked = asyncio.create_task(decoders.letterbox(DATA, LETTERBOX, ORDINARY_BYTES, held))
            await until_busy(decoders)
            asked.cancel()
            await asyncio.gather(asked, return_exceptions=True)
        waiting = asyncio.create_task(clip(decoders))
        await asyncio.sleep(0.05)
        assert decoders.waiting == 1
        os.kill(pid, signal.SIGCONT)
        assert await waiting
        assert decoders.pids == [pid]
        assert pictures_held() == before

    run(test)


def test_a_process_is_not_lost_where_descriptors_run_out() -> None:
    async def test(decoders: Decoders) -> None:
        limits = resource.getrlimit(resource.RLIMIT_NOFILE)
        with HeldPicture() as held:
            assert held.fd is not None
            resource.setrlimit(resource.RLIMIT_NOFILE, (held.fd + 1, limits[1]))
            try:
                spare = _all_descriptors()
                with pytest.raises(OSError, match="Too many open files"):
                    await decoders.letterbox(DATA, LETTERBOX, ORDINARY_BYTES, held)
            finally:
                resource.setrlimit(resource.RLIMIT_NOFILE, limits)
                for fd in spare:
                    os.close(fd)
            async with asyncio.timeout(20):
                await decoders.letterbox(DATA, LETTERBOX, ORDINARY_BYTES, held)

    run(test)


def _all_descriptors() -> list[int]:
    """Open so many that there are no more."""
    opened: list[int] = []
    with suppress(OSError):
        while True:
            opened.append(os.open(os.devnull, os.O_RDONLY))
    return opened


RIGHT = {
    "shape": [64, 64, 3],
    "gain": [1, 1],
    "pad": [0, 0],
    "original_size": [64, 64],
    "needed_bytes": 60_000,
}
WRONG: list[dict[str, Any]] = [
    {},
    {"needed_bytes": -(1 << 40)},
    {"needed_bytes": ORDINARY_BYTES},
    {"needed_bytes": 1 << 60},
    {"needed_bytes": [1]},
    {**RIGHT, "needed_bytes": -1},
    {**RIGHT, "needed_bytes": 1 << 60},
    {**RIGHT, "needed_bytes": None},
    {**RIGHT, "shape": [64, 63, 3]},
    {**RIGHT, "shape": [64, -1, 3]},
    {**RIGHT, "shape": [1, 64 * 64, 3]},
    {**RIGHT, "gain": [0, float("nan")]},
    {**RIGHT, "pad": [10**400, 0]},
    {**RIGHT, "original_size": [1 << 29, 1 << 29]},
    {**RIGHT, "original_size": "large"},
]


def answering(patch: pytest.MonkeyPatch, head: Any, body_bytes: int = 3 * 64 * 64) -> None:
    """Processes that were taken over, and answer as somebody else likes."""

    async def ask(*_: object) -> tuple[Any, Any]:
        return head, np.zeros(body_bytes, np.uint8)

    patch.setattr(Decoder, "ask", ask)


def test_a_process_that_says_what_it_never_should_is_replaced(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    async def test(decoders: Decoders) -> None:
        for count, head in enumerate(WRONG, 1):
            pids = set(decoders.pids)
            with monkeypatch.context() as patch, HeldPicture() as held:
                answering(patch, head)
                with pytest.raises(DecoderError, match="its decoder crashed") as caught:
                    await decoders.letterbox(DATA, LETTERBOX, ORDINARY_BYTES, held)
            assert caught.value.detail.startswith("a reply that cannot be right"), head
            assert "\n" not in caught.value.detail
            assert decoders.restarts == {"crash": count}
            assert len(pids & set(decoders.pids)) == len(pids) - 1
        assert await clip(decoders)

    run(test, processes=2)


def test_no_other_reply_is_believed_either(monkeypatch: pytest.MonkeyPatch) -> None:
    async def test(decoders: Decoders) -> None:
        with HeldPicture() as held, monkeypatch.context() as patch:
            answering(patch, RIGHT)
            await decoders.letterbox(DATA, LETTERBOX, ORDINARY_BYTES, held)
            answering(patch, {"needed_bytes": 1 << 29})
            with pytest.raises(DecoderError, match="its decoder crashed"):
                await decoders.draw(held, BOXES, 80)
            for digest in ({}, {"digest": 5}, {"digest": "../../etc"}):
                answering(patch, digest, 3 * 32 * 32)
                with pytest.raises(DecoderError, match="its decoder crashed"):
                    await clip(decoders)
            answering(patch, {"digest": None}, 5)
            with pytest.raises(DecoderError, match="its decoder crashed"):
                await clip(decoders)
            answering(patch, {"error": ["BrokenImageError"], "message": {}})
            with pytest.raises(DecoderError, match=r"could not be decoded$"):
                await clip(decoders)
        assert decoders.restarts == {"crash": 5}
        assert await clip(decoders)

    run(test)


def test_a_process_holds_nothing_of_its_parent(monkeypatch: pytest.MonkeyPatch) -> None:
    async def test(decoders: Decoders) -> None:
        (pid,) = decoders.pids
        process = psutil.Process(pid)
        assert "IMAGE_SEARCH" not in " ".join(process.environ())
        assert "hunter2" not in str(process.environ())
        assert descriptors(pid) == {"0", "1", "2"}
        assert not process.net_connections("inet")
        assert process.nice() == os.nice(0) + 2
        assert process.rlimit(resource.RLIMIT_CORE) == (0, 0)
        loaded = " ".join(each.path for each in process.memory_maps())
        assert "_imaging" in loaded
        for heavy in ("torch", "lance", "arrow", "pydantic", "_ssl"):
            assert heavy not in loaded

    monkeypatch.setenv("IMAGE_SEARCH_API_KEYS", "hunter2")
    monkeypatch.setenv("AWS_SECRET_ACCESS_KEY", "hunter2")
    with socket.create_server(("127.0.0.1", 0)), Path(__file__).open() as file:
        os.set_inheritable(file.fileno(), True)
        run(test)


PARENT = """
import asyncio, sys
from images.decoders import Decoders
from images.settings import DecodeSettings

async def main():
    decoders = Decoders(DecodeSettings().limits, 2, 60)
    await decoders.ready()
    print(*decoders.pids, flush=True)
    await asyncio.sleep(600)

asyncio.run(main())
"""


def test_no_process_outlives_its_parent() -> None:
    """One of them hangs, so that it cannot notice by itself."""
    parent = subprocess.Popen(
        [sys.executable, "-c", PARENT], cwd=PROJECT, stdout=subprocess.PIPE, text=True
    )
    assert parent.stdout is not None
    children = [psutil.Process(int(pid)) for pid in parent.stdout.readline().split()]
    assert len(children) == 2
    os.kill(children[0].pid, signal.SIGSTOP)
    parent.kill()
    parent.communicate()
    _, alive = psutil.wait_procs(children, timeout=20)
    assert not [child for child in alive if child.status() != psutil.STATUS_ZOMBIE]


def test_a_signal_to_the_whole_group_does_not_end_it() -> None:
    """It is needed until its parent has answered what it works on."""

    async def test(decoders: Decoders) -> None:
        for number in (signal.SIGINT, signal.SIGTERM):
            os.kill(decoders.pids[0], number)
        time.sleep(0.1)  # noqa: ASYNC251
        assert await clip(decoders)
        assert not decoders.restarts

    run(test)
