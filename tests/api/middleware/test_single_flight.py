"""Answers that are the same for everybody are made once at a time."""

import asyncio

import pytest
from starlette.responses import PlainTextResponse
from starlette.types import Message, Receive, Scope, Send

from api.middleware.gate import SingleFlight


class FakeApp:
    """Takes a moment for each answer, and counts them."""

    def __init__(self, error: Exception | None = None) -> None:
        self.made = self.now = self.most = 0
        self._error = error

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        self.made += 1
        self.now += 1
        self.most = max(self.most, self.now)
        await asyncio.sleep(0.01)
        self.now -= 1
        if self._error:
            raise self._error
        await PlainTextResponse(f"{scope['path']} {self.made}")(scope, receive, send)


async def ask(app: SingleFlight, path: str, method: str = "GET") -> bytes:
    messages: list[Message] = []

    async def send(message: Message) -> None:
        messages.append(message)
        message.get("headers", []).append((b"x-request-id", b"1"))

    async def receive() -> Message:
        return {"type": "http.request", "body": b"", "more_body": False}

    scope: Scope = {"type": "http", "method": method, "path": path, "headers": []}
    await app(scope, receive, send)
    assert [name for name, _ in messages[0]["headers"]].count(b"x-request-id") == 1
    return b"".join(message.get("body", b"") for message in messages)


def test_who_asks_at_the_same_time_gets_the_same_answer() -> None:
    app = FakeApp()

    async def flood() -> list[bytes]:
        shared = SingleFlight(app)
        first = await asyncio.gather(*[ask(shared, "/metrics") for _ in range(500)])
        return [*first, await ask(shared, "/metrics")]

    *first, later = asyncio.run(flood())
    assert set(first) == {b"/metrics 1"}
    assert later == b"/metrics 2"
    assert (app.made, app.most) == (2, 1)


def test_head_gets_the_answer_to_get_without_its_body() -> None:
    for first, second in (("HEAD", "GET"), ("GET", "HEAD")):
        app = FakeApp()

        async def both(shared: SingleFlight, *methods: str) -> list[bytes]:
            return await asyncio.gather(*[ask(shared, "/readyz", one) for one in methods])

        bodies = asyncio.run(both(SingleFlight(app), first, second))
        assert app.made == 1
        assert bodies == [b"" if one == "HEAD" else b"/readyz 1" for one in (first, second)]


def test_who_leaves_takes_the_answer_from_nobody() -> None:
    async def run() -> bytes:
        shared = SingleFlight(FakeApp())
        leaving = asyncio.create_task(ask(shared, "/metrics"))
        staying = asyncio.create_task(ask(shared, "/metrics"))
        await asyncio.sleep(0.001)
        leaving.cancel()
        return await staying

    assert asyncio.run(run()) == b"/metrics 1"


def test_a_fault_is_everybodys_and_not_kept() -> None:
    app = FakeApp(LookupError())

    async def run() -> None:
        shared = SingleFlight(app)
        asked = [ask(shared, "/metrics") for _ in range(3)]
        for result in await asyncio.gather(*asked, return_exceptions=True):
            assert isinstance(result, LookupError)
        with pytest.raises(LookupError):
            await ask(shared, "/metrics")

    asyncio.run(run())
    assert app.made == 2
