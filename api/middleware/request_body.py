"""Reader of request bodies, before the request is in flight: a slow body delays no others.

A body is bounded in bytes and in time. The bodies that are being read are bounded in total, in
number and in bytes: beyond that the one that has been read for longest gives way, by having its
deadline moved to now. A small body comes with its headers and is read without waiting, so it is
never among those.
"""

import asyncio
from contextlib import suppress

from starlette.datastructures import Headers
from starlette.types import ASGIApp, Message, Receive, Scope, Send

from api.errors import BodyTooLargeError, OverloadedError, RequestError

BODY_TIMEOUT_S = 30.0
MAX_READERS = 256
MAX_READING_BYTES = 64 << 20
# The rest of a refused body is dropped for a while: a client that still sends would see no answer
# on a connection that is closed at once (RFC 9112, 9.6), and most send all of a photograph before
# they look.
_LINGER_S = 5.0
_LINGER_BYTES = 64 << 20
_ONE_READ_BYTES = 65_536


class ClientGoneError(Exception):
    """The client closed its connection before its request was whole."""


class BodyReader:
    """Reads the bodies of a worker's requests, each and all of them bounded.

    Args:
        max_bytes: of one body.
        timeout_s: for one body.
        max_readers: bodies that are read at once.
        max_reading_bytes: of those bodies in total.
    """

    def __init__(
        self,
        max_bytes: int,
        timeout_s: float = BODY_TIMEOUT_S,
        max_readers: int = MAX_READERS,
        max_reading_bytes: int = MAX_READING_BYTES,
    ) -> None:
        self._max_bytes = max_bytes
        self._timeout_s = timeout_s
        self._max_readers = max_readers
        self._max_reading_bytes = max(max_reading_bytes, 2 * max_bytes)
        # Each reading's deadline and bytes so far; the oldest first, as dicts keep their order.
        self._readings: dict[asyncio.Timeout, int] = {}
        self._reading_bytes = 0
        self._gave_way: set[asyncio.Timeout] = set()

    async def read(self, scope: Scope, receive: Receive) -> bytes:
        """The whole body.

        Raises:
            RequestError: it is too large, or comes too slowly.
            OverloadedError: it gave way to others.
            ClientGoneError: it will not come.
        """
        if _declared_bytes(scope) > self._max_bytes:
            raise self._too_large()
        deadline = asyncio.timeout(self._timeout_s)
        try:
            async with deadline:
                return await self._read(receive, deadline)
        except TimeoutError:
            if deadline in self._gave_way:
                raise OverloadedError from None
            raise RequestError("the request body came too slowly") from None
        finally:
            self._gave_way.discard(deadline)

    async def _read(self, receive: Receive, deadline: asyncio.Timeout) -> bytes:
        """Counted while it comes in: a header may lie."""
        body = bytearray()
        self._readings[deadline] = 0
        # Not now: a body that is there already makes nobody give way.
        check = asyncio.get_running_loop().call_soon(self._make_way)
        try:
            while True:
                message = await receive()
                if message["type"] == "http.disconnect":
                    raise ClientGoneError
                body += message.get("body", b"")
                if len(body) > self._max_bytes:
                    raise self._too_large()
                if not message.get("more_body", False):
                    return bytes(body)
                if deadline in self._readings:  # else it has just given way
                    self._reading_bytes += len(body) - self._readings[deadline]
                    self._readings[deadline] = len(body)
                    self._make_way()
        finally:
            check.cancel()
            self._reading_bytes -= self._readings.pop(deadline, 0)

    def _make_way(self) -> None:
        """Where the bounds are passed, end the readings that began first."""
        while (
            len(self._readings) > self._max_readers or self._reading_bytes > self._max_reading_bytes
        ):
            oldest = next(iter(self._readings))
            self._reading_bytes -= self._readings.pop(oldest)
            self._gave_way.add(oldest)
            if not oldest.expired():
                oldest.reschedule(asyncio.get_running_loop().time())

    def _too_large(self) -> BodyTooLargeError:
        return BodyTooLargeError(f"the request body is larger than {self._max_bytes} bytes")


async def answer_unread(answer: ASGIApp, scope: Scope, receive: Receive, send: Send) -> None:
    """Answer a request without its body, and close the connection where more of it may come.

    The answer goes out at once; then what still comes is dropped, for a moment, and not for ever
    as the server would without a body's end.
    """
    if not _may_be_long(scope):
        await answer(scope, receive, send)
        return

    async def last(message: Message) -> None:
        if message["type"] == "http.response.start":
            message = {**message, "headers": [*message["headers"], (b"connection", b"close")]}
        else:
            message = {**message, "more_body": True}
        await send(message)

    await answer(scope, receive, last)
    with suppress(TimeoutError):
        async with asyncio.timeout(_LINGER_S):
            await _drop(receive)
    await send({"type": "http.response.body", "body": b""})


async def _drop(receive: Receive) -> None:
    left = _LINGER_BYTES
    while left > 0:
        message = await receive()
        if not message.get("more_body", False):  # its end, or the client is gone
            return
        left -= len(message.get("body", b""))


def _declared_bytes(scope: Scope) -> int:
    length = Headers(scope=scope).get("content-length", "")
    return int(length) if length.isdecimal() else 0


def _may_be_long(scope: Scope) -> bool:
    return "transfer-encoding" in Headers(scope=scope) or _declared_bytes(scope) > _ONE_READ_BYTES


def replay(body: bytes) -> Receive:
    """A `receive` that gives a body that was read, and after it waits for ever."""
    messages: list[Message] = [{"type": "http.request", "body": body, "more_body": False}]

    async def receive() -> Message:
        if messages:
            return messages.pop()
        never: asyncio.Future[Message] = asyncio.get_running_loop().create_future()
        return await never

    return receive
