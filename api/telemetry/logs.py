"""Logs of every process: text or JSON, with the ids of requests, without secrets or forged lines.

BentoML's access log, its own lines and those of uvicorn and of the supervisor have the same format;
each line of a request has its ids.

Pictures' addresses carry secrets in the query (signed links of S3, GCS and Azure) or before the
host (user and password), and libraries quote them in their errors. So every text is redacted where
it is written, whoever wrote it.
"""

import json
import logging
import re
from collections.abc import Iterable
from contextvars import ContextVar
from datetime import UTC, datetime
from typing import Any

from bentoml._internal.context import trace_context
from bentoml._internal.log import DATE_FORMAT
from opentelemetry import context, trace
from opentelemetry.sdk.trace.id_generator import RandomIdGenerator
from opentelemetry.trace.propagation.tracecontext import TraceContextTextMapPropagator
from starlette.types import ASGIApp, Receive, Scope, Send

REQUEST_ID: ContextVar[str] = ContextVar("request_id", default="")
"""The id of the request that this task works for; empty outside of one."""

ACCESS_LOGGER = "bentoml.access"
MOST_CHARS = 32_768
"""Of a message or a trace; what is longer loses its middle."""

_EXTRA = (
    *("operation", "code"),
    *("action", "key", "address", "count", "version_before", "version"),
)
"""Fields that `extra` of a call may add, besides those of the access log."""
_CONTINUED = "    | "
"""Before the lines of a trace: none of them passes for a line of its own."""

_GONE = "***"
_CREDENTIALS = re.compile(r"(?<=://)[^\s/?#]*@")
_QUERY = re.compile(r"(?<=\S)\?\S+")  # to the next blank: quotes and brackets may belong to it
_WORD = re.compile(r"\S+")
_AUTHORIZATION = re.compile(r"\b(bearer|basic)\s+\S+", re.IGNORECASE)
# Line breaks of any kind, what steers a terminal, what turns the direction of writing, and halves
# of surrogate pairs, which no stream can write.
_UNPRINTABLE = re.compile(
    "[\x00-\x1f\x7f-\x9f\u061c\u200e\u200f\u2028\u2029\u202a-\u202e\u2066-\u2069\ud800-\udfff]"
)
_new = RandomIdGenerator()
_w3c = TraceContextTextMapPropagator()
_TRACE_HEADERS = frozenset({b"traceparent", b"tracestate"})

_SHORTEST_KEY = 6
"""Shorter keys are words such as `key`, that stand in the log anyway."""
_SUSPECT = re.compile(rf"://|\S\?\S|bearer|basic|{_UNPRINTABLE.pattern}", re.IGNORECASE)
"""What any text has that is to be changed, but for the secrets: most lines have none of it."""


class Redaction:
    """Removes secrets and control characters from texts for the log.

    Args:
        secrets: texts that must not be in it, such as the API keys.
    """

    def __init__(self, secrets: Iterable[str] = ()) -> None:
        self._known: frozenset[str] = frozenset()
        self._secrets: re.Pattern[str] | None = None
        self.hide(secrets)

    def hide(self, secrets: Iterable[str]) -> None:
        """Remove these from now on as well. One that was a key stays out of the log."""
        self._known |= {one for one in secrets if len(one) >= _SHORTEST_KEY}
        longest_first = sorted(self._known, key=len, reverse=True)
        if longest_first:
            self._secrets = re.compile("|".join(map(re.escape, longest_first)))

    def lines(self, text: str) -> list[str]:
        """The lines of a message or a trace, printable and without secrets."""
        if self._secrets:
            text = self._secrets.sub(_GONE, text)
        if len(text) <= MOST_CHARS and not _SUSPECT.search(text):
            return [text]
        return [_printable(line) for line in _cut(self.without_secrets(text)).split("\n")]

    def without_secrets(self, text: str) -> str:
        """A text without keys, and with addresses cut down to scheme, host and path."""
        if self._secrets:
            text = self._secrets.sub(_GONE, text)
        text = _AUTHORIZATION.sub(rf"\1 {_GONE}", text)
        text = _CREDENTIALS.sub(f"{_GONE}@", text)
        return _WORD.sub(_without_fragment, _QUERY.sub(f"?{_GONE}", text))


def _without_fragment(word: re.Match[str]) -> str:
    """In steps: a pattern would try anew from each of thousands of "://"."""
    scheme, found, rest = word[0].partition("://")
    rest, mark, _ = rest.partition("#")
    return f"{scheme}{found}{rest}{mark}{_GONE if mark else ''}"


def _cut(text: str) -> str:
    half = MOST_CHARS // 2
    return text if len(text) <= MOST_CHARS else f"{text[:half]} ... {text[-half:]}"


def _printable(line: str) -> str:
    return _UNPRINTABLE.sub(lambda found: f"\\u{ord(found[0]):04x}", line)


class _Lines(logging.Formatter):
    def __init__(self, redaction: Redaction) -> None:
        super().__init__(
            # A handler's filter of BentoML's adds the component: the service and the worker.
            "%(asctime)s [%(levelname)s] %(component)s %(message)s",
            DATE_FORMAT,
            defaults={"component": "[]"},
        )
        self._lines = redaction.lines

    def _trace(self, record: logging.LogRecord) -> list[str]:
        trace = self.formatException(record.exc_info) if record.exc_info else ""
        stack = self.formatStack(record.stack_info) if record.stack_info else ""
        return [line for text in (trace, stack) if text for line in self._lines(text)]


