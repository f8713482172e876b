"""A worker waits for the models, and ends when it cannot write any more."""

import asyncio
from typing import Any

import pytest

from api.pipeline import backend
from tests.api.pipeline.test_model_call import BROKEN, FakeClient


class EndedError(Exception):
    """Stands for the end of the process."""


class FakeIndex:
    """Gets stuck when it is told to."""

    def __init__(self) -> None:
        self.stuck = asyncio.Event()

    async def ended(self) -> None:
        await self.stuck.wait()


def test_a_worker_ends_once_its_index_is_stuck(monkeypatch: pytest.MonkeyPatch) -> None:
    def end(status: int) -> None:
        raise EndedError(status)

    monkeypatch.setattr("os._exit", end)
    monkeypatch.setattr(backend, "ANSWER_S", 0.0)

    async def check() -> None:
        index: Any = FakeIndex()
        watching = asyncio.create_task(backend.end_when_stuck(index))
        await asyncio.sleep(0.05)
        assert not watching.done()
        index.stuck.set()
        with pytest.raises(EndedError, match="1"):
            await watching

    asyncio.run(check())


def test_connecting_waits_for_the_models(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("api.pipeline.backend._DESCRIBE_AGAIN_S", 0.01)
    clip = {
        "model": "m", "pretrained": "p", "dim": 4, "image_size": 8, "interpolation": "bicubic",
        "resize_mode": "shortest", "fill_color": 0, "mean": [0, 0, 0], "std": [1, 1, 1],
        "context_length": 8, "calls": 3, "items": 5,
    }  # fmt: skip
    yolo = {"weights": "w", "class_names": ["a"], "image_size": 64, "stride": 32}
    yolo |= {"calls": 2, "items": 4, "min_confidence": 0.4}
    answers = {"embedder": clip, "detector": yolo}

    def late(name: str) -> FakeClient:
        async def answer(method: str, batch: Any) -> Any:
            if client.calls < 3:
                raise BROKEN
            return answers[name]

        client = FakeClient(answer)
        return client

    models = asyncio.run(backend.Models.connect(late("embedder"), late("detector")))
    assert (models.clip.dim, models.yolo.class_names) == (4, ("a",))
    # The model services' own: their hosts may be others than this one.
    assert (models.calls, models.items, models.least_confidence) == (3, 15, 0.4)
