"""What serves (BentoML 1.4.39, uvicorn): applications without needless work, a bounded HTTP parser.

httptools parses in C: a small request costs 43 us of CPU with these bounds and 37 without, against
130 with h11, uvicorn's other parser; under overload most of a refusal is that. But httptools takes
a head of any length, header after header or one that never ends, and uvicorn as many requests at
once on one connection as fit into a read. Both stay in memory, so both end here, with a 400.
"""

import asyncio
import functools
import json
import re
from collections.abc import Callable, Iterable
from itertools import chain
from typing import Any

import uvicorn.config
from _bentoml_sdk import Service
from bentoml._internal.server.http.traffic import TimeoutMiddleware
from opentelemetry.instrumentation.asgi import OpenTelemetryMiddleware
from starlette.middleware import Middleware
from starlette.routing import Mount, compile_path
from starlette.types import ASGIApp, Receive, Scope, Send
from uvicorn.protocols.http.httptools_impl import HttpToolsProtocol, RequestResponseCycle

from api.access.hosts import TARGET_HOST
from api.limits.slow_readers import SLOW_READERS, Backlog
from api.middleware.model_port import ModelPort
from api.middleware.stack import ALWAYS, BACKLOG
from api.telemetry.logs import TraceIds
from api.telemetry.tracing import are_exported

Front = Callable[[ASGIApp], ASGIApp]

NOWHERE = "/nowhere"
_SYSTEM = ("/docs.json", "/schema.json", "/livez", "/readyz", "/healthz", "/metrics")
_CLIENTS = "image_search.clients_path"

MAX_HEAD_BYTES = 65_536
"""Of a request's target and headers. Trailers, extensions of chunks and empty lines may have as
much, up to the next part of a body or whole head."""

MAX_PIPELINED = 64
"""Requests on one connection that wait for the answers before theirs."""

_HOST_END = re.compile(rb"[/?#]")
_AROUND_HEADER = len(b": \r\n")
_INVALID = {"message": "the request is not valid HTTP/1.1", "code": "bad_request"}


def patch(service: Any, front: Front, paths: Iterable[str], model_token: str) -> None:
    """Let workers serve the API behind the front, and all services without needless middlewares.

    Model services are behind `ModelPort`, whatever they listen on.

    BentoML puts a service's own middlewares inside of its metrics, its tracing and its access log
    (`_bentoml_impl/server/app.py:207-291`). A refusal in there costs several times what the
    decision does, and under overload most answers are refusals. So the front goes around the whole
    application, where the worker takes it (`_bentoml_impl/worker/service.py:205`, `to_asgi`).

    Args:
        service: the BentoML service of the API.
        front: wraps its application.
        paths: of its routes, as for `KnownPaths`.
        model_token: that lets callers from other hosts in at a model service.
    """
    to_asgi = Service.to_asgi
    routes = list(paths)

    @functools.wraps(to_asgi)
    def patched(served: Any, is_main: bool = True) -> Any:
        app: Any = to_asgi(served, is_main)
        slim_middlewares(app)
        mount_any_path(app)
        if served is not service:
            settle_media_types(served)
            if is_main:  # a model service on a port of its own
                bound_http()
            batched = [api.route for api in served.apis.values() if api.batchable]
            return ModelPort(app, model_token, batched)
        bound_http()
        app.user_middleware.append(Middleware(ClientsPath))
        return front(KnownPaths(app, routes))

    Service.to_asgi = patched


def bound_http() -> None:
    """Have this process's server parse HTTP within bounds, and believe no header about clients."""
    # BentoML leaves the choice to uvicorn (`_bentoml_impl/worker/service.py:220`).
    uvicorn.config.HTTP_PROTOCOLS["auto"] = f"{__name__}:{BoundedHttp.__name__}"
    uvicorn.config.ProxyHeadersMiddleware = _untouched  # type: ignore[attr-defined,assignment]


def _untouched(app: ASGIApp, trusted_hosts: Any) -> ASGIApp:  # noqa: ARG001
    """In place of uvicorn's middleware, which believes any process of this machine about clients.

    `api.access.addresses` reads their headers.
    """
    return app


def slim_middlewares(app: Any) -> None:
    """Take out middlewares of an application that has not begun to serve.

    The deadline: every route has its own, and a call to a model that of its caller. This one runs a
    request in a task of its own, which goes on when the request is cancelled, and keeps a timer for
    each until its time is over. The spans, unless they are exported: `TraceIds` is in their place.
    """
    instead: dict[Any, Middleware | None] = {TimeoutMiddleware: None}
    if not are_exported():
        instead[OpenTelemetryMiddleware] = Middleware(TraceIds)
    slim = [instead.get(one.cls, one) for one in app.user_middleware]
    app.user_middleware = [one for one in slim if one is not None]


def mount_any_path(app: Any) -> None:
    """Pass paths with a line break on to what is mounted, too, as a metadata key may have one.

    Starlette's `Mount` takes the rest of a path by `.*`, which ends at a line break (1.10.0).
    """
    for route in app.routes:
        if isinstance(route, Mount):
            route.path_regex = re.compile(route.path_regex.pattern, re.DOTALL)


def settle_media_types(service: Any) -> None:
    """Compute the media type of each method's answers once.

    BentoML builds the JSON schema of what the method returns for every answer, a millisecond's
    work, to find the type in it (`_bentoml_sdk.io_models.IOMixin.mime_type`).
    """
    for method in service.apis.values():
        method.output_spec.media_type = method.output_spec.mime_type()


