"""Answers go out as fast as their readers take them, and no slower than they may.

Uvicorn takes a body of any size into its buffer, and the request is over for the application: a
client that asks for a large answer and does not read it would keep it in memory for as long as it
likes, any number of times. In pieces, each waits until the one before has gone, so that the request
counts until its answer is delivered, and there is a moment to give up.
"""

import asyncio
import logging

from starlette.types import ASGIApp, Message, Receive, Scope, Send

PIECE_BYTES = 1 << 16

logger = logging.getLogger("bentoml.image_search")


class SlowReaderError(Exception):
    """The client takes its answer too slowly."""


class Paced:
    """Middleware that cuts bodies into pieces and bounds the time in which they are taken.

    Args:
        app: whatever answers.
        within_s: time for the whole body, from its first piece.
    """

    def __init__(self, app: ASGIApp, within_s: float) -> None:
        self._app = app
        self._within_s = within_s

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Pass the request on."""
        if scope["type"] != "http":
            await self._app(scope, receive, send)
            return
        try:
            await self._app(scope, receive, _Pace(send, self._within_s).send)
        except SlowReaderError:  # the server closes the connection of an unfinished answer
            logger.info("gave up an answer that was not read in %g s", self._within_s)


class _Pace:
    def __init__(self, send: Send, within_s: float) -> None:
        self._send = send
        self._within_s = within_s
        self._end: float | None = None

    async def send(self, message: Message) -> None:
        """Send a message of the application; a long body as several."""
        body = message.get("body", b"")
        last = max(len(body) - 1, 0) // PIECE_BYTES * PIECE_BYTES
        for start in range(0, last, PIECE_BYTES):
            piece = body[start : start + PIECE_BYTES]
            await self._in_time({**message, "body": piece, "more_body": True})
        await self._in_time({**message, "body": body[last:]} if last else message)

    async def _in_time(self, message: Message) -> None:
        loop = asyncio.get_running_loop()
        self._end = self._end or loop.time() + self._within_s
        try:
            async with asyncio.timeout_at(self._end):
                await self._send(message)
        except TimeoutError:
            raise SlowReaderError from None
