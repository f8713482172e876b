"""The processes that decode: what they answer, and what happens when one is no more.

The faults are real: a process is killed, stopped or starved from outside, while it has a picture.
"""

import asyncio
import os
import resource
import signal
from dataclasses import asdict, replace
from itertools import islice

import numpy as np
import psutil
import pytest

from images.decode.draw import draw_boxes, encode_jpeg
from images.decode.prepare import clip_pixels, letterbox, pixel_digest, thumbnail
from images.errors import BrokenImageError, DecoderError, ImageMemoryError
from images.schemas import ORDINARY_BYTES, ClipTask, CropTask, SharedPicture
from images.workers.child import Tasks
from images.workers.decoders import Decoders
from tests.images.decode.decoding import decode
from tests.images.exif import FORMATS, TOLD, camera_exif, with_exif
from tests.images.workers.decoder_processes import (
    BOXES,
    CLIP,
    DATA,
    LARGE,
    LETTERBOX,
    LIMITS,
    busy,
    clip,
    pictures_held,
    pids,
    run,
    stopped_with_a_picture,
    until_busy,
)


def test_what_comes_back_is_what_the_same_steps_give_here() -> None:
    async def test(decoders: Decoders) -> None:
        expected = decode(DATA, LIMITS)
        task = replace(CLIP, thumbnail_side=100)
        picture = await decoders.clip(DATA, task, ORDINARY_BYTES)
        pixels, digest = picture.pixels, picture.digest
        assert picture.thumbnail == thumbnail(expected, 100)
        assert np.array_equal(pixels, clip_pixels(expected, 32, "bicubic", "shortest", 0))
        assert digest == pixel_digest(expected)
        with SharedPicture() as held:
            boxed, needed_bytes = await decoders.letterbox(DATA, LETTERBOX, ORDINARY_BYTES, held)
            jpeg = await decoders.draw(held, BOXES, 80)
        own = letterbox(np.asarray(expected), 64, 32)
        assert np.array_equal(boxed.pixels, own.pixels)
        assert (boxed.gain, boxed.pad, boxed.original_size) == (own.gain, own.pad, (300, 200))
        assert jpeg == encode_jpeg(draw_boxes(expected, BOXES), 80)
        assert 0 < needed_bytes <= ORDINARY_BYTES

    run(test)


def test_one_decoding_is_for_both_models_and_parts_are_cut_out_of_it() -> None:
    async def test(decoders: Decoders) -> None:
        clip_task, expected = replace(CLIP, thumbnail_side=100), decode(DATA, LIMITS)
        alone = await decoders.clip(DATA, clip_task, ORDINARY_BYTES)
        with SharedPicture() as held, SharedPicture() as other:
            both = await decoders.both(DATA, (clip_task, LETTERBOX), ORDINARY_BYTES, held)
            boxed, needed = await decoders.letterbox(DATA, LETTERBOX, ORDINARY_BYTES, other)
            assert held.size == (300, 200)
            boxes = [(10, 20, 110, 60), (0, 0, 300, 200)]
            crops = await decoders.crop(held, boxes, CropTask(32, "bicubic"))
            tiles = await decoders.tiles(held, boxes, LETTERBOX)
        assert np.array_equal(both[0].pixels, alone.pixels)
        assert (both[0].digest, both[0].thumbnail) == (alone.digest, alone.thumbnail)
        assert np.array_equal(both[1].pixels, boxed.pixels)
        assert (both[1].gain, both[1].pad, both[2]) == (boxed.gain, boxed.pad, needed)
        own = [clip_pixels(expected.crop(box), 32, "bicubic", "squash", 0) for box in boxes]
        assert np.array_equal(crops, own)
        for tile, box in zip(tiles, boxes, strict=True):
            whole = letterbox(np.asarray(expected.crop(box)), 64, 32)
            assert np.array_equal(tile.pixels, whole.pixels)
            assert (tile.gain, tile.pad, tile.original_size) == (
                whole.gain,
                whole.pad,
                whole.original_size,
            )

    run(test)


def test_a_picture_that_is_not_drawn_into_is_not_kept() -> None:
    async def test(decoders: Decoders) -> None:
        before = pictures_held()
        with SharedPicture(has_pixels=False) as held:
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


@pytest.mark.parametrize("file_format", FORMATS)
def test_exif_is_read_in_the_sandbox_where_it_is_asked_for(file_format: str) -> None:
    data, task = with_exif(file_format, camera_exif()), replace(CLIP, thumbnail_side=32)

    async def test(decoders: Decoders) -> None:
        plain = await decoders.clip(data, task, ORDINARY_BYTES)
        picture = await decoders.clip(data, replace(task, exif=True), ORDINARY_BYTES)
        assert (plain.exif, picture.exif) == (None, TOLD)
        assert (picture.digest, picture.thumbnail) == (plain.digest, plain.thumbnail)
        assert np.array_equal(picture.pixels, plain.pixels)
        assert picture.thumbnail is not None
        assert b"Exif" not in picture.thumbnail

    run(test)