class KnownPaths:
    """Middleware around BentoML's: metrics, log and traces see only paths that exist.

    BentoML counts each path as a metric of its own and logs it decoded: made-up paths would fill
    memory and `/metrics` for ever, and one with a line break forges a line of the log. So a path
    without a route becomes `NOWHERE`, one with an id becomes its template, and the query is empty,
    until `ClientsPath` restores what the client sent (`bentoml._internal.server.http`).

    Args:
        app: BentoML's application, with `ClientsPath` innermost.
        routes: plain paths, and templates as Starlette writes them.
    """

    def __init__(self, app: ASGIApp, routes: Iterable[str]) -> None:
        self._app = app
        known = sorted({*_SYSTEM, *routes})
        self._plain = {route for route in known if "{" not in route}
        compiled = [compile_path(route) for route in known if "{" in route]
        self._templates = {name: pattern for pattern, name, _ in compiled}

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Pass the request on under the name of its path."""
        path = scope.get("path", "")
        if scope["type"] == "http" and (path not in self._plain or scope.get("query_string")):
            name = path if path in self._plain else self.template(path)
            clients = {key: scope[key] for key in ("path", "raw_path", "query_string")}
            restored = {} if name == NOWHERE else {_CLIENTS: clients}
            shown = {"path": name, "raw_path": name.encode(), "query_string": b""}
            scope = {**scope, **shown, **restored}
        await self._app(scope, receive, send)

    def template(self, path: str) -> str:
        """The template that a path matches, or `NOWHERE`."""
        return next((name for name, one in self._templates.items() if one.match(path)), NOWHERE)


class ClientsPath:
    """Middleware inside of BentoML's: path and query are again what the client sent."""

    def __init__(self, app: ASGIApp) -> None:
        self._app = app

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Pass the request on under its own path."""
        if _CLIENTS in scope:
            scope = {**scope, **scope[_CLIENTS]}
        await self._app(scope, receive, send)


class _BadHeadError(Exception):
    """The request cannot be taken. The parser wraps it in an error of its own."""


class BoundedHttp(HttpToolsProtocol):
    """A connection. What the parser or a bound refuses is answered 400 and closed."""

    _pending_bytes = 0
    """Received since the last whole head or part of a body."""

    _backlog: Backlog
    _answering: RequestResponseCycle | None = None

    def connection_made(self, transport: asyncio.Transport) -> None:  # type: ignore[override]
        """Watch how its client takes what is written to it, also after the last answer."""
        super().connection_made(transport)
        self._backlog = SLOW_READERS.connected(transport)

    def connection_lost(self, exc: Exception | None) -> None:
        """Watch it no more, and tell the request that is being answered.

        uvicorn tells the last one of the connection. Where others wait behind it, the one at work
        would go on, and then write to nobody, with a trace in the log (0.54, `connection_lost`).
        """
        SLOW_READERS.lost(self._backlog)
        if self._answering is not None and not self._answering.response_complete:
            self._answering.disconnected = True
            self._answering.message_event.set()
        super().connection_lost(exc)

    def _start_asgi_task(self, cycle: RequestResponseCycle, app: Any) -> None:
        self._answering = cycle
        super()._start_asgi_task(cycle, app)

    def data_received(self, data: bytes) -> None:
        """Parse what came, and refuse what grows without becoming a request."""
        self._pending_bytes += len(data)
        super().data_received(data)
        if self._pending_bytes > MAX_HEAD_BYTES and not self.transport.is_closing():
            self.send_400_response("")

    def on_headers_complete(self) -> None:
        """Judge the whole head once, then let the application begin."""
        self._pending_bytes = 0
        headers = self.headers
        size = len(self.url) + sum(map(len, chain.from_iterable(headers)))
        if size + _AROUND_HEADER * len(headers) > MAX_HEAD_BYTES:
            raise _BadHeadError("a head of more than 64 KiB")
        hosts = [name for name, _ in headers].count(b"host")
        if hosts != 1 and not (hosts == 0 and self.parser.get_http_version() == "1.0"):
            raise _BadHeadError("RFC 9112, 3.2: exactly one Host")
        if len(self.pipeline) >= MAX_PIPELINED:
            raise _BadHeadError("too many requests at once on a connection")
        # uvicorn appends trailers to `headers`: the application is not to see them.
        self.scope["headers"] = headers.copy()
        self.scope[BACKLOG] = self._backlog  # type: ignore[literal-required]
        scheme, is_absolute, target = self.url.partition(b"://")
        if is_absolute and b"/" not in scheme:
            # uvicorn knows no absolute form: it takes the path, and leaves the host to `Host`.
            host = _HOST_END.split(target, 1)[0].decode("latin-1")
            self.scope[TARGET_HOST] = host  # type: ignore[literal-required]
        super().on_headers_complete()

    def on_body(self, body: bytes) -> None:
        """Take a part of the body, which `api.middleware.request_body` bounds."""
        self._pending_bytes = 0
        super().on_body(body)

    def send_400_response(self, _msg: str) -> None:
        """Refuse in the words of every other refusal, and close.

        Args:
            _msg: uvicorn's own words, which the log has.
        """
        if self.transport.is_closing():
            return
        cycle = self.cycle
        if cycle is not None and not cycle.response_complete and not cycle.more_body:
            cycle.keep_alive = False  # a whole request is being answered; what followed it is not
            return
        is_silent = cycle is None or cycle.response_complete or not cycle.response_started
        if not self.pipeline and is_silent:
            self.transport.write(_REFUSAL)
        self.transport.close()


def _refusal() -> bytes:
    body = json.dumps(_INVALID).encode()
    headers = [
        *ALWAYS,
        (b"content-type", b"application/json"),
        (b"content-length", str(len(body)).encode()),
        (b"connection", b"close"),
    ]
    lines = b"".join(b"%s: %s\r\n" % header for header in headers)
    return b"HTTP/1.1 400 Bad Request\r\n" + lines + b"\r\n" + body


_REFUSAL = _refusal()
