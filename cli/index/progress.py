"""How far it is: a bar where somebody watches, and the failures in a file."""

from pathlib import Path
from typing import Self

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

from cli.index.failures import FailureFile


class WorkBar:
    """A bar with rate and time left; quiet where the output is no terminal.

    Args:
        console: where the bar is drawn.
        work: what it says that is done.
    """

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
        """A pass begins."""
        # The rate is of this pass: what was done before took no time of it.
        self._bar.reset(self._task, total=total, completed=done)

    def advance(self, images: int) -> None:
        """So many more are done."""
        self._bar.advance(self._task, images)

    def skipped(self) -> None:
        """One more was done before."""
        # Not by `advance`: the rate is of this run.
        self._bar.tasks[self._task].completed += 1

    def say(self, line: str) -> None:
        """Print a line, above the bar if there is one."""
        self._bar.console.print(line, markup=False, highlight=False, soft_wrap=True)

    def failed(self) -> None:
        """One more is done, in vain."""
        self._failed += 1
        self._bar.update(self._task, advance=1, description=f"{self._work}, {self._failed} failed")

    def __enter__(self) -> Self:
        self._bar.start()
        return self

    def __exit__(self, *_: object) -> None:
        self._bar.stop()


class ReembedProgress:
    """A bar, and a file of what failed.

    Args:
        console: where the bar is drawn.
        failures: file that takes a JSON line with ``url`` and ``reason`` for each image that could
            not be embedded; None for none.
    """

    def __init__(self, console: Console, failures: Path | None) -> None:
        self._path = failures
        self._bar = WorkBar(console, "embedding")
        self.begin, self.advance = self._bar.begin, self._bar.advance

    def failed(self, url: str, reason: str) -> None:
        """One could not be embedded."""
        self._bar.failed()
        self._failures.add({"url": url, "reason": reason})

    def __enter__(self) -> Self:
        self._failures = FailureFile(self._path)
        self._bar.__enter__()
        return self

    def __exit__(self, *_: object) -> None:
        self._bar.__exit__()
        self._failures.close()


class _Rate(TextColumn):
    """Images a second."""

    def __init__(self) -> None:
        super().__init__("")

    def render(self, task: BarTask) -> Text:
        """Draw the rate, once there is one."""
        return Text(f"{task.speed:.1f}/s" if task.speed else "-/s", style="progress.data.speed")
