"""The front of the service: what a request passes before BentoML sees it.

BentoML puts a service's own middlewares inside of its metrics, its tracing and its access log
(1.4.39, `_bentoml_impl/server/app.py:207-291`). A refusal in there costs several times what the
decision does, and at ten times the load most answers are refusals. So the front stands around the
whole application, where the worker takes it (`_bentoml_impl/worker/service.py:205`, `to_asgi`).

From the outside in: the request's id, safe headers, CORS, the gate, answers that are shared, and
paths as they are shown.
"""

from collections.abc import Iterable
from typing import Any

from _bentoml_sdk import Service
from starlette.middleware.cors import CORSMiddleware
from starlette.types import ASGIApp

from api.middleware.gate import Gate
from api.middleware.path_names import ShownPaths
from api.middleware.request_body import Bodies
from api.middleware.request_id import HEADER, RequestIds
from api.middleware.security_headers import SafeHeaders
from api.middleware.single_flight import Shared
from api.serving.asgi import settle_media_types, slim_middlewares
from api.serving.http1 import serve_bounded
from api.settings import ApiSettings

_METHODS = ("GET", "POST", "PATCH", "DELETE")
_PREFLIGHT_S = 600
# Of pictures that are being read, apart from other bodies: neither gives way to the other.
_MAX_UPLOADING_BYTES = 256 << 20


def put_in_front(
    service: Any, settings: ApiSettings, routes: Iterable[str], max_image_bytes: int
) -> None:
    """Let the service's workers serve its application behind the front.

    Those of the services that it depends on serve theirs as it is, but for `api.serving.asgi`.

    Args:
        service: the BentoML service.
        settings: who may ask, and how much.
        routes: of this project's own, as for `ShownPaths`.
        max_image_bytes: of a picture's file, so that one can be uploaded.
    """
    to_asgi = Service.to_asgi

    def guarded(asked: Any, is_main: bool = True) -> Any:
        serve_bounded()
        app: Any = to_asgi(asked, is_main)
        slim_middlewares(app)
        if asked is service:
            return front(app, settings, routes, max_image_bytes)
        settle_media_types(asked)
        return app

    Service.to_asgi = guarded


def front(
    app: ASGIApp, settings: ApiSettings, routes: Iterable[str], max_image_bytes: int
) -> ASGIApp:
    """The front around an application."""
    # A form holds what a JSON body would, besides the picture.
    bodies = Bodies(settings.max_body_bytes)
    uploads = Bodies(
        settings.max_body_bytes + max_image_bytes, max_reading_bytes=_MAX_UPLOADING_BYTES
    )
    shared = Shared(ShownPaths(app, routes), ("/metrics", "/readyz"))
    gate: ASGIApp = Gate(
        shared,
        settings.api_keys,
        settings.max_in_flight,
        bodies,
        uploads=uploads,
        origins=settings.cors_origins,
    )
    if settings.cors_origins:
        gate = CORSMiddleware(
            gate,
            allow_origins=sorted(settings.cors_origins),
            allow_methods=_METHODS,
            allow_headers=["Authorization", "Content-Type", HEADER],
            expose_headers=["Retry-After", HEADER],
            max_age=_PREFLIGHT_S,
        )
    return RequestIds(SafeHeaders(gate))
