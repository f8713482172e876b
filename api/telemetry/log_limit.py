"""Rate limit of log lines that strangers can cause: a flood of them must not fill the disk.

The first line about a thing is written at once, what follows within ten seconds is counted, and
the count is written when they are over. Whatever is an error of the service is never left out.
"""

import asyncio
import logging
from contextvars import Context

EVERY_S = 10.0
MOST_KEYS = 32
_OTHERS = "others"

logger = logging.getLogger("bentoml.image_search")


class RateLimitedLog:
    """Log of events by key: one line in ten seconds about each, then how many there were besides.

    Call it in the event loop.

    Args:
        every_s: seconds for which the repetitions of a line are counted.
        most_keys: that are told apart at once; what comes beyond counts as one more key.
    """

    def __init__(self, every_s: float = EVERY_S, most_keys: int = MOST_KEYS) -> None:
        self._every_s = every_s
        self._most_keys = most_keys
        self._left_out: dict[str, int] = {}

    def log(self, level: int, key: str, message: str, *args: object) -> None:
        """Write a line, unless there was one about the same a short while ago.

        Args:
            level: of `logging`.
            key: what the line is about, such as `a refused key from 192.0.2.1`; the line that
                counts the others quotes it.
            message: as `logging` takes it.
            args: of the message.
        """
        if self.is_due(level, key):
            logger.log(level, message, *args)

    def is_due(self, level: int, key: str) -> bool:
        """Whether a line about the key is to be written now; if not, it is counted."""
        if key not in self._left_out and len(self._left_out) >= self._most_keys:
            key = _OTHERS
        if key in self._left_out:
            self._left_out[key] += 1
            return False
        self._left_out[key] = 0
        # In a context of its own: the count belongs to no request.
        loop = asyncio.get_running_loop()
        loop.call_later(self._every_s, self._tell, level, key, context=Context())
        return True

    def _tell(self, level: int, key: str) -> None:
        if number := self._left_out.pop(key):
            logger.log(level, "%d more in %g s: %s", number, self._every_s, key)


class RepetitionFilter(logging.Filter):
    """Filter for a library's logger: of warnings with the same words, one in ten seconds."""

    def __init__(self) -> None:
        super().__init__()
        self._log = RateLimitedLog()

    def filter(self, record: logging.LogRecord) -> bool:
        """Whether the record is to be written; errors always are."""
        if record.levelno >= logging.ERROR:
            return True
        try:
            return self._log.is_due(record.levelno, str(record.msg))
        except RuntimeError:  # no event loop: nothing is served here yet
            return True


_STRANGERS_CAUSE = ("uvicorn.error", "opentelemetry.trace.span")
"""Loggers that warn of what a request has in it: malformed HTTP and upgrades, `tracestate`."""

_FILTER = RepetitionFilter()


def limit_libraries() -> None:
    """Limit what libraries log about requests; call it any number of times."""
    for name in _STRANGERS_CAUSE:
        logging.getLogger(name).addFilter(_FILTER)
