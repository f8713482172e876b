"""Bodies in front of the routes: slow, endless, many, lying; and clients that go away."""

import asyncio
from collections.abc import Coroutine
from typing import Any

import pytest
from starlette.requests import Request
from starlette.responses import Response
from starlette.types import Receive, Scope, Send

from api.access.keys import KeyRing
from api.middleware.gate import Gate
from api.middleware.request_body import BodyReader
from api.middleware.stack import Answers
from tests.api.asgi import Asked
from tests.api.telemetry.metrics import rise


class Work:
    """An application that answers with the length of the body; or waits first."""

    def __init__(self, waits: bool = False) -> None:
        self.started = 0
        self.cancelled = 0
        self._waits = waits

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        body = await Request(scope, receive).body()
        self.started += 1
        try:
            await asyncio.sleep(3600 if self._waits else 0)
        except asyncio.CancelledError:
            self.cancelled += 1
            raise
        await Response(str(len(body)))(scope, receive, send)


def gate(work: Work, room: int = 2, **bounds: Any) -> Answers:
    return Answers(Gate(work, KeyRing(), room, BodyReader(1000, **bounds)))


def run(test: Coroutine[Any, Any, None]) -> None:
    asyncio.run(test)


async def turns(count: int = 10) -> None:
    for _ in range(count):
        await asyncio.sleep(0)


def test_slow_bodies_take_no_place() -> None:
    async def test() -> None:
        app = gate(work := Work(), room=1)
        slow = [Asked(app).feed(b"{") for _ in range(50)]
        await turns()
        assert await Asked(app).feed(b"{}", more=False).status() == 200
        assert work.started == 1
        assert await slow[0].feed(b"}", more=False).status() == 200
        for one in slow[1:]:
            one.leave()
            assert await one.status() is None

    run(test())


def test_a_slow_body_is_given_up() -> None:
    async def test() -> None:
        slow = Asked(gate(Work(), timeout_s=0.05)).feed(b"{")
        assert await slow.status() == 400
        assert b"came too slowly" in slow.sent[1]["body"]

    run(test())


def test_the_longest_reading_gives_way() -> None:
    async def test() -> None:
        app = gate(Work(), max_readers=3)
        slow = [Asked(app).feed(b"{") for _ in range(3)]
        await turns()
        # What comes in one packet takes nobody's place, however many there are.
        for _ in range(20):
            assert await Asked(app).feed(b"{}", more=False).status() == 200
        assert not any(one.task.done() for one in slow)
        newcomer = Asked(app).feed(b"{")
        assert await slow[0].status() == 429
        assert (b"retry-after", b"1") in slow[0].sent[0]["headers"]
        assert not slow[1].task.done()
        for one in (newcomer, *slow[1:]):
            assert await one.feed(b"}", more=False).status() == 200

    run(test())


def test_who_gives_way_may_leave_at_the_same_moment() -> None:
    async def test() -> None:
        app = gate(Work(), max_readers=1)
        slow = Asked(app).feed(b"{")
        await turns()
        newcomer = Asked(app).feed(b"{")
        slow.leave()
        assert await slow.status() in {None, 429}
        assert await newcomer.feed(b"}", more=False).status() == 200
        timed_out = Asked(gate(Work(), timeout_s=0.05)).feed(b"{")
        assert await timed_out.status() == 400

    run(test())


def test_the_bytes_of_all_bodies_are_bounded() -> None:
    async def test() -> None:
        app = gate(Work(), max_reading_bytes=2000)
        slow = [Asked(app).feed(b"x" * 900) for _ in range(2)]
        await turns()
        third = Asked(app).feed(b"x" * 900)
        assert await slow[0].status() == 429
        for one in (slow[1], third):
            assert await one.feed(b"", more=False).status() == 200

    run(test())


@pytest.mark.parametrize("length", [b"1001", b"99999999999999999999"])
def test_a_declared_length_is_refused_unread(length: bytes) -> None:
    async def test() -> None:
        asked = Asked(gate(Work()), (b"content-length", length))
        asked.feed(b"", more=False)
        assert await asked.status() == 413

    run(test())


@pytest.mark.parametrize("length", [b"1", b"-1", b"x", b"\xb2", b""])
def test_a_length_that_lies_does_not_help(length: bytes) -> None:
    async def test() -> None:
        asked = Asked(gate(Work()), (b"content-length", length)).feed(b"x" * 1001)
        assert await asked.status() == 413
        assert b"larger than 1000 bytes" in asked.sent[1]["body"]

    run(test())


def test_an_endless_body_is_answered_at_once_and_dropped_for_a_moment() -> None:
    async def test() -> None:
        asked = Asked(gate(Work()), (b"transfer-encoding", b"chunked"))
        for _ in range(200):
            asked.feed(b"x" * (1 << 20))
        await turns(1000)
        assert asked.sent[0]["status"] == 413
        assert (b"connection", b"close") in asked.sent[0]["headers"]
        assert await asked.status() == 413
        assert asked.sent[-1] == {"type": "http.response.body", "body": b""}
        assert asked.received < 100

    run(test())


def test_a_full_service_does_not_read() -> None:
    async def test() -> None:
        app = gate(Work(waits=True), room=1)
        busy = Asked(app).feed(b"{}", more=False)
        await turns()
        refused = Asked(app)
        assert await refused.status() == 429
        assert refused.received == 0
        busy.leave()
        assert await busy.status() is None

    run(test())


def test_a_client_that_goes_ends_its_work() -> None:
    async def test() -> None:
        app = gate(work := Work(waits=True), room=1)
        gone = rise("abandoned_total")
        for method in ("POST", "GET", "POST"):
            asked = Asked(app, method=method).feed(b"{}", more=False)
            await turns()
            assert not asked.task.done()
            asked.leave()
            assert await asked.status() is None
        assert (work.started, work.cancelled) == (3, 3)
        assert gone() == 3

    run(test())


def test_who_goes_after_the_answer_has_it() -> None:
    async def test() -> None:
        gone = rise("abandoned_total")
        asked = Asked(gate(Work())).feed(b"{}", more=False)
        assert await asked.status() == 200
        asked.leave()
        await turns()
        assert gone() == 0
        assert len(asyncio.all_tasks()) == 1  # nobody watches any more

    run(test())


def test_a_cancelled_server_task_stays_cancelled() -> None:
    """A stop of the server is not the client's leaving."""

    async def test() -> None:
        asked = Asked(gate(Work(waits=True))).feed(b"{}", more=False)
        await turns()
        asked.task.cancel()
        with pytest.raises(asyncio.CancelledError):
            await asked.task

    run(test())
