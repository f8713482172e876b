"""Answers go out in pieces, and not for ever."""

import asyncio

import pytest
from starlette.responses import Response
from starlette.types import Message, Receive, Scope, Send

from api.middleware.stack import PIECE_BYTES, Answers

SCOPE: Scope = {"type": "http", "method": "GET", "path": "/", "headers": []}


async def _nothing() -> Message:
    return {"type": "http.disconnect"}


def _sent(body: bytes) -> list[Message]:
    messages: list[Message] = []

    async def send(message: Message) -> None:
        messages.append(message)

    asyncio.run(Answers(Response(body), 5)(SCOPE, _nothing, send))
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


def test_what_is_not_read_is_given_up() -> None:
    taken: list[Message] = []

    async def reader_that_stops(message: Message) -> None:
        taken.append(message)
        if len(taken) > 2:
            await asyncio.Event().wait()

    asyncio.run(
        Answers(Response(bytes(10 * PIECE_BYTES)), 0.05)(SCOPE, _nothing, reader_that_stops)
    )
    assert len(taken) == 3
    assert taken[-1]["more_body"]


def test_a_route_may_take_longer_than_its_answer() -> None:
    async def slow_route(scope: Scope, receive: Receive, send: Send) -> None:
        await asyncio.sleep(0.1)
        await Response(b"done")(scope, receive, send)

    messages: list[Message] = []

    async def send(message: Message) -> None:
        messages.append(message)

    asyncio.run(Answers(slow_route, 0.05)(SCOPE, _nothing, send))
    assert messages[-1]["body"] == b"done"
