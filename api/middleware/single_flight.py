"""Answers that are made once for all who ask at the same time.

`/metrics` and `/readyz` take no place and are never refused, and cost more than a refusal: the one
merges the files of all workers, the other asks both models. A flood of them is one such work after
the other.
"""

import asyncio
from collections.abc import Collection

from starlette.types import ASGIApp, Message, Receive, Scope, Send


class Shared:
    """Middleware: of GET requests for some paths, only one at a time goes on to the application.

    Args:
        app: answers; on these paths it needs no more of a request than its path.
        paths: whose answers are the same for everybody.
    """

    def __init__(self, app: ASGIApp, paths: Collection[str]) -> None:
        self._app = app
        self._paths = frozenset(paths)
        self._under_way: dict[str, asyncio.Task[list[Message]]] = {}

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Answer with what is made for somebody else already, or go on."""
        if scope["type"] != "http" or scope["method"] != "GET" or scope["path"] not in self._paths:
            await self._app(scope, receive, send)
            return
        for message in await asyncio.shield(self._answer(scope)):
            await send(_own(message))

    def _answer(self, scope: Scope) -> asyncio.Task[list[Message]]:
        path = scope["path"]
        if path not in self._under_way:
            task = asyncio.create_task(self._made(scope))
            task.add_done_callback(lambda _: self._under_way.pop(path))
            self._under_way[path] = task
        return self._under_way[path]

    async def _made(self, scope: Scope) -> list[Message]:
        messages: list[Message] = []

        async def keep(message: Message) -> None:
            messages.append(message)

        await self._app(scope, _no_body, keep)
        return messages


def _own(message: Message) -> Message:
    """A copy for one of those who asked: on its way out headers are added to it."""
    if "headers" in message:
        return {**message, "headers": list(message["headers"])}
    return {**message}


async def _no_body() -> Message:
    return {"type": "http.request", "body": b"", "more_body": False}
