"""Floods in the log: the first line, a count, and whatever matters."""

import asyncio
import logging
from collections.abc import Callable

import pytest

from api.telemetry.log_limit import MOST_KEYS, RateLimitedLog, RepetitionFilter

FLOOD = 5000


def lines(caplog: pytest.LogCaptureFixture, flood: Callable[[], None], every_s: float) -> list[str]:
    """What is in the log when a flood and the time after it are over."""
    caplog.set_level(logging.INFO)

    async def run() -> None:
        flood()
        await asyncio.sleep(2 * every_s)

    asyncio.run(run())
    return [record.getMessage() for record in caplog.records if record.name != "asyncio"]


def test_the_first_is_told_and_the_others_are_counted(caplog: pytest.LogCaptureFixture) -> None:
    log = RateLimitedLog(0.01)

    def flood() -> None:
        for _ in range(FLOOD):
            log.log(logging.WARNING, "keys from 192.0.2.1", "refused a key from %s", "192.0.2.1")
        log.log(logging.WARNING, "keys from 192.0.2.2", "refused a key from %s", "192.0.2.2")

    assert lines(caplog, flood, 0.01) == [
        "refused a key from 192.0.2.1",
        "refused a key from 192.0.2.2",
        f"{FLOOD - 1} more in 0.01 s: keys from 192.0.2.1",
    ]


def test_made_up_keys_fill_neither_memory_nor_log(caplog: pytest.LogCaptureFixture) -> None:
    log = RateLimitedLog(0.01)

    def flood() -> None:
        for number in range(FLOOD):
            log.log(logging.INFO, f"address {number}", "address %d", number)

    told = lines(caplog, flood, 0.01)
    assert len(told) == MOST_KEYS + 2
    assert told[-1] == f"{FLOOD - MOST_KEYS - 1} more in 0.01 s: others"


def test_a_librarys_warnings_are_limited_and_its_errors_are_not(
    caplog: pytest.LogCaptureFixture,
) -> None:
    library = logging.getLogger("a library's")
    repetitions = RepetitionFilter()
    library.addFilter(repetitions)

    def flood() -> None:
        for number in range(FLOOD):
            library.warning("malformed: %s", number)
        for _ in range(3):
            library.error("broken")
        library.warning("another thing")

    try:
        told = lines(caplog, flood, 0)
        library.warning("outside of a loop")
    finally:
        library.removeFilter(repetitions)
    assert told == ["malformed: 0", *["broken"] * 3, "another thing"]
    assert caplog.records[-1].getMessage() == "outside of a loop"
