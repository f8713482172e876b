"""The middlewares in front of BentoML's own, inwards: addresses, answers, hosts, CORS, gate.

Each request gets an id: in its answer, in the log, and its client may choose it. (BentoML's own
`X-BentoML-Request-ID` is the id of a trace's span; it is taken off.) The headers of all answers are
those of the OWASP REST security cheat sheet; HSTS is missing, since TLS ends in front of this
service.
"""

import asyncio
import re
import uuid
from collections.abc import Callable
from contextlib import nullcontext

from starlette.middleware.cors import CORSMiddleware
from starlette.responses import JSONResponse
from starlette.types import ASGIApp, Message, Receive, Scope, Send

from api.access.addresses import ClientAddresses
from api.access.hosts import is_addressed
from api.access.keys import KeyRing
from api.contract.responses.objects import MORE_HEADER
from api.limits.slow_readers import SLOW_READERS, Backlog
from api.middleware.gate import EXCHANGE, Gate
from api.middleware.refusals import MISDIRECTED
from api.middleware.request_body import BodyReader, ClientGoneError
from api.routes.page import POLICIES
from api.settings import ApiSettings
from api.telemetry.logs import REQUEST_ID
from api.telemetry.metrics import ABANDONED

REQUEST_ID_HEADER = "X-Request-ID"
BACKLOG = "image_search.backlog"
"""Key of the scope under which the server puts the `Backlog` of the connection."""

PIECE_BYTES = 1 << 16

_METHODS = ("GET", "POST", "PUT", "PATCH", "DELETE")
_PREFLIGHT_S = 600
# Of pictures that are being read, apart from other bodies: neither gives way to the other.
_MAX_UPLOADING_BYTES = 256 << 20

# Safe in a header, in a line of a log and in a shell; UUIDs, ULIDs and AWS's Root=1-... fit.
_ACCEPTED_ID = re.compile(rb"[A-Za-z0-9._:=+/@-]{1,128}")

ALWAYS = [
    (b"x-content-type-options", b"nosniff"),
    (b"referrer-policy", b"no-referrer"),
    (b"x-frame-options", b"DENY"),
    (b"cross-origin-resource-policy", b"same-origin"),
]
_NO_SCRIPTS = "default-src 'none'; frame-ancestors 'none'; base-uri 'none'; form-action 'none'"
_NO_STORE = (b"cache-control", b"no-store")
# BentoML names itself and its service (1.4.39, `_bentoml_impl.server.app._add_response_headers`).
_TAKEN_OFF = frozenset({b"server", b"x-bentoml-request-id", b"x-bentoml-trace-id", b"x-request-id"})
_IN_JSON = {
    404: JSONResponse({"message": "there is nothing at this path", "code": "not_found"}),
    405: JSONResponse(
        {"message": "this path does not take this method", "code": "method_not_allowed"}
    ),
}


def with_middlewares(
    app: ASGIApp, settings: ApiSettings, keys: KeyRing, max_image_bytes: int
) -> ASGIApp:
    """Wrap an application in all middlewares.

    Args:
        app: BentoML's application.
        settings: who may ask, and how much.
        keys: of the settings.
        max_image_bytes: of a picture's file, so that one can be uploaded.
    """
    # A form holds what a JSON body would, besides the picture.
    max_upload_bytes = settings.max_body_bytes + max_image_bytes
    gate: ASGIApp = Gate(
        app,
        keys,
        settings.max_in_flight,
        BodyReader(settings.max_body_bytes),
        uploads=BodyReader(max_upload_bytes, max_reading_bytes=_MAX_UPLOADING_BYTES),
        origins=settings.cors_origins,
    )
    if settings.cors_origins:
        gate = CORSMiddleware(
            gate,
            allow_origins=sorted(settings.cors_origins),
            allow_methods=_METHODS,
            allow_headers=["Authorization", "Content-Type", REQUEST_ID_HEADER],
            expose_headers=["Retry-After", REQUEST_ID_HEADER, MORE_HEADER],
            max_age=_PREFLIGHT_S,
        )
    if not keys.locked:
        gate = OwnHosts(gate, settings.hosts)
    return ClientAddresses(Answers(gate), settings.trusted_proxies)


