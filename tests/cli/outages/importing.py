"""`image-search index` on both tables at once, as a person calls it, and how far it is."""

import json
import subprocess
import time
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

from demo.process import PROJECT
from tests.cli.interrupted import command

_GIVE_UP_S = 1800.0
"""Of one step of the whole; nothing that goes on takes so long."""


class Import:
    """A call of the command for each source, all at once.

    Args:
        words: of each call, but for the service.
        server: its address.
        log: file for what they say.
    """

    def __init__(self, words: Sequence[Sequence[str]], server: str, log: Path) -> None:
        self._log = log
        common = ("--server", server, "--json", "--patience", "600")
        with log.open("w") as said:
            self._calls = [
                subprocess.Popen(
                    command("index", *own, *common),
                    cwd=PROJECT,
                    stdout=subprocess.PIPE,
                    stderr=said,
                    text=True,
                )
                for own in words
            ]

    def wait_until(self, reached: Callable[[], bool]) -> None:
        """Wait for something; raises AssertionError where the commands have ended before it."""
        end = time.monotonic() + _GIVE_UP_S
        while not reached():
            is_over = all(call.poll() is not None for call in self._calls)
            if is_over or time.monotonic() > end:
                raise AssertionError(f"it never came so far: {self.said}")
            time.sleep(0.05)

    @property
    def unfinished(self) -> int:
        """How many of the commands have not ended."""
        return sum(call.poll() is None for call in self._calls)

    @property
    def said(self) -> str:
        """What the commands have said until now."""
        return self._log.read_text()

    def ended(self) -> list[tuple[int, dict[str, Any]]]:
        """The exit status and the numbers of each call, once it has ended."""
        ends = [call.communicate(timeout=_GIVE_UP_S)[0] for call in self._calls]
        return [
            (call.returncode, json.loads(said or "{}"))
            for call, said in zip(self._calls, ends, strict=True)
        ]

    def stop(self) -> None:
        """End what still runs."""
        for call in self._calls:
            call.kill()
            call.wait()


class States:
    """What the state files say."""

    def __init__(self, tables: Sequence[Path]) -> None:
        self._paths = [table.with_name(table.name + ".index-state") for table in tables]

    def count(self, text: bytes = b'"done"') -> int:
        """How many lines have a text."""
        there = [path for path in self._paths if path.exists()]
        return sum(path.read_bytes().count(text) for path in there)

    @property
    def failed(self) -> int:
        """How often the host could not be reached, or did not get to its answer's end."""
        return sum(self.count(code) for code in (b'"host_unreachable"', b'"bad_answer"'))
