"""Calls to a model service that is busy, and that fails in the ways BentoML's do."""

import asyncio
from collections.abc import Awaitable, Callable
from contextvars import ContextVar
from typing import Any

import aiohttp
import bentoml.exceptions
import numpy as np
import pytest

from api.errors import ModelUnavailableError
from api.pipeline.model_call import ModelCall
from api.telemetry.logs import REQUEST_ID
from tests.api.telemetry.metrics import rise


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
    assert asyncio.run(ModelCall[Any](client, "encode_images")(item)).shape == item.shape
    assert client.calls == 3


def test_a_service_that_is_gone_is_given_up() -> None:
    client = failing(BROKEN, times=100)
    with pytest.raises(ModelUnavailableError, match="cannot be reached"):
        asyncio.run(ModelCall[Any](client, "encode_texts")("text"))
    assert client.calls < 6


def test_a_fault_of_the_model_is_not_repeated() -> None:
    client = failing(bentoml.exceptions.InternalServerError("secret"), times=100)
    with pytest.raises(ModelUnavailableError, match="failed") as caught:
        asyncio.run(ModelCall[Any](client, "detect")("x"))
    assert "secret" not in str(caught.value)
    assert client.calls == 1


def test_a_lost_result_is_noticed() -> None:
    async def empty(method: str, batch: Any) -> Any:
        return []

    with pytest.raises(ModelUnavailableError, match="no result"):
        asyncio.run(ModelCall[Any](FakeClient(empty), "detect")("x"))


@pytest.mark.parametrize(("calls", "items"), [(1, 16), (3, 8)])
def test_what_comes_during_a_call_goes_with_the_next(calls: int, items: int) -> None:
    now = most = 0
    sizes: list[int] = []

    async def busy(method: str, batch: Any) -> Any:
        nonlocal now, most
        now += 1
        most = max(most, now)
        sizes.append(len(batch))
        await asyncio.sleep(0.001)
        now -= 1
        return [f"of {item}" for item in batch]

    async def storm() -> list[Any]:
        call = ModelCall[Any](FakeClient(busy), "encode_texts", list, calls, items)
        return await asyncio.gather(*[call(str(number)) for number in range(100)])

    assert asyncio.run(storm()) == [f"of {number}" for number in range(100)]
    assert most == calls
    assert sizes[:calls] == [1] * calls  # the first goes at once
    assert max(sizes) == items
    assert len(sizes) <= calls + 100 // items + 1


def test_items_of_one_caller_go_in_one_call() -> None:
    batches: list[list[str]] = []

    async def answer(method: str, batch: Any) -> Any:
        batches.append(batch)
        return [item.upper() for item in batch]

    call = ModelCall[str](FakeClient(answer), "encode_texts", items=4)
    assert asyncio.run(call.all(["a", "b", "c"])) == ["A", "B", "C"]
    assert batches == [["a", "b", "c"]]
    assert asyncio.run(call.all([])) == []


def test_pictures_go_as_one_array() -> None:
    shapes: list[Any] = []

    async def shape(method: str, batch: Any) -> Any:
        shapes.append(batch.shape)
        return batch

    async def three() -> Any:
        call = ModelCall[Any](FakeClient(shape), "encode_images", np.stack)
        pictures = [np.full((4, 4, 3), number, np.uint8) for number in range(3)]
        return await asyncio.gather(*map(call, pictures))

    assert [one[0, 0, 0] for one in asyncio.run(three())] == [0, 1, 2]
    assert shapes == [(1, 4, 4, 3), (2, 4, 4, 3)]


@pytest.mark.parametrize("fault", ["raises", "loses"])
def test_an_item_that_the_model_fails_at_fails_alone(fault: str) -> None:
    async def picky(method: str, batch: Any) -> Any:
        await asyncio.sleep(0)
        if "bad" not in batch:
            return batch
        if fault == "raises":
            raise bentoml.exceptions.InternalServerError("secret")
        return batch[1:]

    async def ask() -> list[Any]:
        call = ModelCall[Any](FakeClient(picky), "encode_texts")
        items = ["first", "good", "bad", "fine"]
        return await asyncio.gather(*map(call, items), return_exceptions=True)

    first, good, bad, fine = asyncio.run(ask())
    assert (first, good, fine) == ("first", "good", "fine")
    assert isinstance(bad, ModelUnavailableError)


def test_nobody_waits_for_ever_after_a_fault_that_nobody_foresaw() -> None:
    async def broken(method: str, batch: Any) -> Any:
        await asyncio.sleep(0)
        raise KeyError(method)

    async def ask() -> list[Any]:
        call = ModelCall[Any](FakeClient(broken), "encode_texts")
        return await asyncio.gather(*map(call, "abc"), return_exceptions=True)

    assert [type(one) for one in asyncio.run(ask())] == [KeyError] * 3


def test_each_item_is_counted_and_each_call_has_its_size() -> None:
    labels = {"model": "ClipEmbedder", "method": "encode_texts"}
    items = rise("model_calls_total", outcome="ok", **labels)
    timed = rise("model_call_seconds_count", **labels)
    calls = rise("model_call_items_count", **labels)
    sizes = rise("model_call_items_sum", **labels)

    async def echo(method: str, batch: Any) -> Any:
        await asyncio.sleep(0)
        return batch

    async def ask() -> None:
        call = ModelCall[Any](FakeClient(echo), "encode_texts")
        await asyncio.gather(*map(call, "abcd"))

    asyncio.run(ask())
    assert (items(), timed(), calls(), sizes()) == (4, 4, 2, 4)


