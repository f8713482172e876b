"""Every request has an id: in its answer, in the log and in the scope.

The outermost part of the front (`api.middleware.stack`), so that no answer is without one.
BentoML's own
`X-BentoML-Request-ID` is the id of a trace's span: only some answers have it, no client can choose
it, and it is taken off.
"""

import re
import uuid
from contextvars import ContextVar

from starlette.datastructures import MutableHeaders
from starlette.types import ASGIApp, Message, Receive, Scope, Send

HEADER = "X-Request-ID"
SCOPE_KEY = "image_search.request_id"
# Safe in a header, in a line of a log and in a shell; UUIDs, ULIDs and AWS's Root=1-... fit.
_ACCEPTED = re.compile(rb"[A-Za-z0-9._:=+/@-]{1,128}")
_current: ContextVar[str] = ContextVar("request_id", default="")


def current_request_id() -> str:
    """The id of the request that this task works for; empty outside of one."""
    return _current.get()


class RequestIds:
    """Middleware: take over a client's id if it is a sane one, or make one."""

    def __init__(self, app: ASGIApp) -> None:
        self._app = app

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Pass the request on with its id, and the answer with the same."""
        if scope["type"] != "http":
            await self._app(scope, receive, send)
            return
        request_id = _given(scope) or uuid.uuid4().hex

        async def named(message: Message) -> None:
            if message["type"] == "http.response.start":
                MutableHeaders(scope=message)[HEADER] = request_id
            await send(message)

        token = _current.set(request_id)
        try:
            await self._app({**scope, SCOPE_KEY: request_id}, receive, named)
        finally:
            _current.reset(token)


def _given(scope: Scope) -> str | None:
    given = [value for name, value in scope["headers"] if name == b"x-request-id"]
    if len(given) != 1 or not _ACCEPTED.fullmatch(given[0]):
        return None
    return bytes(given[0]).decode("ascii")
