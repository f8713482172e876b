"""BentoML's applications without what costs much and gains nothing here (1.4.39)."""

from typing import Any

from bentoml._internal.server.http.traffic import TimeoutMiddleware
from opentelemetry.instrumentation.asgi import OpenTelemetryMiddleware
from starlette.middleware import Middleware

from api.telemetry.trace_ids import TraceIds
from api.telemetry.tracing import are_exported


def slim_middlewares(app: Any) -> None:
    """Take out middlewares of an application that has not begun to serve.

    The deadline: every route has its own, and a call to a model that of its caller. This one runs a
    request in a task of its own, which goes on when the request is cancelled, and keeps a timer for
    each until its time is over. The spans, unless they are exported: `api.telemetry.trace_ids`.
    """
    instead: dict[Any, Middleware | None] = {TimeoutMiddleware: None}
    if not are_exported():
        instead[OpenTelemetryMiddleware] = Middleware(TraceIds)
    slim = [instead.get(one.cls, one) for one in app.user_middleware]
    app.user_middleware = [one for one in slim if one is not None]


def settle_media_types(service: Any) -> None:
    """Let the answers of a service's methods have the type that they always have.

    For each answer BentoML makes the JSON schema of what the method returns, a millisecond's work,
    to see its type there (`_bentoml_sdk.io_models.IOMixin.mime_type`).
    """
    for method in service.apis.values():
        method.output_spec.media_type = method.output_spec.mime_type()
