"""Services of one model on several hosts: shared load, lost ones, other models; over real HTTP."""

import asyncio
from collections.abc import AsyncIterator, Callable, Mapping
from contextlib import asynccontextmanager
from dataclasses import replace
from typing import Any

import bentoml.exceptions
import numpy as np
import pytest
from aiohttp import ClientError, web
from opentelemetry import trace

from api.pipeline.replicas import replica as one_replica
from api.pipeline.replicas import replicas as module
from api.pipeline.replicas.replicas import ReplicaMismatchError, Replicas
from api.telemetry.logs import REQUEST_ID
from runners.schemas import Serving, YoloInfo
from runners.serving.wire import FINGERPRINT_HEADER, decode, encode

TOKEN = "0123456789abcdef"
SETTING = "IMAGE_SEARCH_YOLO_URLS"
INFO = YoloInfo("yolo11n.pt", ("a", "b"), 64, 32)


@pytest.fixture(autouse=True)
def _quick(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(module, "LOOK_S", 0.05)
    monkeypatch.setattr(one_replica, "PROBE_S", 0.5)


class Service:
    """A model service that doubles; it can hang, fail, go and come back with another model."""

    def __init__(self) -> None:
        self.info, self.calls, self.port = INFO, 2, 0
        self.described: object = None
        self.batches: list[int] = []
        self.headers: list[Mapping[str, str]] = []
        self.answers, self.computes = asyncio.Event(), asyncio.Event()
        self.answers.set()
        self.computes.set()
        self.status = 200
        self._runner: web.AppRunner | None = None

    @property
    def url(self) -> str:
        return f"http://127.0.0.1:{self.port}"

    async def describe(self, request: web.Request) -> web.Response:
        await self.answers.wait()
        if request.headers.get("Authorization") != f"Bearer {TOKEN}":
            return web.Response(status=401)
        serving = Serving.of(self.info, self.calls, 4)
        own = {**self.info.to_dict(), **serving.to_dict()}
        return web.json_response(own if self.described is None else self.described)

    async def detect(self, request: web.Request) -> web.Response:
        batch = decode(await request.read())
        self.batches.append(len(batch))
        self.headers.append(request.headers)
        await asyncio.sleep(0.002)
        await self.answers.wait()
        await self.computes.wait()
        body = encode([each * 2 for each in batch])
        fingerprint = Serving.of(self.info, self.calls, 4).fingerprint
        return web.Response(
            status=self.status, body=body, headers={FINGERPRINT_HEADER: fingerprint}
        )

    async def start(self) -> None:
        app = web.Application(client_max_size=1 << 26)
        app.add_routes([web.post("/describe", self.describe), web.post("/detect", self.detect)])
        self._runner = web.AppRunner(app, shutdown_timeout=0.01)
        await self._runner.setup()
        site = web.TCPSite(self._runner, "127.0.0.1", self.port)
        await site.start()
        self.port = self.port or site._server.sockets[0].getsockname()[1]  # type: ignore[union-attr]

    async def kill(self) -> None:
        """As SIGKILL does: connections are cut, and the port is closed."""
        runner, self._runner = self._runner, None
        if runner is not None:
            assert runner.server is not None
            for connection in runner.server.connections:
                if connection.transport is not None:
                    connection.transport.abort()
            await runner.cleanup()


@asynccontextmanager
async def services(number: int, token: str = TOKEN) -> AsyncIterator[tuple[list[Service], Any]]:
    every = [Service() for _ in range(number)]
    for each in every:
        await each.start()
    replicas = Replicas(SETTING, [each.url for each in every], token, YoloInfo)
    try:
        yield every, replicas
    finally:
        await replicas.close()
        for each in every:
            each.answers.set()
            each.computes.set()
            await each.kill()


def check(test: Callable[[list[Service], Any], Any], number: int = 2, token: str = TOKEN) -> None:
    async def run() -> None:
        async with services(number, token) as (every, replicas), asyncio.timeout(60):
            await test(every, replicas)

    asyncio.run(run())


async def until(is_so: Callable[[], bool]) -> None:
    while not is_so():  # noqa: ASYNC110 - of what no event tells
        await asyncio.sleep(0.01)


async def burst(replicas: Any, calls: int) -> None:
    async def one(number: int) -> None:
        batch = [np.full((2, 2), number % 100, np.uint8)] * (1 + number % 4)
        found = await replicas.call("detect", batch)
        assert [each[0, 0] for each in found] == [number % 100 * 2] * len(batch)

    await asyncio.gather(*map(one, range(calls)))


def test_the_load_is_shared_evenly() -> None:
    async def test(every: list[Service], replicas: Any) -> None:
        described = await replicas.connect()
        assert YoloInfo.from_dict(described) == INFO
        assert replicas.calls == 4
        for _ in range(50):
            await burst(replicas, 8)
        loads = [sum(each.batches) for each in every]
        assert max(loads) < 1.2 * min(loads)

    check(test)


def test_calls_of_one_that_is_killed_are_made_elsewhere() -> None:
    async def test(every: list[Service], replicas: Any) -> None:
        await replicas.connect()
        for each in every:
            each.computes.clear()
        load = asyncio.create_task(burst(replicas, 40))
        await until(lambda: all(each.batches for each in every))
        await every[0].kill()
        every[1].computes.set()
        await load
        assert await replicas.is_ready()
        await until(lambda: len(replicas.alive) == 1)
        every[0].computes.set()
        await every[0].start()
        await until(lambda: len(replicas.alive) == 2)
        before = sum(every[0].batches)
        await burst(replicas, 40)
        assert sum(every[0].batches) > before

    check(test)


def test_calls_of_one_that_is_silent_are_made_elsewhere() -> None:
    async def test(every: list[Service], replicas: Any) -> None:
        await replicas.connect()
        every[0].answers.clear()
        await burst(replicas, 8)
        assert [one.url for one in replicas.alive] == [every[1].url]

    check(test)


def test_the_last_one_that_goes_is_told() -> None:
    async def test(every: list[Service], replicas: Any) -> None:
        await replicas.connect()
        await every[0].kill()
        with pytest.raises(ClientError, match=f"none of {SETTING} answers"):
            await burst(replicas, 1)
        await until(lambda: not replicas.alive)
        assert not await replicas.is_ready()

    check(test, number=1)


def test_a_fault_of_the_model_is_not_repeated_elsewhere() -> None:
    async def test(every: list[Service], replicas: Any) -> None:
        await replicas.connect()
        for each in every:
            each.status = 500
        with pytest.raises(bentoml.exceptions.BentoMLException, match="500"):
            await burst(replicas, 1)
        assert sum(len(each.batches) for each in every) == 1

    check(test)


@pytest.mark.parametrize(
    ("other", "words"),
    [
        (replace(INFO, weights="yolo11s.pt"), ["weights yolo11s.pt", "the others weights yolo11n"]),
        (replace(INFO, class_names=("a", "c")), ["class_names ['a', 'c']"]),
    ],
)
def test_another_model_is_refused_by_name_at_the_start(
    other: YoloInfo, words: list[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    async def test(every: list[Service], replicas: Any) -> None:
        every[1].info = other
        every[1].answers.clear()
        connecting = asyncio.create_task(replicas.connect())
        await until(lambda: bool(replicas.alive))
        every[1].answers.set()
        with pytest.raises(ReplicaMismatchError) as caught:
            await connecting
        for word in (SETTING, every[1].url, *words):
            assert word in str(caught.value)

    monkeypatch.setattr(one_replica, "PROBE_S", 60)
    check(test)


@pytest.mark.parametrize(
    "described",
    [
        [], "calls", 5, {}, {**INFO.to_dict()},
        {**INFO.to_dict(), **Serving("x", 4, 0.0, "f").to_dict()},  # type: ignore[arg-type]
        {**INFO.to_dict(), **Serving(2, 0, 0.0, "f").to_dict()},
        {**INFO.to_dict(), **Serving(2, 4, 0.0, "").to_dict()},
        Serving(2, 4, 0.0, "f").to_dict(),  # of a model of another kind
    ],
)  # fmt: skip
def test_what_is_no_such_service_is_not_called(
    described: object, caplog: pytest.LogCaptureFixture
) -> None:
    async def test(every: list[Service], replicas: Any) -> None:
        every[1].described = described
        await replicas.connect()
        await burst(replicas, 4)
        assert [one.url for one in replicas.alive] == [every[0].url]
        assert f"{every[1].url} does not answer: it serves no model of this kind" in caplog.text
        every[0].described = described
        await until(lambda: not replicas.alive)
        # It is looked at nevertheless, and called once it is what it should be.
        every[1].described = None
        await until(lambda: [one.url for one in replicas.alive] == [every[1].url])

    check(test)


def test_machines_may_differ() -> None:
    async def test(every: list[Service], replicas: Any) -> None:
        every[1].calls = 6
        await replicas.connect()
        assert replicas.calls == 8
        for _ in range(50):
            await burst(replicas, 8)
        assert sum(every[1].batches) > 2 * sum(every[0].batches)

    check(test)


def test_one_that_comes_back_with_another_model_is_not_called(
    caplog: pytest.LogCaptureFixture,
) -> None:
    async def test(every: list[Service], replicas: Any) -> None:
        await replicas.connect()
        # It is replaced between two looks, so that the first that tells is the answer to a call.
        every[0].info = replace(INFO, weights="yolo11s.pt")
        await burst(replicas, 20)
        await until(lambda: any("is not called" in each for each in caplog.messages))
        [line] = [each for each in caplog.messages if "is not called" in each]
        assert every[0].url in line
        assert "yolo11s.pt" in line
        before = len(every[0].batches)
        await burst(replicas, 20)
        assert len(every[0].batches) == before
        every[0].info = INFO
        await until(lambda: len(replicas.alive) == 2)

    check(test)


def test_a_wrong_token_is_told(caplog: pytest.LogCaptureFixture) -> None:
    async def test(every: list[Service], replicas: Any) -> None:
        with pytest.raises(ClientError, match="none of"):
            await replicas.connect()
        assert "IMAGE_SEARCH_MODEL_TOKEN" in caplog.text

    check(test, token="another-token-than-it")


def test_the_requests_id_and_trace_go_along() -> None:
    span = trace.SpanContext(0xA1, 0xB2, is_remote=False, trace_flags=trace.TraceFlags(1))

    async def test(every: list[Service], replicas: Any) -> None:
        await replicas.connect()
        REQUEST_ID.set("of-mine")
        with trace.use_span(trace.NonRecordingSpan(span)):
            await burst(replicas, 2)
        sent = [headers for each in every for headers in each.headers]
        assert {headers["X-Request-ID"] for headers in sent} == {"of-mine"}
        assert {headers["traceparent"] for headers in sent} == {f"00-{0xA1:032x}-{0xB2:016x}-01"}

    check(test)