def test_a_call_belongs_to_the_request_of_its_first_item() -> None:
    """Its span then has the parent that it had without company."""
    request: ContextVar[str] = ContextVar("request")
    seen: list[str] = []

    async def look(method: str, batch: Any) -> Any:
        seen.append(request.get())
        await asyncio.sleep(0)
        return batch

    async def ask() -> None:
        call = ModelCall[Any](FakeClient(look), "encode_texts")

        async def one(name: str) -> None:
            request.set(name)
            await call(name)

        await asyncio.gather(*map(one, "abc"))

    asyncio.run(ask())
    assert seen == ["a", "b"]


def test_a_model_that_does_not_answer_is_given_up(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("api.pipeline.model_call.ANSWER_S", 0.05)

    async def silent(method: str, batch: Any) -> Any:
        await asyncio.Event().wait()

    with pytest.raises(ModelUnavailableError, match="does not answer"):
        asyncio.run(ModelCall[Any](FakeClient(silent), "detect")("x"))


def test_a_batch_that_fails_and_then_hangs_holds_its_place_for_one_time_limit(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr("api.pipeline.model_call.ANSWER_S", 1.0)

    async def failing_then_silent(method: str, batch: Any) -> Any:
        if len(batch) > 1:
            raise bentoml.exceptions.InternalServerError("secret")
        if batch[0] not in {"first", "good"}:
            await asyncio.Event().wait()
        await asyncio.sleep(0)
        return batch

    async def ask() -> tuple[list[Any], float]:
        call = ModelCall[Any](FakeClient(failing_then_silent), "encode_texts")
        began = asyncio.get_running_loop().time()
        items = ["first", "good", *map(str, range(5))]
        found = await asyncio.gather(*map(call, items), return_exceptions=True)
        took = asyncio.get_running_loop().time() - began
        assert await call("first") == "first"  # its place is free again
        return found, took

    (first, good, *late), took = asyncio.run(ask())
    assert (first, good) == ("first", "good")
    assert all("does not answer" in str(one) for one in late)
    assert took < 3  # not a second for each of the five


def test_no_call_begins_when_the_event_loop_ends() -> None:
    async def silent(method: str, batch: Any) -> Any:
        await asyncio.Event().wait()

    client = FakeClient(silent)

    async def leave() -> None:
        call = ModelCall[Any](client, "encode_texts")
        asked = [asyncio.create_task(call(item)) for item in "abc"]
        await asyncio.sleep(0.01)
        assert not any(one.done() for one in asked)

    asyncio.run(leave())
    assert client.calls == 1


def test_callers_that_leave_pile_up_no_work() -> None:
    """What was sent is computed, whoever waits for it, and what was not sent never is."""

    async def leave() -> tuple[int, int, str]:
        release = asyncio.Event()
        computed: list[str] = []

        async def slow(method: str, batch: Any) -> Any:
            computed.extend(batch)
            await release.wait()
            return batch

        client = FakeClient(slow)
        call = ModelCall[Any](client, "encode_texts")
        callers = [asyncio.create_task(call(str(number))) for number in range(300)]
        await asyncio.sleep(0.01)
        for caller in callers:
            caller.cancel()
        await asyncio.gather(*callers, return_exceptions=True)
        waiting = asyncio.create_task(call("one more"))
        await asyncio.sleep(0.01)
        meanwhile = client.calls
        release.set()
        answer = await waiting
        return meanwhile, len(computed), answer

    assert asyncio.run(leave()) == (1, 2, "one more")


def test_a_caller_may_leave_at_the_moment_when_its_turn_comes() -> None:
    async def leave() -> str:
        release = asyncio.Event()

        async def slow(method: str, batch: Any) -> Any:
            await release.wait()
            return batch

        call = ModelCall[Any](FakeClient(slow), "encode_texts")
        asked = [asyncio.create_task(call(item)) for item in ("first", "leaves", "stays")]
        await asyncio.sleep(0.01)
        release.set()
        await asyncio.sleep(0)  # the call ends in this very step of the loop
        asked[1].cancel()
        first, left, stays = await asyncio.gather(*asked, return_exceptions=True)
        assert isinstance(left, asyncio.CancelledError)
        return f"{first} {stays}"

    assert asyncio.run(leave()) == "first stays"


def test_a_call_goes_by_the_ids_of_all_its_requests() -> None:
    seen: list[str] = []

    async def answer(method: str, batch: Any) -> Any:
        seen.append(REQUEST_ID.get())
        return batch

    async def of_request(call: ModelCall[Any], name: str) -> None:
        REQUEST_ID.set(name)
        await call(name)
        assert REQUEST_ID.get() == name

    async def three() -> None:
        call = ModelCall[Any](FakeClient(answer), "encode_texts")
        await asyncio.gather(*[of_request(call, name) for name in ("a", "b", "c")])

    asyncio.run(three())
    assert seen == ["a", "b,c"]


def test_there_are_more_calls_once_there_are_more_hosts() -> None:
    most, now, seen = 1, 0, 0

    async def answer(method: str, batch: Any) -> Any:
        nonlocal most, now, seen
        now += 1
        seen, most = max(seen, now), 3
        await asyncio.sleep(0)
        now -= 1
        return batch

    async def many() -> None:
        call = ModelCall[Any](FakeClient(answer), "encode_texts", list, lambda: most, 1)
        await asyncio.gather(*[call(str(n)) for n in range(30)])

    asyncio.run(many())
    assert seen == 3
