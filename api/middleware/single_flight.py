"""Single flight: of equal GET requests at the same time, one goes on and all get its answer."""

import asyncio

from starlette.types import ASGIApp, Message, Receive, Scope, Send


class SingleFlight:
    """Middleware for paths whose answer is the same for everybody.

    Args:
        app: answers; it needs no more of a request than its path.
    """

    def __init__(self, app: ASGIApp) -> None:
        self._app = app
        self._in_progress: dict[str, asyncio.Task[list[Message]]] = {}

    async def __call__(self, scope: Scope, _: Receive, send: Send) -> None:
        """Answer with what is made for another request already, or begin."""
        path = scope["path"]
        if path not in self._in_progress:
            task = asyncio.create_task(self._answer(scope))
            task.add_done_callback(lambda _: self._in_progress.pop(path))
            self._in_progress[path] = task
        for message in await asyncio.shield(self._in_progress[path]):
            # A copy: on its way out headers are added to it.
            own = {"headers": list(message["headers"])} if "headers" in message else {}
            await send({**message, **own})

    async def _answer(self, scope: Scope) -> list[Message]:
        messages: list[Message] = []

        async def collect(message: Message) -> None:
            messages.append(message)

        await self._app(scope, _no_body, collect)
        return messages


async def _no_body() -> Message:
    return {"type": "http.request", "body": b"", "more_body": False}
