"""What the benchmarks print: a title, the machine, small tables; and the same as JSON."""

import json
import os
import platform
import sys
from collections.abc import Sequence
from dataclasses import dataclass
from importlib.metadata import PackageNotFoundError, version
from pathlib import Path

Cell = str | int | float | None
LIBRARIES = ("lancedb", "pylance", "pyarrow", "numpy", "torch", "bentoml", "faiss-cpu")


@dataclass(frozen=True)
class _Table:
    name: str
    columns: tuple[str, ...]
    rows: list[tuple[Cell, ...]]


class Report:
    """Prints tables as they come, and can write them all as JSON at the end."""

    def __init__(self, title: str) -> None:
        self.title = title
        self._tables: list[_Table] = []
        self._say(f"{title}\n{self.machine()}\n")

    def machine(self) -> str:
        """One line: cores that this process may use, memory, Python and the libraries' versions."""
        return (
            f"{platform.system()} {platform.machine()}, {cores()} cores, {memory_gib():.0f} GiB,"
            f" Python {platform.python_version()}, {', '.join(_versions())}"
        )

    def table(self, columns: Sequence[str], rows: Sequence[Sequence[Cell]], name: str = "") -> None:
        """Prints a table at once: text to the left, numbers to the right, None as a dash.

        Args:
            columns: the header, units in its names.
            rows: as many cells each as there are columns; floats are shown to three or four digits.
            name: a line above the table.
        """
        added = _Table(name, tuple(columns), [tuple(row) for row in rows])
        self._tables.append(added)
        self._say((f"{name}\n" if name else "") + as_text(added.columns, added.rows) + "\n")

    def say(self, line: str) -> None:
        """Prints a line between the tables: what is being done, or what a figure means."""
        self._say(line)

    def json(self, path: str | Path) -> None:
        """Writes the title, the machine and every table, its rows as objects by column."""
        tables = [
            {
                "name": each.name,
                "rows": [dict(zip(each.columns, row, strict=True)) for row in each.rows],
            }
            for each in self._tables
        ]
        said = {"title": self.title, "machine": self.machine(), "tables": tables}
        Path(path).write_text(json.dumps(said, indent=1) + "\n", encoding="utf-8")

    @staticmethod
    def _say(text: str) -> None:
        sys.stdout.write(text + "\n")
        sys.stdout.flush()  # a benchmark that runs for minutes is read while it runs


def as_text(columns: Sequence[str], rows: Sequence[Sequence[Cell]]) -> str:
    """Lays a table out as lines of text under its header."""
    shown = [list(columns), *([_shown(cell) for cell in row] for row in rows)]
    widths = [max(len(row[place]) for row in shown) for place in range(len(columns))]
    is_text = [
        all(isinstance(row[place], str) for row in rows if row[place] is not None)
        for place in range(len(columns))
    ]
    lines = [
        "  ".join(
            cell.ljust(width) if left else cell.rjust(width)
            for cell, width, left in zip(row, widths, is_text, strict=True)
        ).rstrip()
        for row in shown
    ]
    return "\n".join([lines[0], "-" * max(map(len, lines)), *lines[1:]])


def cores() -> int:
    """How many cores this process may use."""
    return len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1


def memory_gib() -> float:
    """The machine's memory."""
    return os.sysconf("SC_PAGE_SIZE") * os.sysconf("SC_PHYS_PAGES") / 2**30


def _shown(cell: Cell) -> str:
    if cell is None:
        return "-"
    if isinstance(cell, float):
        # Below one four digits, so that a recall of 0.9996 does not read as 1.
        return f"{cell:,.0f}" if abs(cell) >= 100 else f"{cell:.{4 if abs(cell) < 1 else 3}g}"
    return f"{cell:,}" if isinstance(cell, int) else cell


def _versions() -> list[str]:
    found = []
    for name in LIBRARIES:
        try:
            found.append(f"{name} {version(name)}")
        except PackageNotFoundError:
            continue  # the group of this library is not installed
    return found
