"""Replies that make no sense: the process is replaced, and its own request fails alone."""

import asyncio
import gc
import logging
import os
import signal
import socket
from typing import Any

import numpy as np
import pytest

from images.errors import DecoderError
from images.schemas import LENGTHS, ORDINARY_BYTES, SharedPicture, most_needed_bytes
from images.workers.decoders import Decoders
from images.workers.process import Decoder
from tests.images.workers.decoder_processes import (
    DATA,
    LETTERBOX,
    LIMITS,
    clip,
    pids,
    run,
    until_busy,
)

RIGHT = {
    "shape": [64, 64, 3],
    "gain": [1, 1],
    "pad": [0, 0],
    "original_size": [64, 64],
    "held_bytes": 60_000,
}
WRONG: list[Any] = [
    {},
    [],
    None,
    5,
    {"needed_bytes": -(1 << 40)},
    {"needed_bytes": ORDINARY_BYTES},
    {"needed_bytes": [1]},
    {"needed_bytes": most_needed_bytes(LIMITS.max_image_pixels, len(DATA)) + 1},
    {**RIGHT, "held_bytes": None},
    {**RIGHT, "held_bytes": float("inf")},
    {**RIGHT, "shape": [64, 63, 3]},
    {**RIGHT, "shape": "large"},
    {**RIGHT, "gain": 1},
]


def answering(patch: pytest.MonkeyPatch, head: Any, body_bytes: int = 3 * 64 * 64) -> None:
    """Processes that answer so."""

    async def ask(*_: object) -> tuple[Any, Any]:
        return head, np.zeros(body_bytes, np.uint8)

    patch.setattr(Decoder, "ask", ask)


def test_a_process_that_says_what_it_never_should_is_replaced(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    async def test(decoders: Decoders) -> None:
        for count, head in enumerate(WRONG, 1):
            before = set(pids(decoders))
            with monkeypatch.context() as patch, SharedPicture() as held:
                answering(patch, head)
                with pytest.raises(DecoderError, match="its decoder crashed") as caught:
                    await decoders.letterbox(DATA, LETTERBOX, ORDINARY_BYTES, held)
            assert caught.value.detail.startswith("a reply that makes no sense"), head
            assert "\n" not in caught.value.detail
            assert decoders.restarts == {"crash": count}
            assert len(before & set(pids(decoders))) == len(before) - 1
        assert await clip(decoders)

    run(test, processes=2)


def test_a_body_of_another_length_is_no_picture(monkeypatch: pytest.MonkeyPatch) -> None:
    async def test(decoders: Decoders) -> None:
        with monkeypatch.context() as patch:
            answering(patch, {}, 3 * 32 * 32)
            with pytest.raises(DecoderError, match="its decoder crashed"):
                await clip(decoders)
            answering(patch, {"digest": None}, 5)
            with pytest.raises(DecoderError, match="its decoder crashed"):
                await clip(decoders)
            answering(patch, {"error": "KeyError", "message": "", "detail": ""})
            with pytest.raises(DecoderError, match=r"could not be decoded$"):
                await clip(decoders)
        assert decoders.restarts == {"crash": 2}
        assert await clip(decoders)

    run(test)


@pytest.mark.parametrize("error", [MemoryError(), OverflowError("a\nb"), RecursionError()])
def test_whatever_a_reply_brings_about_costs_one_process(
    error: Exception, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Room for the body of a reply is made on its word."""

    async def ask(*_: object) -> None:
        raise error

    async def test(decoders: Decoders) -> None:
        before = pids(decoders)
        with monkeypatch.context() as patch:
            patch.setattr(Decoder, "ask", ask)
            with pytest.raises(DecoderError, match="its decoder crashed") as caught:
                await clip(decoders)
        assert "\n" not in caught.value.detail
        assert decoders.restarts == {"crash": 1}
        assert await clip(decoders)
        assert pids(decoders) != before

    run(test)


def test_a_refusal_that_nobody_waits_for_is_no_error_of_the_log(
    caplog: pytest.LogCaptureFixture,
) -> None:
    async def test(decoders: Decoders) -> None:
        (pid,) = pids(decoders)
        os.kill(pid, signal.SIGSTOP)
        asked = asyncio.create_task(clip(decoders, DATA[:200]))
        await until_busy(decoders)
        asked.cancel()
        await asyncio.gather(asked, return_exceptions=True)
        del asked
        os.kill(pid, signal.SIGCONT)
        assert await clip(decoders)
        gc.collect()

    run(test)
    assert not [record for record in caplog.records if record.levelno >= logging.ERROR]


@pytest.mark.parametrize(
    "reply",
    [
        b"garbage that is no message at all",
        LENGTHS.pack(5, 0) + b"{{{{{",
        LENGTHS.pack(1 << 30, 0),
        LENGTHS.pack(2, 1 << 40) + b"{}",
        LENGTHS.pack(2, 100) + b"{}cut off",
        LENGTHS.pack(15, 5) + b'{"digest":null}short',
    ],
)
def test_a_process_that_writes_garbage_is_replaced(
    reply: bytes, monkeypatch: pytest.MonkeyPatch
) -> None:
    async def test(decoders: Decoders) -> None:
        (decoder,) = decoders._all
        ours, theirs = socket.socketpair()
        ours.setblocking(False)
        decoder._socket.close()
        monkeypatch.setattr(decoder, "_socket", ours)
        theirs.sendall(reply)
        theirs.shutdown(socket.SHUT_WR)
        with pytest.raises(DecoderError, match="its decoder crashed"):
            await clip(decoders)
        theirs.close()
        assert decoders.restarts == {"crash": 1}
        assert await clip(decoders)

    run(test)
