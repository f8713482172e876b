"""Calls to a model service that fails in the ways BentoML's do."""

import asyncio
from collections.abc import Awaitable, Callable
from typing import Any

import aiohttp
import bentoml.exceptions
import numpy as np
import pytest

from api.errors import ModelUnavailableError
from api.models import MAX_IN_FLIGHT, ModelCall, Models


class FakeClient:
    """BentoML's client of a dependency, whose calls do what a test wants."""

    def __init__(self, answer: Callable[[str, Any], Awaitable[Any]]) -> None:
        self.to_async = self
        self._answer = answer
        self.calls = 0

    async def call(self, method: str, batch: Any = None) -> Any:
        """As BentoML's own."""
        self.calls += 1
        return await self._answer(method, batch)


def failing(error: Exception, times: int) -> FakeClient:
    async def answer(method: str, batch: Any) -> Any:
        if client.calls <= times:
            raise error
        return batch

    client = FakeClient(answer)
    return client


BROKEN = aiohttp.ClientOSError("Can not write request body")
IDLE = aiohttp.ServerDisconnectedError()


@pytest.mark.parametrize("error", [BROKEN, IDLE])
def test_a_broken_connection_is_repeated(error: Exception) -> None:
    client = failing(error, times=2)
    item = np.zeros((4, 4, 3), np.uint8)
    assert asyncio.run(ModelCall(client, "encode_images").one(item)).shape == item.shape
    assert client.calls == 3


def test_a_service_that_is_gone_is_given_up() -> None:
    client = failing(BROKEN, times=100)
    with pytest.raises(ModelUnavailableError, match="cannot be reached"):
        asyncio.run(ModelCall(client, "encode_texts").one("text"))
    assert client.calls < 6


def test_a_fault_of_the_model_is_not_repeated() -> None:
    client = failing(bentoml.exceptions.InternalServerError("secret"), times=100)
    with pytest.raises(ModelUnavailableError, match="failed") as caught:
        asyncio.run(ModelCall(client, "detect").one("x"))
    assert "secret" not in str(caught.value)
    assert client.calls == 1


def test_a_lost_result_is_noticed() -> None:
    async def empty(method: str, batch: Any) -> Any:
        return []

    with pytest.raises(ModelUnavailableError, match="no result"):
        asyncio.run(ModelCall(FakeClient(empty), "detect").one("x"))


def test_calls_at_once_are_bounded() -> None:
    now = most = 0

    async def busy(method: str, batch: Any) -> Any:
        nonlocal now, most
        now += 1
        most = max(most, now)
        await asyncio.sleep(0.001)
        now -= 1
        return batch

    async def storm() -> None:
        call = ModelCall(FakeClient(busy), "encode_texts")
        await asyncio.gather(*[call.one(str(number)) for number in range(300)])

    asyncio.run(storm())
    assert most == MAX_IN_FLIGHT


def test_a_model_that_does_not_answer_is_given_up(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("api.models.ANSWER_S", 0.05)

    async def silent(method: str, batch: Any) -> Any:
        await asyncio.Event().wait()

    with pytest.raises(ModelUnavailableError, match="does not answer"):
        asyncio.run(ModelCall(FakeClient(silent), "detect").one("x"))


def test_callers_that_leave_pile_up_no_work() -> None:
    """What was sent is computed: until then its place is taken, whoever waits for it."""

    async def leave() -> tuple[int, int, str]:
        release = asyncio.Event()

        async def slow(method: str, batch: Any) -> Any:
            await release.wait()
            return batch

        client = FakeClient(slow)
        call = ModelCall(client, "encode_texts")
        callers = [asyncio.create_task(call.one(str(number))) for number in range(300)]
        await asyncio.sleep(0.01)
        for caller in callers:
            caller.cancel()
        await asyncio.gather(*callers, return_exceptions=True)
        after_leaving = client.calls
        waiting = asyncio.create_task(call.one("one more"))
        await asyncio.sleep(0.01)
        meanwhile = client.calls
        release.set()
        return after_leaving, meanwhile, await waiting

    assert asyncio.run(leave()) == (MAX_IN_FLIGHT, MAX_IN_FLIGHT, "one more")


def test_connecting_waits_for_the_models(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("api.models._DESCRIBE_AGAIN_S", 0.01)
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
