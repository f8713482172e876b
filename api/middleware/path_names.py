"""A repair of BentoML's middlewares: what a stranger puts into a path must not stay here.

They count each path as a metric of its own and log it decoded: made-up paths would fill memory and
`/metrics` for ever, and one with a line break forges a line of the log. What is asked behind the
path would stand in every trace. So every path that leads nowhere becomes the same path before they
see it, one that holds an id becomes its template, and the query is empty until they have passed it
on (BentoML 1.4.39, `bentoml._internal.server.http`).
"""

from collections.abc import Iterable

from starlette.routing import compile_path
from starlette.types import ASGIApp, Receive, Scope, Send

from api.routes.page import SWAGGER_FILES

NOWHERE = "/nowhere"
_SYSTEM = ("/docs.json", "/schema.json", "/livez", "/readyz", "/healthz", "/metrics")
_ASKED = "image_search.asked"


class ShownPaths:
    """Middleware: outside of BentoML's, which are to see only paths that exist.

    Args:
        app: BentoML's application, with `AskedPaths` inside.
        routes: of this project's own, such as `/heartbeat` and `/images/{id}`.
    """

    def __init__(self, app: ASGIApp, routes: Iterable[str]) -> None:
        self._app = app
        self._shown = Shown([*_SYSTEM, *SWAGGER_FILES, *routes])

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Pass the request on under the name of its path."""
        if scope["type"] == "http":
            scope = _under(scope, self._shown.name(scope["path"]))
        await self._app(scope, receive, send)


class Shown:
    """What paths are called in metrics and logs.

    Args:
        routes: plain paths, and templates as Starlette writes them.
    """

    def __init__(self, routes: Iterable[str]) -> None:
        known = frozenset(routes)
        self._plain = {route for route in known if "{" not in route}
        self._patterns = {route: compile_path(route)[0] for route in sorted(known) if "{" in route}

    def name(self, path: str) -> str:
        """The path itself, its template, or nowhere."""
        if path in self._plain:
            return path
        return next((name for name, one in self._patterns.items() if one.match(path)), NOWHERE)


def _under(scope: Scope, name: str) -> Scope:
    if name == scope["path"] and not scope.get("query_string"):
        return scope
    asked = {key: scope[key] for key in ("path", "raw_path", "query_string") if key in scope}
    kept = {} if name == NOWHERE else {_ASKED: asked}
    return {**scope, "path": name, "raw_path": name.encode(), "query_string": b"", **kept}


class AskedPaths:
    """Middleware: inside of BentoML's, path and query are again those that were asked for."""

    def __init__(self, app: ASGIApp) -> None:
        self._app = app

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Pass the request on under its own path."""
        if _ASKED in scope:
            scope = {**scope, **scope[_ASKED]}
        await self._app(scope, receive, send)
