"""Work is done for a client that is there: when it goes, its request is cancelled."""

import asyncio

from starlette.types import ASGIApp, Message, Receive, Scope, Send

from api.middleware.request_body import ClientGoneError


async def attend(app: ASGIApp, body: bytes, scope: Scope, receive: Receive, send: Send) -> None:
    """Run the application on a body that was read, and cancel it when the client closes.

    What the application had handed to somebody else by then, such as an add to the store's
    writer, is theirs to finish.

    Raises:
        ClientGoneError: the client closed its connection; the application was cancelled.
    """
    work = asyncio.current_task()
    gone = False

    async def watch() -> None:
        nonlocal gone
        while (await receive())["type"] != "http.disconnect":
            pass
        gone = True
        if work is not None:
            work.cancel()

    watcher = asyncio.create_task(watch())

    async def answer(message: Message) -> None:
        if message["type"] == "http.response.body" and not message.get("more_body", False):
            # An ASGI server reports a client as gone once it has its answer, too.
            watcher.cancel()
        await send(message)

    try:
        await app(scope, _replay(body), answer)
    except asyncio.CancelledError:
        if not gone or work is None:
            raise
        work.uncancel()
        raise ClientGoneError from None
    finally:
        watcher.cancel()


def _replay(body: bytes) -> Receive:
    """A `receive` that has the body, and after it nothing: the watcher listens for the end."""
    waiting: list[Message] = [{"type": "http.request", "body": body, "more_body": False}]

    async def receive() -> Message:
        if waiting:
            return waiting.pop()
        ended: asyncio.Future[Message] = asyncio.get_running_loop().create_future()
        return await ended

    return receive