class OwnHosts:
    """Middleware that answers only what is addressed to this service, against DNS rebinding.

    Args:
        app: the application.
        names: of the service, besides `localhost` and IP addresses.
    """

    def __init__(self, app: ASGIApp, names: frozenset[str]) -> None:
        self._app, self._names = app, names

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Pass a request on, or refuse it (421)."""
        is_meant = scope["type"] != "http" or is_addressed(scope, self._names)
        await (self._app if is_meant else MISDIRECTED)(scope, receive, send)


class Answers:
    """Outermost middleware: request ids, safe headers, errors in JSON, and clients that are gone.

    Args:
        app: the application.
    """

    def __init__(self, app: ASGIApp) -> None:
        self._app = app

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Pass a request on, and end it where its client is gone."""
        if scope["type"] == "websocket":  # no route is one
            await send({"type": "websocket.close", "code": 1008})
            return
        if scope["type"] != "http":
            await self._app(scope, receive, send)
            return
        exchange = Exchange(scope, send)
        token = REQUEST_ID.set(exchange.request_id)
        try:
            await self._app({**scope, EXCHANGE: exchange}, receive, exchange.send)
        except ClientGoneError:
            ABANDONED.inc()
        except asyncio.CancelledError:
            if not exchange.is_abandoned:
                raise  # the server stops
        finally:
            REQUEST_ID.reset(token)
            exchange.end()


class Exchange:
    """A request and its answer in progress; the gate finds it in the scope."""

    def __init__(self, scope: Scope, send: Send) -> None:
        given = [value for name, value in scope["headers"] if name == b"x-request-id"]
        is_sane = len(given) == 1 and _ACCEPTED_ID.fullmatch(given[0])
        self.request_id = given[0].decode("ascii") if is_sane else uuid.uuid4().hex
        self.is_abandoned = False
        """Whether the client is gone, so that the request was cancelled."""
        self._scope = scope
        self._send = send
        self._task = asyncio.current_task()
        self._watcher: asyncio.Task[None] | None = None
        self._leave: Callable[[], None] | None = None
        self._error: bytes | None = None

    def begin(self, receive: Receive, leave: Callable[[], None]) -> None:
        """Cancel the request when its client disconnects, and let it leave once it is answered.

        What it had handed to somebody else by then, such as an add to the store's writer, is
        theirs to finish.

        Args:
            receive: tells of the client.
            leave: gives back the request's place among those in flight.
        """
        self._leave = leave
        self._watcher = asyncio.create_task(self._watch(receive))

    async def _watch(self, receive: Receive) -> None:
        while (await receive())["type"] != "http.disconnect":
            pass
        ABANDONED.inc()
        self.is_abandoned = True
        if self._task is not None:
            self._task.cancel()

    def end(self) -> None:
        """Watch the client no more."""
        if self._watcher is not None:
            self._watcher.cancel()

    async def send(self, message: Message) -> None:
        """Send a message of the application.

        With the first one the answer exists, and the request leaves those in flight: how fast its
        client reads is nobody else's concern.
        """
        if message["type"] == "http.response.start":
            if self._leave is not None:
                self._leave()
            await self._send(self._with_headers(message))
            return
        if self._error is not None:
            error = b"" if self._scope["method"] == "HEAD" else self._error
            message = {**message, "body": error}
        if self._watcher is not None and not message.get("more_body", False):
            # A server reports a client as disconnected once it has its whole answer, too.
            self._watcher.cancel()
        body = message.get("body", b"")
        if len(body) > PIECE_BYTES and self._scope["method"] != "HEAD":
            await self._send_in_pieces(message, body)
        else:
            await self._send(message)

    async def _send_in_pieces(self, message: Message, body: bytes) -> None:
        """Send a large body in pieces that wait until the client has taken those before.

        uvicorn would take all of it into a buffer of its own, and the application be done with it:
        clients that ask for large answers and do not read them would fill memory.
        """
        backlog: Backlog | None = self._scope.get(BACKLOG)
        with SLOW_READERS.sending(backlog, len(body)) if backlog else nullcontext():
            for start in range(0, len(body), PIECE_BYTES):
                if backlog and backlog.is_over:
                    return
                piece, end = body[start : start + PIECE_BYTES], start + PIECE_BYTES
                more = end < len(body) or message.get("more_body", False)
                await self._send({**message, "body": piece, "more_body": more})
                if backlog:
                    backlog.wrote(len(piece))

    def _with_headers(self, message: Message) -> Message:
        path, status = self._scope["path"], message["status"]
        headers = [one for one in message.get("headers", ()) if one[0] not in _TAKEN_OFF]
        names = dict(headers)
        if status in _IN_JSON and names.get(b"content-type", b"text/plain").startswith(
            b"text/plain"
        ):
            self._error = bytes(_IN_JSON[status].body)
            described = (b"content-type", b"content-length")
            headers = [one for one in headers if one[0] not in described]
            headers += _IN_JSON[status].raw_headers
        headers += _POLICIES.get(path, _OTHERS)
        headers.append((b"x-request-id", self.request_id.encode()))
        if b"cache-control" not in names:
            headers.append(_NO_STORE)
        return {**message, "headers": headers}


def _with(policy: str) -> list[tuple[bytes, bytes]]:
    return [*ALWAYS, (b"content-security-policy", policy.encode())]


_POLICIES = {path: _with(policy) for path, policy in POLICIES.items()}
_OTHERS = _with(_NO_SCRIPTS)
