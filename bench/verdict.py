"""Ratios against their limits: what every benchmark of the guard ends with."""

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from bench.report import Cell, Report


@dataclass(frozen=True)
class Limit:
    """A figure that has a limit.

    Attributes:
        what: the figure in words.
        value: as it was measured; nan, where nothing could be measured, keeps no limit.
        most: that it may be.
        least: that it must be.
    """

    what: str
    value: float
    most: float | None = None
    least: float | None = None

    @property
    def kept(self) -> bool:
        """Whether it is within its limits."""
        above = self.least is None or self.value >= self.least
        below = self.most is None or self.value <= self.most
        return above and below and not np.isnan(self.value)

    def row(self) -> tuple[Cell, ...]:
        """As a row of the table of limits."""
        words = [] if self.least is None else [f"at least {self.least:g}"]
        words += [] if self.most is None else [f"at most {self.most:g}"]
        return self.what, self.value, ", ".join(words), "kept" if self.kept else "MISSED"


def judged(report: Report, limits: Sequence[Limit]) -> bool:
    """Prints the table of limits and tells whether all were kept."""
    report.table(["figure", "is", "limit", ""], [limit.row() for limit in limits])
    return all(limit.kept for limit in limits)


def percentile(values: Sequence[float], percent: float) -> float:
    """A percentile; nan of nothing."""
    return float(np.percentile(values, percent)) if len(values) else float("nan")


def ratio(part: float, whole: float) -> float:
    """A quotient; nan where it is none."""
    return part / whole if whole else float("nan")
