"""HTTP/1.1 on bare sockets, for a client that costs little beside the service that it loads.

Requests are bytes made beforehand; of an answer only the status and the code are read. aiohttp
takes about four times as long for a request.
"""

import asyncio
import re
from collections import deque
from collections.abc import Callable
from dataclasses import dataclass
from typing import NamedTuple

_LENGTH = re.compile(rb"\r\ncontent-length: *(\d+)", re.IGNORECASE)
_CLOSE = re.compile(rb"\r\nconnection: *close", re.IGNORECASE)
_CODE = re.compile(rb'"code": ?"(\w+)"')
NO_ANSWER = 0
"""In place of a status: the connection broke, or nothing came in time."""


class Answer(NamedTuple):
    """How one request went; times are the event loop's, in seconds.

    Attributes:
        kind: number of the request's kind.
        due: when it should have been sent.
        sent: when it was sent.
        done: when the whole answer was there.
        status: HTTP status or `NO_ANSWER`.
        code: that the answer's JSON names; "-" without one.
    """

    kind: int
    due: float
    sent: float
    done: float
    status: int
    code: str


@dataclass
class Asked:
    """A request on its way."""

    kind: int
    data: bytes
    due: float
    sent: float = 0.0
    repeated: bool = False


class Pool:
    """A bounded number of connections that are kept alive; requests wait where none is free.

    Args:
        port: of the service, on loopback.
        most: connections at once.
        timeout_s: a request that is not answered by then counts as `NO_ANSWER`.
        heard: called with every answer.
    """

    def __init__(
        self, port: int, most: int, timeout_s: float, heard: Callable[[Answer], None]
    ) -> None:
        self._port, self._most, self._timeout_s, self._heard = port, most, timeout_s, heard
        self._idle: list[_Connection] = []
        self._open: set[_Connection] = set()
        self._connecting: set[asyncio.Task[None]] = set()
        self._waiting: deque[Asked] = deque()
        self.in_flight = 0
        self.most_open = 0
        self.repeated = 0

    def send(self, asked: Asked) -> None:
        """Send now, or as soon as a connection is free."""
        self.in_flight += 1
        self._place(asked)

    def end_late(self) -> None:
        """Give up what is over its time; to be called now and then."""
        now = asyncio.get_running_loop().time()
        for connection in list(self._open):
            if connection.asked and now - connection.asked.sent > self._timeout_s:
                connection.end()

    def close(self) -> None:
        """End every connection; what is on its way is not heard of any more."""
        self._heard = lambda _: None
        self._waiting.clear()
        for connection in list(self._open):
            connection.end()

    def _place(self, asked: Asked) -> None:
        if self._idle:
            self._idle.pop().send(asked)
            return
        self._waiting.append(asked)
        self._open_more()

    def _open_more(self) -> None:
        if self._waiting and len(self._open) + len(self._connecting) < self._most:
            task = asyncio.get_running_loop().create_task(self._connect())
            self._connecting.add(task)
            task.add_done_callback(self._connecting.discard)

    async def _connect(self) -> None:
        loop = asyncio.get_running_loop()
        try:
            await loop.create_connection(lambda: _Connection(self), "127.0.0.1", self._port)
        except OSError:
            if self._waiting:  # one of them is the one that this connection was made for
                self.lost(self._waiting.popleft(), may_repeat=False)

    def opened(self, connection: "_Connection") -> None:
        """A connection stands."""
        self._open.add(connection)
        self.most_open = max(self.most_open, len(self._open))
        self.free(connection)

    def free(self, connection: "_Connection") -> None:
        """A connection can take a request."""
        if self._waiting:
            connection.send(self._waiting.popleft())
        else:
            self._idle.append(connection)

    def gone(self, connection: "_Connection") -> None:
        """A connection has ended."""
        self._open.discard(connection)
        if connection in self._idle:
            self._idle.remove(connection)
        self._open_more()

    def answered(self, asked: Asked, status: int, code: str) -> None:
        """An answer is there."""
        self.in_flight -= 1
        now = asyncio.get_running_loop().time()
        self._heard(Answer(asked.kind, asked.due, asked.sent, now, status, code))

    def lost(self, asked: Asked, *, may_repeat: bool) -> None:
        """A connection ended before the answer.

        A server closes what idled for seconds, maybe while the next request is on its way; that
        one is sent once more, as every HTTP client does.
        """
        if may_repeat and not asked.repeated:
            asked.repeated = True
            self.repeated += 1
            self._place(asked)
        else:
            self.answered(asked, NO_ANSWER, "-")


class _Connection(asyncio.Protocol):
    def __init__(self, pool: Pool) -> None:
        self._pool = pool
        self._received = b""
        self._served = 0
        self.asked: Asked | None = None

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        assert isinstance(transport, asyncio.Transport)  # noqa: S101 - for mypy
        self._transport = transport
        self._pool.opened(self)

    def send(self, asked: Asked) -> None:
        self.asked = asked
        asked.sent = asyncio.get_running_loop().time()
        self._transport.write(asked.data)

    def end(self) -> None:
        self._served = 0  # what it was asked is not to be repeated
        self._transport.abort()

    def data_received(self, data: bytes) -> None:
        self._received += data
        head, found, body = self._received.partition(b"\r\n\r\n")
        length = _LENGTH.search(head)
        if not found or (length is not None and len(body) < int(length[1])):
            return
        self._received = b""
        status = int(head[9:12])
        code = _CODE.search(body) if status >= 400 else None
        asked, self.asked = self.asked, None
        self._served += 1
        is_last = _CLOSE.search(head) is not None
        if is_last or length is None or asked is None:  # without a length: not our service's
            self._transport.abort()
        else:
            self._pool.free(self)
        if asked is not None:
            self._pool.answered(asked, status, code[1].decode() if code else "-")

    def connection_lost(self, _error: Exception | None) -> None:
        self._pool.gone(self)
        asked, self.asked = self.asked, None
        if asked is not None:
            self._pool.lost(asked, may_repeat=self._served > 0 and not self._received)
