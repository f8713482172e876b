"""Set-up of a process's logs: one formatter for every handler, and errors that nobody caught.

BentoML sets its handlers up before it imports the service; they then get another formatter.
"""

import logging
import sys
import threading
from collections.abc import Collection
from types import TracebackType
from typing import Literal

from api.telemetry.log_limit import limit_libraries
from api.telemetry.logs import JsonLines, Redaction, TextLines

LogFormat = Literal["text", "json"]

CHANGES_LOGGER = "store.changes"
"""It has a line for each change of the table; BentoML lets other rooms' loggers warn only."""


def configure_logs(format: LogFormat, secrets: Collection[str]) -> Redaction:
    """Let this process log in a format. Call it after BentoML has set up its handlers.

    Args:
        format: of every line.
        secrets: what is never written, such as the API keys.

    Returns:
        What removes them, to be told of more.
    """
    redaction = Redaction(secrets)
    formatter = (JsonLines if format == "json" else TextLines)(redaction)
    for logger in logging.root.manager.loggerDict.values():
        if isinstance(logger, logging.Logger) and logger.propagate:
            logger.handlers.clear()  # the root has one, and each line is to come once
    for logger in (logging.root, *logging.root.manager.loggerDict.values()):
        for handler in getattr(logger, "handlers", ()):
            handler.setFormatter(formatter)
    limit_libraries()
    logging.getLogger(CHANGES_LOGGER).setLevel(logging.INFO)
    logging.captureWarnings(capture=True)
    sys.excepthook = _log_uncaught
    threading.excepthook = lambda end: _log_uncaught(
        end.exc_type, end.exc_value or end.exc_type(), end.exc_traceback
    )
    return redaction


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