class TextLines(_Lines):
    """BentoML's own format, and the request's id; for people."""

    def format(self, record: logging.LogRecord) -> str:
        """One line; more lines of a message, and those of a trace, are indented."""
        record.message, *more = self._lines(record.getMessage().strip())
        record.asctime = self.formatTime(record, self.datefmt)
        if record.exc_info or record.stack_info:
            more += self._trace(record)
        ids = [f"request={one}"] if (one := _request_id(record)) else []
        if trace_id := trace_context.trace_id:
            ids.append(f"trace={trace_id:032x}")
        shown = f" ({','.join(ids)})" if ids else ""
        return "\n".join([self.formatMessage(record) + shown, *(_CONTINUED + one for one in more)])


class JsonLines(_Lines):
    """One JSON object per line; for machines. `docs/monitoring.md` names the fields."""

    def format(self, record: logging.LogRecord) -> str:
        """The record as JSON; what is unknown is left out."""
        access = access_fields(record)
        message = self._lines(record.getMessage().strip()) if not access else []
        fields: dict[str, Any] = {
            "timestamp": _rfc3339(record.created),
            "level": record.levelname.lower(),
            "logger": record.name,
            "process": getattr(record, "component", "").strip("[]"),
            "message": "\n".join(message) if not access else _summary(access),
            "request_id": _request_id(record),
            **_trace_ids(),
            **{name: getattr(record, name, None) for name in _EXTRA},
            **access,
            "exception": "\n".join(self._trace(record)),
        }
        return json.dumps({name: one for name, one in fields.items() if one not in (None, "")})


def _request_id(record: logging.LogRecord) -> str:
    """That of the task which logs, or of the change that a line of the store's writer is about."""
    return getattr(record, "of_request", None) or REQUEST_ID.get()


def _rfc3339(created: float) -> str:
    moment = datetime.fromtimestamp(created, UTC).isoformat(timespec="milliseconds")
    return moment.replace("+00:00", "Z")


def _trace_ids() -> dict[str, str]:
    """The ids of the trace and its span, as W3C writes them; also where no trace is exported."""
    if not (trace_id := trace_context.trace_id):
        return {}
    return {"trace_id": f"{trace_id:032x}", "span_id": f"{trace_context.span_id:016x}"}


def access_fields(record: logging.LogRecord) -> dict[str, Any]:
    """What a line of BentoML's access log says, or nothing where it is another line.

    It has four arguments: the client, `scheme=,method=,path=,...` of the request, `status=,...` of
    the answer and the milliseconds (BentoML 1.4.39, `bentoml._internal.server.http.access`).
    """
    if record.name != ACCESS_LOGGER or not isinstance(record.args, tuple) or len(record.args) != 4:
        return {}
    client, request, answer, duration_ms = record.args
    asked, answered = _pairs(request), _pairs(answer)
    return {
        "client": None if client == "_" else client,
        "method": asked.get("method"),
        "route": asked.get("path"),
        "status": int(answered.get("status", 0)),
        "duration_ms": round(float(str(duration_ms)), 3),
    }


def _pairs(text: object) -> dict[str, str]:
    """Of two of the same name, the first: what a client sent comes last."""
    parts = [part.partition("=") for part in str(text).split(",")]
    return {name: value for name, _, value in reversed(parts)}


def _summary(fields: dict[str, Any]) -> str:
    return f"{fields['method']} {fields['route']} {fields['status']}"


class TraceIds:
    """Middleware in place of OpenTelemetry's while no traces are exported: the log needs the ids.

    OpenTelemetry's records a span for each request and each message of its answer, with some twenty
    attributes: 67 to 135 us of CPU a request against 3 here, in the API and again for each call in
    the models' processes. Here a request has the ids alone, those of its caller where it came with
    some, and hands them on.

    Args:
        app: the application.
    """

    def __init__(self, app: ASGIApp) -> None:
        self._app = app

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Pass the request on; what runs for it finds the ids as OpenTelemetry's current span."""
        if scope["type"] != "http":
            await self._app(scope, receive, send)
            return
        current = trace.NonRecordingSpan(span_context(scope["headers"]))
        token = context.attach(trace.set_span_in_context(current))
        try:
            await self._app(scope, receive, send)
        finally:
            context.detach(token)


def span_context(headers: Iterable[tuple[bytes, bytes]]) -> trace.SpanContext:
    """A new span of the caller's trace, or of a new one.

    Args:
        headers: of the request, names in lower case. Of two with one name, the first counts.
    """
    carrier: dict[str, str] = {}
    for name, value in headers:
        if name in _TRACE_HEADERS:
            carrier.setdefault(name.decode(), value.decode("latin-1"))
    parent = trace.INVALID_SPAN_CONTEXT
    if carrier:
        extracted = _w3c.extract(carrier, context.Context())
        parent = trace.get_current_span(extracted).get_span_context()
    return trace.SpanContext(
        trace_id=parent.trace_id if parent.is_valid else _new.generate_trace_id(),
        span_id=_new.generate_span_id(),
        is_remote=False,
        trace_flags=parent.trace_flags,
        trace_state=parent.trace_state,
    )
