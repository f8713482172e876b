"""Report of a benchmark: machine, date, command and commit, tables, and limits kept or missed."""

import json
import os
import platform
import subprocess
import sys
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from importlib.metadata import distributions
from pathlib import Path
from typing import Any

import numpy as np

Cell = str | int | float | None
PROJECT = Path(__file__).resolve().parents[1]
LIBRARIES = ("lancedb", "pylance", "numpy", "torch", "bentoml")


@dataclass(frozen=True)
class Limit:
    """A figure and its bounds; nan (nothing could be measured) misses every limit."""

    figure: str
    value: float
    least: float | None = None
    most: float | None = None

    @property
    def kept(self) -> bool:
        above = self.least is None or self.value >= self.least
        below = self.most is None or self.value <= self.most
        return above and below and not np.isnan(self.value)

    def row(self) -> tuple[Cell, ...]:
        words = [] if self.least is None else [f"at least {self.least:g}"]
        words += [] if self.most is None else [f"at most {self.most:g}"]
        return self.figure, self.value, ", ".join(words), "kept" if self.kept else "MISSED"


class Report:
    """Prints tables as they come and writes them all as JSON at the end."""

    def __init__(self, title: str, command: str) -> None:
        self._head = {
            "title": title,
            "machine": machine(),
            "date": f"{datetime.now(UTC):%Y-%m-%d %H:%M} UTC",
            "command": command,
            "commit": commit(PROJECT),
        }
        self._tables: list[dict[str, Any]] = []
        self.say("\n".join(f"{name + ':':9}{value}" for name, value in self._head.items()) + "\n")

    def table(self, columns: Sequence[str], rows: Sequence[Sequence[Cell]], name: str = "") -> None:
        """Print a table under a line with its name: None is a dash, floats have 3 or 4 digits."""
        as_objects = [dict(zip(columns, row, strict=True)) for row in rows]
        self._tables.append({"name": name, "rows": as_objects})
        self.say((f"{name}\n" if name else "") + as_text(columns, rows) + "\n")

    def judge(self, limits: Sequence[Limit]) -> bool:
        """Print the table of limits; whether all were kept."""
        if limits:
            self.table(["figure", "is", "limit", ""], [limit.row() for limit in limits], "limits")
        return all(limit.kept for limit in limits)

    def json(self, path: Path) -> None:
        text = json.dumps({**self._head, "tables": self._tables}, indent=1)
        path.write_text(text + "\n", encoding="utf-8")

    @staticmethod
    def say(text: str) -> None:
        """Print a line at once: a benchmark of minutes is read while it runs."""
        sys.stdout.write(text + "\n")
        sys.stdout.flush()


def as_text(columns: Sequence[str], rows: Sequence[Sequence[Cell]]) -> str:
    """A table as aligned lines under its header; a column of texts alone stands to the left."""
    lines = [""] * (len(rows) + 1)
    for name, *cells in zip(columns, *rows, strict=True):
        shown = [name, *map(_shown, cells)]
        width, left = max(map(len, shown)), all(isinstance(each, str | None) for each in cells)
        for n, cell in enumerate(shown):
            lines[n] += (cell.ljust(width) if left else cell.rjust(width)) + "  "
    lines = [line.rstrip() for line in lines]
    return "\n".join([lines[0], "-" * max(map(len, lines)), *lines[1:]])


def _shown(cell: Cell) -> str:
    if cell is None:
        return "-"
    if isinstance(cell, float):
        # Below one four digits, so that a recall of 0.9996 does not read as 1.
        return f"{cell:,.0f}" if abs(cell) >= 100 else f"{cell:.{4 if abs(cell) < 1 else 3}g}"
    return f"{cell:,}" if isinstance(cell, int) else cell


def percentile(values: Sequence[float], percent: float) -> float:
    """A percentile; nan of nothing."""
    return float(np.percentile(values, percent)) if len(values) else float("nan")


def median(values: Sequence[float]) -> float:
    """The median; nan of nothing or where one value is nan."""
    return percentile(values, 50)


def ratio(part: float, whole: float) -> float:
    """A quotient; nan for a division by zero."""
    return part / whole if whole else float("nan")


def cores() -> int:
    """Cores that this process may use."""
    return len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1


def machine() -> str:
    """One line: cores, memory, Python and the libraries' versions."""
    gib = os.sysconf("SC_PAGE_SIZE") * os.sysconf("SC_PHYS_PAGES") / 2**30
    cpu = Path("/proc/cpuinfo")
    bf16 = ", bf16" if cpu.exists() and "bf16" in cpu.read_text(errors="replace") else ""
    found = sorted({f"{d.name} {d.version}" for d in distributions() if d.name in LIBRARIES})
    return (
        f"{platform.system()} {platform.machine()}, {cores()} cores{bf16}, {gib:.0f} GiB,"
        f" Python {platform.python_version()}, {', '.join(found)}"
    )


def commit(project: Path) -> str:
    """Short hash of a checkout's commit, with a plus sign where files differ from it."""
    try:
        git = ["git", "-C", str(project)]
        name = subprocess.check_output([*git, "rev-parse", "--short", "HEAD"], text=True).strip()
        changed = subprocess.check_output([*git, "status", "--porcelain", "-uno"], text=True)
    except (OSError, subprocess.CalledProcessError):
        return "unknown"
    return f"{name}{'+' if changed else ''}"
