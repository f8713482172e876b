"""An ASGI server's side of one request, message by message."""

import asyncio
from typing import Any

from starlette.types import ASGIApp, Message

JSON = ((b"content-type", b"application/json"),)


class Asked:
    """A request whose body is fed by the test, and its answer."""

    def __init__(self, app: ASGIApp, *headers: tuple[bytes, bytes], method: str = "POST") -> None:
        self.scope: dict[str, Any] = {
            "type": "http",
            "method": method,
            "path": "/work",
            "raw_path": b"/work",
            "query_string": b"",
            "headers": [*JSON, *headers],
        }
        self.sent: list[Message] = []
        self.received = 0
        self._messages: asyncio.Queue[Message] = asyncio.Queue()
        self.task = asyncio.create_task(self._run(app))

    async def _run(self, app: ASGIApp) -> None:
        await app(self.scope, self._receive, self._send)

    async def _receive(self) -> Message:
        self.received += 1
        return await self._messages.get()

    async def _send(self, message: Message) -> None:
        self.sent.append(message)

    def feed(self, chunk: bytes, more: bool = True) -> "Asked":
        """Bytes of the body arrive."""
        self._messages.put_nowait({"type": "http.request", "body": chunk, "more_body": more})
        return self

    def leave(self) -> None:
        """The client closes its connection."""
        self._messages.put_nowait({"type": "http.disconnect"})

    async def status(self, within_s: float = 5) -> int | None:
        """The answer's status once the application is done; None where there is no answer."""
        await asyncio.wait_for(asyncio.shield(self.task), within_s)
        return self.sent[0]["status"] if self.sent else None
