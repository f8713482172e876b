"""Answers go out in pieces, and keep no place meanwhile."""

import asyncio

import pytest
from starlette.responses import Response
from starlette.types import Message, Receive, Scope, Send

from api.middleware.gate import EXCHANGE
from api.middleware.stack import PIECE_BYTES, Answers

SCOPE: Scope = {"type": "http", "method": "GET", "path": "/", "headers": []}


async def _nothing() -> Message:
    return {"type": "http.disconnect"}


async def _waits() -> Message:
    never: asyncio.Future[Message] = asyncio.get_running_loop().create_future()
    return await never


def _sent(body: bytes) -> list[Message]:
    messages: list[Message] = []

    async def send(message: Message) -> None:
        messages.append(message)

    asyncio.run(Answers(Response(body))(SCOPE, _nothing, send))
    return messages


@pytest.mark.parametrize(
    "length", [0, 1, PIECE_BYTES - 1, PIECE_BYTES, PIECE_BYTES + 1, 3 * PIECE_BYTES, 999_999]
)
def test_a_body_arrives_whole(length: int) -> None:
    body = bytes(i % 251 for i in range(length))
    start, *pieces = _sent(body)
    assert start["type"] == "http.response.start"
    assert b"".join(piece["body"] for piece in pieces) == body
    assert all(len(piece["body"]) <= PIECE_BYTES for piece in pieces)
    assert [piece.get("more_body", False) for piece in pieces] == [True] * (len(pieces) - 1) + [
        False
    ]
    assert len(pieces) == max(1, -(-length // PIECE_BYTES))


def test_a_place_is_free_as_soon_as_the_answer_exists() -> None:
    """However slowly it is then read."""
    left: list[str] = []
    taken: list[Message] = []

    async def route(scope: Scope, receive: Receive, send: Send) -> None:
        scope[EXCHANGE].begin(receive, lambda: left.append("left"))
        await asyncio.sleep(0)
        assert not left
        await Response(bytes(10 * PIECE_BYTES))(scope, receive, send)

    async def reader_that_stops(message: Message) -> None:
        assert left == ["left"]
        taken.append(message)
        if len(taken) > 2:
            await asyncio.Event().wait()

    async def run() -> None:
        task = asyncio.create_task(Answers(route)(SCOPE, _waits, reader_that_stops))
        async with asyncio.timeout(30):
            while len(taken) < 3:  # noqa: ASYNC110 - what the reader took
                await asyncio.sleep(0)
        assert not task.done()
        task.cancel()

    asyncio.run(run())
