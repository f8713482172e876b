"""How every process of the service logs: as text or as JSON, without secrets.

BentoML sets its handlers up before it imports the service; `configure_logs` then gives them
another formatter. So its access log, its own lines and those of uvicorn and of the supervisor look
like this project's.
"""

import json
import logging
import sys
import threading
from collections.abc import Callable, Collection
from datetime import UTC, datetime
from types import TracebackType
from typing import Any, Literal

from bentoml._internal.context import trace_context
from bentoml._internal.log import DATE_FORMAT

from api.telemetry.redaction import Redaction

LogFormat = Literal["text", "json"]
RequestId = Callable[[], str]

ACCESS_LOGGER = "bentoml.access"
_EXTRA = ("operation", "code")
"""Fields that `extra` of a call may add, besides those of the access log."""
_CONTINUED = "    | "
"""Before the lines of a trace: none of them passes for a line of its own."""


def configure_logs(format: LogFormat, secrets: Collection[str], request_id: RequestId) -> None:
    """Let this process log in a format. Call it after BentoML has set up its handlers.

    Args:
        format: of every line.
        secrets: what is never written, such as the API keys.
        request_id: tells which request is being answered.
    """
    redaction = Redaction(secrets)
    formatter = (JsonLines if format == "json" else TextLines)(redaction, request_id)
    for logger in logging.root.manager.loggerDict.values():
        if isinstance(logger, logging.Logger) and logger.propagate:
            logger.handlers.clear()  # the root has one, and each line is to come once
    for logger in (logging.root, *logging.root.manager.loggerDict.values()):
        for handler in getattr(logger, "handlers", ()):
            handler.setFormatter(formatter)
    logging.captureWarnings(capture=True)
    sys.excepthook = _log_uncaught
    threading.excepthook = lambda end: _log_uncaught(
        end.exc_type, end.exc_value or end.exc_type(), end.exc_traceback
    )


def _log_uncaught(
    kind: type[BaseException], error: BaseException, trace: TracebackType | None
) -> None:
    """Python would print the trace as it is."""
    if issubclass(kind, KeyboardInterrupt):
        sys.__excepthook__(kind, error, trace)
    elif not issubclass(kind, SystemExit):
        logging.getLogger("bentoml.image_search").critical(
            "ended by an error", exc_info=(kind, error, trace)
        )


class _Lines(logging.Formatter):
    def __init__(self, redaction: Redaction, request_id: RequestId) -> None:
        super().__init__(
            # A handler's filter of BentoML's adds the component: the service and the worker.
            "%(asctime)s [%(levelname)s] %(component)s %(message)s",
            DATE_FORMAT,
            defaults={"component": "[]"},
        )
        self._redaction = redaction
        self._request_id = request_id

    def _message(self, record: logging.LogRecord) -> list[str]:
        return self._redaction.lines(record.getMessage().strip())

    def _trace(self, record: logging.LogRecord) -> list[str]:
        trace = self.formatException(record.exc_info) if record.exc_info else ""
        stack = self.formatStack(record.stack_info) if record.stack_info else ""
        return [line for text in (trace, stack) if text for line in self._redaction.lines(text)]


class TextLines(_Lines):
    """BentoML's own format, and the request's id; for people."""

    def format(self, record: logging.LogRecord) -> str:
        """One line; more lines of a message, and those of a trace, are indented."""
        record.message, *more = self._message(record)
        record.asctime = self.formatTime(record, self.datefmt)
        more += self._trace(record)
        return "\n".join(
            [self.formatMessage(record) + self._ids(), *(_CONTINUED + one for one in more)]
        )

    def _ids(self) -> str:
        ids = {"request": self._request_id(), "trace": _trace_ids().get("trace_id")}
        shown = ",".join(f"{name}={one}" for name, one in ids.items() if one)
        return f" ({shown})" if shown else ""


class JsonLines(_Lines):
    """One JSON object per line; for machines. `docs/monitoring.md` names the fields."""

    def format(self, record: logging.LogRecord) -> str:
        """The record as JSON; what is unknown is left out."""
        access = access_fields(record)
        fields: dict[str, Any] = {
            "timestamp": _rfc3339(record.created),
            "level": record.levelname.lower(),
            "logger": record.name,
            "process": getattr(record, "component", "").strip("[]"),
            "message": _short(access) if access else "\n".join(self._message(record)),
            "request_id": self._request_id(),
            **_trace_ids(),
            **{name: getattr(record, name, None) for name in _EXTRA},
            **access,
            "exception": "\n".join(self._trace(record)),
        }
        return json.dumps({name: one for name, one in fields.items() if one not in (None, "")})


def _rfc3339(created: float) -> str:
    moment = datetime.fromtimestamp(created, UTC).isoformat(timespec="milliseconds")
    return moment.replace("+00:00", "Z")


def _trace_ids() -> dict[str, str]:
    """The ids of the trace and its span, as W3C writes them; also of those that nobody keeps."""
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


def _short(fields: dict[str, Any]) -> str:
    return f"{fields['method']} {fields['route']} {fields['status']}"
