"""HTTP/1.1 client on asyncio streams: it costs little beside the service, aiohttp several times."""

import asyncio
import json
import re
from typing import Any, NamedTuple

NO_ANSWER = 0
"""In place of a status: the connection broke, or nothing came in time."""
_LENGTH = re.compile(rb"\r\ncontent-length: *(\d+)", re.IGNORECASE)
_CLOSE = re.compile(rb"\r\nconnection: *close", re.IGNORECASE)
_CODE = re.compile(rb'"code": ?"(\w+)"')
_MOST_HEAD_BYTES = 1 << 17
_Streams = tuple[asyncio.StreamReader, asyncio.StreamWriter]


class Reply(NamedTuple):
    """Status (or `NO_ANSWER`), body, when the request was sent, and why there is no answer."""

    status: int
    body: bytes
    sent: float
    error: str = "-"

    @property
    def code(self) -> str:
        """Error code in the answer's JSON, or why there is no answer; "-" without one."""
        if self.status == NO_ANSWER:
            return self.error
        found = _CODE.search(self.body) if self.status >= 400 else None
        return found[1].decode() if found else "-"

    def json(self) -> Any:
        """The body as JSON; an empty object where it is none."""
        return json.loads(self.body) if self.body.startswith((b"{", b"[")) else {}


class Client:
    """Client with so many kept connections to loopback; requests wait where none is free, and end
    as `NO_ANSWER` after the timeout.
    """

    def __init__(self, port: int, connections: int = 1, timeout_s: float = 75.0) -> None:
        self._port, self._timeout_s = port, timeout_s
        self._free = asyncio.Semaphore(connections)
        self._idle: list[_Streams] = []

    async def ask(self, request: bytes) -> Reply:
        """Send a whole request and read its answer."""
        async with self._free:
            sent = asyncio.get_running_loop().time()
            try:
                async with asyncio.timeout(self._timeout_s):
                    return await self._asked(request, sent)
            except (OSError, TimeoutError, asyncio.IncompleteReadError) as error:
                return Reply(NO_ANSWER, b"", sent, type(error).__name__)

    def close(self) -> None:
        """Close idle connections."""
        while self._idle:
            self._idle.pop()[1].transport.abort()

    async def _asked(self, request: bytes, sent: float) -> Reply:
        if self._idle:
            streams = self._idle.pop()
            try:
                return await self._exchanged(streams, request, sent)
            except (ConnectionError, asyncio.IncompleteReadError) as error:
                # A server closes a connection that was idle for seconds, maybe while the next
                # request is on its way: sent once more, as every HTTP client does.
                if isinstance(error, asyncio.IncompleteReadError) and error.partial:
                    raise
                self.close()
        opening = asyncio.open_connection("127.0.0.1", self._port, limit=_MOST_HEAD_BYTES)
        return await self._exchanged(await opening, request, sent)

    async def _exchanged(self, streams: _Streams, request: bytes, sent: float) -> Reply:
        reader, writer = streams
        is_kept = False
        try:
            writer.write(request)
            head = await reader.readuntil(b"\r\n\r\n")
            length = _LENGTH.search(head)
            body = await (reader.readexactly(int(length[1])) if length else reader.read())
            is_kept = length is not None and _CLOSE.search(head) is None
            return Reply(int(head[9:12]), body, sent)
        finally:
            if is_kept:
                self._idle.append(streams)
            else:
                writer.transport.abort()


def request_bytes(method: str, path: str, body: Any = None) -> bytes:
    """A whole request; a body of bytes goes out as it is, any other as JSON."""
    data = body if isinstance(body, bytes) else b"" if body is None else json.dumps(body).encode()
    head = f"{method} /{path} HTTP/1.1\r\nHost: localhost\r\nContent-Type: application/json\r\n"
    return head.encode() + f"Content-Length: {len(data)}\r\n\r\n".encode() + data


def post(path: str, body: Any) -> bytes:
    """A whole POST request."""
    return request_bytes("POST", path, body)
