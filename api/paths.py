"""A repair of BentoML's middlewares: what a stranger puts into a path must not stay here.

They stand outside this project's gate, count each path as a metric of its own and log it decoded:
made-up paths would fill memory and `/metrics` for ever, and one with a line break forges a line of
the log. So every path that leads nowhere becomes the same path before they see it (BentoML 1.4.39,
`bentoml._internal.server.http`).
"""

from collections.abc import Iterable
from pathlib import Path
from typing import Any

from bentoml._internal import server
from bentoml._internal.server.http.instruments import RunnerTrafficMetricsMiddleware
from starlette.types import Receive, Scope, Send

NOWHERE = "/nowhere"
_SYSTEM = ("/", "/docs.json", "/schema.json", "/livez", "/readyz", "/healthz", "/metrics")
_STATIC = Path(server.__file__).parent / "static_content"

_measure = RunnerTrafficMetricsMiddleware.__call__


def hide_unknown_paths(routes: Iterable[str]) -> None:
    """Let this process's metrics and logs see only paths that exist.

    Args:
        routes: of this project's own, such as `/heartbeat`.
    """
    files = (f"/static_content/{file.name}" for file in _STATIC.iterdir())
    known = frozenset([*_SYSTEM, *files, *routes])

    async def measure(middleware: Any, scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] == "http" and scope["path"] not in known:
            scope = {**scope, "path": NOWHERE, "raw_path": NOWHERE.encode()}
        await _measure(middleware, scope, receive, send)

    RunnerTrafficMetricsMiddleware.__call__ = measure
