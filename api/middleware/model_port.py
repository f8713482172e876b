"""Middleware around a model service: on a TCP port only callers with the token, and never pickle.

The API of the same machine calls a model service through a Unix socket in a folder of its own, by
pickle: whoever may write to that socket could as well start programs as this user. On a port
anybody may call, and unpickling runs whatever the sender likes. So a port takes the tensors of
`runners.serving.wire` alone, and of everybody but probes the token.
"""

import hmac
import re
from collections.abc import Collection

from starlette.datastructures import Headers
from starlette.types import ASGIApp, Receive, Scope, Send

from api.access.refused import log_refused
from api.errors import MediaTypeError, OverloadedError, RequestError, UnauthorizedError
from api.middleware.refusals import NOTHING_HERE, OVERLOADED, Refusal, refusal_of
from api.middleware.request_body import BodyReader, ClientGoneError, replay
from api.telemetry.logs import REQUEST_ID
from runners.serving.wire import MAX_BODY_BYTES, MEDIA_TYPE

DESCRIBE = "/describe"
_PROBES = frozenset({"/livez", "/readyz"})
_METRICS = "/metrics"
_JSON = "application/json"
# Of all requests whose items share a call.
_ACCEPTED_IDS = re.compile(r"[A-Za-z0-9._:=+/@,-]{1,4096}")
_WRONG_TOKEN = refusal_of(
    UnauthorizedError("the model services' token is needed: Authorization: Bearer TOKEN"),
    {"WWW-Authenticate": "Bearer"},
)


class ModelPort:
    """Middleware that lets the Unix socket through and guards every other way in.

    Args:
        app: BentoML's application of a model service.
        token: of `IMAGE_SEARCH_MODEL_TOKEN`; empty lets nobody in.
        batched: paths of the methods that take batches.
    """

    def __init__(self, app: ASGIApp, token: str, batched: Collection[str]) -> None:
        self._app = app
        self._token = token.encode()
        self._types = {**dict.fromkeys(batched, MEDIA_TYPE), DESCRIBE: _JSON}
        self._wrong_type = {
            kind: refusal_of(MediaTypeError([kind])) for kind in (MEDIA_TYPE, _JSON)
        }
        self._bodies = BodyReader(MAX_BODY_BYTES)

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Pass a request on, or refuse it (401, 404, 413, 415)."""
        if scope["type"] == "lifespan" or (scope["type"] == "http" and _is_on_unix_socket(scope)):
            await self._app(scope, receive, send)
        elif scope["type"] == "websocket":  # no route is one
            await send({"type": "websocket.close", "code": 1008})
        else:
            await self._guarded(scope, receive, send)

    async def _guarded(self, scope: Scope, receive: Receive, send: Send) -> None:
        headers = Headers(scope=scope)
        token = REQUEST_ID.set(_request_ids(headers))
        try:
            if scope["path"] in _PROBES and scope["method"] in {"GET", "HEAD"}:
                await self._app(scope, receive, send)
            elif (refusal := self._refusal(scope, headers)) is not None:
                await refusal(scope, receive, send)
            else:
                await self._work(scope, receive, send)
        finally:
            REQUEST_ID.reset(token)

    def _refusal(self, scope: Scope, headers: Headers) -> Refusal | None:
        """The type first: a pickle is refused as such, with whatever token."""
        path, method = scope["path"], scope["method"]
        wanted = self._types.get(path, MEDIA_TYPE)
        if method not in {"GET", "HEAD"} and headers.getlist("content-type") != [wanted]:
            return self._wrong_type[wanted]
        if not self._has_token(headers):
            log_refused(UnauthorizedError.status, None, (scope.get("client") or (None,))[0])
            return _WRONG_TOKEN
        is_there = path in self._types if method == "POST" else path == _METRICS
        return None if is_there and method in {"GET", "HEAD", "POST"} else NOTHING_HERE

    def _has_token(self, headers: Headers) -> bool:
        given = headers.getlist("authorization")
        if len(given) != 1 or not self._token:
            return False
        kind, _, token = given[0].partition(" ")
        return kind.lower() == "bearer" and hmac.compare_digest(token.encode(), self._token)

    async def _work(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Read the body, which is bounded, then pass the request on."""
        if scope["method"] != "POST":
            await self._app(scope, receive, send)
            return
        try:
            body = await self._bodies.read(scope, receive)
        except ClientGoneError:
            return
        except OverloadedError:
            await OVERLOADED(scope, receive, send)
        except RequestError as error:
            await refusal_of(error)(scope, receive, send)
        else:
            await self._app(scope, replay(body), send)


def _is_on_unix_socket(scope: Scope) -> bool:
    """Whether the connection came through one: uvicorn then tells a path and no port (0.54)."""
    server = scope.get("server")
    return server is not None and server[1] is None


def _request_ids(headers: Headers) -> str:
    """The ids of the API's requests that the call is for, where they are fit for a log."""
    given = headers.getlist("x-request-id")
    return given[0] if len(given) == 1 and _ACCEPTED_IDS.fullmatch(given[0]) else ""
