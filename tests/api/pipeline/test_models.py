"""Connecting to the model services."""

import asyncio
from typing import Any

import pytest

from api.pipeline.models import Models
from tests.api.pipeline.test_model_call import BROKEN, FakeClient


def test_connecting_waits_for_the_models(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("api.pipeline.models._DESCRIBE_AGAIN_S", 0.01)
    clip = {
        "model": "m", "pretrained": "p", "dim": 4, "image_size": 8, "interpolation": "bicubic",
        "resize_mode": "shortest", "fill_color": 0, "mean": [0, 0, 0], "std": [1, 1, 1],
        "context_length": 8,
    }  # fmt: skip
    yolo = {"weights": "w", "class_names": ["a"], "image_size": 64, "stride": 32}
    answers = {"embedder": clip, "detector": yolo}

    def late(name: str) -> FakeClient:
        async def answer(method: str, batch: Any) -> Any:
            if client.calls < 3:
                raise BROKEN
            return answers[name]

        client = FakeClient(answer)
        return client

    models = asyncio.run(Models.connect(late("embedder"), late("detector")))
    assert (models.clip.dim, models.yolo.class_names) == (4, ("a",))
