"""What a decoder process that was taken over may say: nothing of it is believed."""

from typing import Any

import numpy as np
import pytest

from images.decode.memory import ORDINARY_BYTES
from images.errors import DecoderError
from images.workers.decoders import Decoders
from images.workers.process import Decoder
from images.workers.shared_picture import HeldPicture
from tests.images.workers.decoder_processes import BOXES, DATA, LETTERBOX, clip, run

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
