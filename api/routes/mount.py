"""Routes that BentoML does not make: other methods than POST, and parts of the path.

Each goes through the same frame as BentoML's own (`api.routes.handler.answered`).
"""

from collections.abc import Awaitable, Callable
from typing import Any

from starlette.datastructures import Headers, MutableHeaders
from starlette.requests import Request
from starlette.responses import JSONResponse, Response
from starlette.routing import Route
from starlette.types import ASGIApp, Message, Receive, Scope, Send

from api.errors import RequestError
from api.middleware.gate import WITH_BODY
from api.requests.base import JsonInput
from api.requests.conditional import unless_known

Answer = Callable[[Any, JsonInput | RequestError], Awaitable[Response]]

_IN_JSON = {
    404: {"message": "there is nothing at this path", "code": "not_found"},
    405: {"message": "this path does not take this method", "code": "method_not_allowed"},
}


def mounted(path: str, **methods: tuple[type[JsonInput], Answer]) -> Route:
    """A Starlette route for the answering functions of a path.

    One route for all of its methods, so that an answer 405 names them all (`Allow`).

    Args:
        path: as Starlette writes it, such as `/images/{id}`.
        methods: by HTTP method what its requests are checked with, and what answers them: a
            function of the service, which stands in the application's state, and the request.
            With a method that has a body, the body is read as JSON.
    """

    async def endpoint(request: Request) -> Response:
        model, answer = methods["GET" if request.method == "HEAD" else request.method]
        if request.method in WITH_BODY:
            carried = await model.from_http_request(request, None)
        else:
            carried = model.from_address(request)
        return unless_known(request, await answer(request.app.state.service, carried.request))

    return Route(path, endpoint, methods=list(methods))


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