def test_what_was_not_asked_for_does_not_leave_the_process() -> None:
    data = with_exif("JPEG", camera_exif())
    request = {"memory_bytes": ORDINARY_BYTES, "task": "clip", "with": asdict(CLIP)}
    head, body = Tasks(LIMITS).answer(request, data, None)
    assert head.keys() == {"digest"}
    assert len(body) == 3 * 32 * 32
    boxed = {**request, "task": "letterbox", "with": asdict(LETTERBOX)}
    assert b"NIKON" not in repr(Tasks(LIMITS).answer(boxed, data, None)[0]).encode()


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
        assert pid not in pids(decoders)
        assert decoders.restarts == {"crash": 1}
        assert (busy(decoders), decoders.waiting) == (0, 0)

    run(test)


def test_a_hang_costs_one_picture_and_its_time() -> None:
    async def test(decoders: Decoders) -> None:
        async with stopped_with_a_picture(decoders) as (pid, hanging):
            with pytest.raises(DecoderError, match="within 3 seconds"):
                await hanging
        assert not psutil.pid_exists(pid)
        assert decoders.restarts == {"timeout": 1}
        assert await clip(decoders)

    run(test, timeout_s=3)


def test_others_go_on_beside_a_hang() -> None:
    async def test(decoders: Decoders) -> None:
        os.kill(pids(decoders)[0], signal.SIGSTOP)
        pictures = [asyncio.create_task(clip(decoders)) for _ in range(6)]
        digests = {await done for done in islice(asyncio.as_completed(pictures), 5)}
        assert busy(decoders) == 1
        os.kill(pids(decoders)[0], signal.SIGCONT)
        assert set(await asyncio.gather(*pictures)) == digests

    run(test, processes=2)


def test_a_process_that_died_idle_costs_nothing() -> None:
    async def test(decoders: Decoders) -> None:
        for _ in range(2):
            (pid,) = pids(decoders)
            psutil.Process(pid).kill()
            psutil.wait_procs([psutil.Process(pid)], timeout=60)
            assert await clip(decoders)
        assert decoders.restarts == {"crash": 2}

    run(test)


def test_a_picture_is_drawn_by_another_process_than_decoded_it() -> None:
    async def test(decoders: Decoders) -> None:
        with SharedPicture() as held:
            await decoders.letterbox(DATA, LETTERBOX, ORDINARY_BYTES, held)
            os.kill(pids(decoders)[0], signal.SIGKILL)
            jpeg = await decoders.draw(held, BOXES, 80)
        assert jpeg == encode_jpeg(draw_boxes(decode(DATA, LIMITS), BOXES), 80)

    run(test)


def test_what_takes_more_memory_than_it_may_is_refused() -> None:
    async def test(decoders: Decoders) -> None:
        (pid,) = pids(decoders)
        now = psutil.Process(pid).memory_info().vms
        resource.prlimit(pid, resource.RLIMIT_AS, (now, now))
        with pytest.raises(ImageMemoryError, match="more memory"):
            await clip(decoders, LARGE)
        assert decoders.restarts == {"memory": 1}
        assert await clip(decoders)
        assert pid not in pids(decoders)

    run(test)


def test_a_broken_file_costs_no_process() -> None:
    async def test(decoders: Decoders) -> None:
        before = pids(decoders)
        with pytest.raises(BrokenImageError, match="damaged") as caught:
            await clip(decoders, DATA[:200])
        assert caught.value.detail
        assert pids(decoders) == before
        assert not decoders.restarts

    run(test)


def test_whoever_asked_may_go_away() -> None:
    """The process is let finish, and then serves the next."""

    async def test(decoders: Decoders) -> None:
        (pid,) = pids(decoders)
        os.kill(pid, signal.SIGSTOP)
        before = pictures_held()
        with SharedPicture() as held:
            asked = asyncio.create_task(decoders.letterbox(DATA, LETTERBOX, ORDINARY_BYTES, held))
            await until_busy(decoders)
            asked.cancel()
            await asyncio.gather(asked, return_exceptions=True)
        waiting = asyncio.create_task(clip(decoders))
        await asyncio.sleep(0.05)
        assert decoders.waiting == 1
        os.kill(pid, signal.SIGCONT)
        assert await waiting
        assert pids(decoders) == [pid]
        assert pictures_held() == before

    run(test)
