"""A benchmark that is told to stop still stops what it started."""

import signal
import sys


def end_on_signals() -> None:
    """Make SIGTERM and SIGHUP unwind the stack, as Ctrl+C does, so that every `with` block ends."""

    def end(number: int, _frame: object) -> None:
        sys.exit(128 + number)

    for number in (signal.SIGTERM, signal.SIGHUP):
        signal.signal(number, end)
