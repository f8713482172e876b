"""How far a command is: a progress bar, and a file of what failed."""

import json
from pathlib import Path
from typing import Any

from rich.console import Console
from rich.progress import (
    BarColumn,
    MofNCompleteColumn,
    Progress,
    SpinnerColumn,
    TextColumn,
    TimeRemainingColumn,
)
from rich.progress import Task as BarTask
from rich.text import Text

from image_search.cli.output import opened_anew


class WorkBar:
    """Progress bar with rate and time left; silent where the output is no terminal."""

    def __init__(self, console: Console, work: str) -> None:
        self._work = work
        self._bar = Progress(
            SpinnerColumn(),
            TextColumn("{task.description}"),
            BarColumn(),
            MofNCompleteColumn(),
            _Rate(),
            TimeRemainingColumn(),
            console=console,
            disable=not console.is_terminal,
        )
        self._task = self._bar.add_task(work, total=None)
        self._failed = 0

    def begin(self, total: int | None, done: int) -> None:
        """Begin a pass over so many images; what was done before does not count for the rate."""
        self._bar.reset(self._task, total=total, completed=done)

    def advance(self, images: int) -> None:
        """Count so many more images as done."""
        self._bar.advance(self._task, images)

    def skipped(self) -> None:
        """Count one more image as done in an earlier run; not for the rate, as `advance` would."""
        self._bar.tasks[self._task].completed += 1

    def failed(self) -> None:
        """Count one more image as failed."""
        self._failed += 1
        self._bar.update(self._task, advance=1, description=f"{self._work}, {self._failed} failed")

    def say(self, line: str) -> None:
        """Print a line, above the bar if there is one."""
        self._bar.console.print(line, markup=False, highlight=False, soft_wrap=True)

    def __enter__(self) -> "WorkBar":
        self._bar.start()
        return self

    def __exit__(self, *_: object) -> None:
        self._bar.stop()


class FailureFile:
    """File of JSON lines about images that failed; each line is written at once.

    Without a path, nothing is written.

    Raises:
        OSError: it cannot be written.
    """

    def __init__(self, path: Path | None) -> None:
        self._file = None if path is None else opened_anew(path)

    def add(self, failure: dict[str, Any]) -> None:
        """Write a line."""
        if self._file is not None:
            self._file.write(json.dumps(failure).encode("ascii") + b"\n")
            self._file.flush()

    def __enter__(self) -> "FailureFile":
        return self

    def __exit__(self, *_: object) -> None:
        if self._file is not None:
            self._file.close()


class _Rate(TextColumn):
    """Column of the bar with the images a second."""

    def __init__(self) -> None:
        super().__init__("")

    def render(self, task: BarTask) -> Text:
        """Draw the rate, once there is one."""
        return Text(f"{task.speed:.1f}/s" if task.speed else "-/s", style="progress.data.speed")
