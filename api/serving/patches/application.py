"""BentoML's ASGI applications (1.4.39): what they cost for nothing, and what they tell of paths."""

import functools
from collections.abc import Callable, Iterable
from typing import Any

from _bentoml_sdk import Service
from bentoml._internal.server.http.traffic import TimeoutMiddleware
from opentelemetry.instrumentation.asgi import OpenTelemetryMiddleware
from starlette.middleware import Middleware
from starlette.routing import compile_path
from starlette.types import ASGIApp, Receive, Scope, Send

from api.routes.page import SWAGGER_FILES
from api.serving.patches import http1
from api.telemetry.tracing import TraceIds, are_exported

Front = Callable[[ASGIApp], ASGIApp]

NOWHERE = "/nowhere"
_SYSTEM = ("/docs.json", "/schema.json", "/livez", "/readyz", "/healthz", "/metrics")
_CLIENTS = "image_search.clients_path"


def patch(service: Any, front: Front, paths: Iterable[str]) -> None:
    """Let workers serve the API behind the front, and all services without needless middlewares.

    BentoML puts a service's own middlewares inside of its metrics, its tracing and its access log
    (`_bentoml_impl/server/app.py:207-291`). A refusal in there costs several times what the
    decision does, and under overload most answers are refusals. So the front goes around the whole
    application, where the worker takes it (`_bentoml_impl/worker/service.py:205`, `to_asgi`).

    Args:
        service: the BentoML service of the API.
        front: wraps its application.
        paths: of its routes, as for `KnownPaths`.
    """
    to_asgi = Service.to_asgi
    routes = list(paths)

    @functools.wraps(to_asgi)
    def patched(served: Any, is_main: bool = True) -> Any:
        app: Any = to_asgi(served, is_main)
        slim_middlewares(app)
        if served is not service:
            settle_media_types(served)
            return app
        http1.patch()
        app.user_middleware.append(Middleware(ClientsPath))
        return front(KnownPaths(app, routes))

    Service.to_asgi = patched


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
        known = sorted({*_SYSTEM, *SWAGGER_FILES, *routes})
        self._plain = {route for route in known if "{" not in route}
        self._templates = {route: compile_path(route)[0] for route in known if "{" in route}

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
