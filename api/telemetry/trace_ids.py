"""The ids of a trace without the trace: while no traces are exported, only the log needs them.

OpenTelemetry's middleware records a span for each request and each message of its answer, with some
twenty attributes, whether anybody wants them or not: half of what a heartbeat costs, and as much in
the models' processes for each call. Here a request has the ids alone, those of its caller where it
came with some, and hands them on.
"""

from collections.abc import Iterable

from opentelemetry import context, trace
from opentelemetry.sdk.trace.id_generator import RandomIdGenerator
from opentelemetry.trace.propagation.tracecontext import TraceContextTextMapPropagator
from starlette.types import ASGIApp, Receive, Scope, Send

_new = RandomIdGenerator()
_w3c = TraceContextTextMapPropagator()
_CARRIED = frozenset({b"traceparent", b"tracestate"})


class TraceIds:
    """Middleware: what runs for a request finds its ids where OpenTelemetry has the current span.

    Args:
        app: the application.
    """

    def __init__(self, app: ASGIApp) -> None:
        self._app = app

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Pass the request on."""
        if scope["type"] != "http":
            await self._app(scope, receive, send)
            return
        span = trace.NonRecordingSpan(span_context(scope["headers"]))
        token = context.attach(trace.set_span_in_context(span))
        try:
            await self._app(scope, receive, send)
        finally:
            context.detach(token)


def span_context(headers: Iterable[tuple[bytes, bytes]]) -> trace.SpanContext:
    """A new span of the caller's trace, or of a new one.

    Args:
        headers: of the request, names in lower case. Of two with one name, the first counts.
    """
    carried: dict[str, str] = {}
    for name, value in headers:
        if name in _CARRIED:
            carried.setdefault(name.decode(), value.decode("latin-1"))
    parent = trace.INVALID_SPAN_CONTEXT
    if carried:
        extracted = _w3c.extract(carried, context.Context())
        parent = trace.get_current_span(extracted).get_span_context()
    return trace.SpanContext(
        trace_id=parent.trace_id if parent.is_valid else _new.generate_trace_id(),
        span_id=_new.generate_span_id(),
        is_remote=False,
        trace_flags=parent.trace_flags,
        trace_state=parent.trace_state,
    )
