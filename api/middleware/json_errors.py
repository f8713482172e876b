"""Starlette's own plain-text refusals (404, 405), answered in JSON."""

from starlette.datastructures import Headers, MutableHeaders
from starlette.responses import JSONResponse
from starlette.types import ASGIApp, Message, Receive, Scope, Send

_IN_JSON = {
    404: {"message": "there is nothing at this path", "code": "not_found"},
    405: {"message": "this path does not take this method", "code": "method_not_allowed"},
}


class JsonRefusals:
    """Middleware: what Starlette refuses as plain text (404, 405) is refused in JSON."""

    def __init__(self, app: ASGIApp) -> None:
        self._app = app

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Pass everything on but such an answer."""
        body: bytes | None = None

        async def translated(message: Message) -> None:
            nonlocal body
            if message["type"] == "http.response.start" and _is_plain_refusal(message):
                body = bytes(JSONResponse(_IN_JSON[message["status"]]).body)
                headers = MutableHeaders(raw=message["headers"])
                headers["content-type"] = "application/json"
                headers["content-length"] = str(len(body))
            elif message["type"] == "http.response.body" and body is not None:
                message = {**message, "body": b"" if scope["method"] == "HEAD" else body}
            await send(message)

        await self._app(scope, receive, translated if scope["type"] == "http" else send)


def _is_plain_refusal(message: Message) -> bool:
    kind = Headers(raw=message["headers"]).get("content-type", "text/plain")
    return message["status"] in _IN_JSON and kind.startswith("text/plain")
