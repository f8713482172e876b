"""Spans: the part of a sorted list that a page is in, by a sample of the values it is sorted by.

To sort a million rows for a page of ten takes 30 ms, and behind a cursor 80. So only the rows
between two values are read, which a sample of the column puts a little before the page and a little
behind it: 3 to 12 ms, by the key. Whether it is so is seen from how many rows come before,
which an index counts, and how many are there; if it is not, all rows are sorted.
"""

import math
from bisect import bisect_left, bisect_right
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any, Self

from store.metadata.columns import Key
from store.metadata.predicates import all_of
from store.metadata.values import ColumnType, literal
from store.snapshot.snapshot import Snapshot

MIN_ROWS = 20_000
"""Of a table, below which it is sorted whole."""

FEW_ROWS = 1000
"""That match, up to which these are sorted."""

MOST = 0.5
"""Share of the sample, from which on it takes less to read all."""

STEP = 8
"""Places of the sample, below which it takes less to read what is between than to count."""

DEVIATIONS, MARGIN = 3, 2


@dataclass(frozen=True)
class Span:
    """Part of a list.

    Attributes:
        where: an SQL predicate for its rows, beside that of the list.
        skipped: how many rows of the list come before.
        is_open: it goes to the end of the list.
    """

    where: str
    skipped: int
    is_open: bool

    def holds(self, rows: int, page: slice) -> bool:
        """Whether a page, and a row behind it, are among so many rows that were found in it."""
        return self.is_open or self.skipped + rows > page.stop

    def within(self, page: slice) -> slice:
        """The same page, counted from the first row of the span."""
        return slice(page.start - self.skipped, page.stop - self.skipped)


@dataclass(frozen=True)
class Leading:
    """The column that a list is sorted by before all others, and which way."""

    name: str
    descending: bool

    @classmethod
    def of(cls, key: Key, *, descending: bool) -> Self | None:
        """The one of a key; None where no sample of one column tells of its order."""
        if len(key.columns) > 1 or key.type is ColumnType.BOOLEAN:
            return None
        return cls(key.columns[0].name, descending)

    def before(self, value: Any) -> str:
        """SQL for the rows that come before a value."""
        return self._compared(">" if self.descending else "<", value)

    def since(self, value: Any) -> str:
        """SQL for the rows that have this value, or one that comes behind it."""
        return self._compared("<=" if self.descending else ">=", value)

    def between(self, first: Any, last: Any) -> str:
        """SQL for the rows from one value to another; None stands for either end."""
        parts = [] if first is None else [self.since(first)]
        if last is not None:
            until = ">=" if self.descending else "<="
            return " AND ".join([*parts, self._compared(until, last)])
        return " OR ".join([*parts, f"{self.name} IS NULL"])

    def _compared(self, sign: str, value: Any) -> str:
        if value == 0 and isinstance(value, float):
            # An index may have -0.0 before 0.0: a bound lies on the far side of both, or before.
            value = 0.0 if sign in ("<=", ">") else -0.0
        return f"{self.name} {sign} {literal(value)}"


def span_of(snapshot: Snapshot, by: Leading, where: str, page: slice, after: Any) -> Span | None:
    """The span that a page is probably in; None where all rows are to be sorted. Blocks.

    Args:
        snapshot: to list.
        by: what the list is sorted by.
        where: an SQL predicate of the list's rows.
        page: which of them, or of those behind a cursor.
        after: the value of the cursor's row; None where there is no cursor.
    """
    if snapshot.rows < MIN_ROWS:
        return None
    matching = snapshot.count(where)
    if matching <= FEW_ROWS:
        return None
    sample = snapshot.sample_of(by.name)
    values, per_row = _Values(sample.values, by), sample.size / matching
    if after is None:
        place, skipped = _beginning(snapshot, where, values, page.start, per_row)
        first = values.at(place) if place else None
    else:
        place, skipped, first = values.before(after), 0, after
    ahead = (page.stop - skipped) * per_row
    last = values.at(place + math.ceil(ahead + _spread(ahead)))
    if (first is None and last is None) or values.between(first, last) > MOST * sample.size:
        return None
    return Span(by.between(first, last), skipped, is_open=last is None)


def is_shared(snapshot: Snapshot, by: Leading, value: Any) -> bool:
    """Whether so many rows have a value that a page behind one of them is probably among these."""
    if snapshot.rows < MIN_ROWS:
        return False
    return _Values(snapshot.sample_of(by.name).values, by).between(value, value) >= STEP


def _beginning(
    snapshot: Snapshot, where: str, values: "_Values", row: int, per_row: float
) -> tuple[int, int]:
    """A place of the sample that is probably a little before a row, and how many rows are before.

    It is gone towards it in steps, each as far as is safe from what was counted last.
    """
    place, skipped, by = 0, 0, values.by
    while True:
        ahead = (row - skipped) * per_row
        further = values.at(place + math.floor(ahead - _spread(ahead)))
        if further is None or values.before(further) < place + STEP:
            return place, skipped
        passed = all_of(where, by.before(further))
        if place:
            passed = all_of(passed, by.since(values.at(place)))
        counted = skipped + snapshot.count(passed)
        if counted > row:
            return place, skipped
        place, skipped = values.before(further), counted


def _spread(places: float) -> float:
    """By how many places of the sample a row may be off."""
    return MARGIN + DEVIATIONS * math.sqrt(places)


class _Values:
    """The values of a sample in the order of a list."""

    def __init__(self, rising: Sequence[Any], by: Leading) -> None:
        self.by, self._rising, self._descending = by, rising, by.descending

    def at(self, place: int) -> Any:
        """The value in a place, from 0 on; None where there is none."""
        if not 0 <= place < len(self._rising):
            return None
        return self._rising[-1 - place if self._descending else place]

    def before(self, value: Any) -> int:
        """How many come before a value."""
        if self._descending:
            return len(self._rising) - bisect_right(self._rising, value)
        return bisect_left(self._rising, value)

    def between(self, first: Any, last: Any) -> int:
        """How many come from one value to another; None stands for either end."""
        if self._descending:
            first, last = last, first
        below = 0 if first is None else bisect_left(self._rising, first)
        return (len(self._rising) if last is None else bisect_right(self._rising, last)) - below
