"""The rows of what is to be indexed: where each came from, and its metadata."""

from collections.abc import Iterator
from dataclasses import dataclass, field
from typing import Any, NamedTuple


class SourceError(Exception):
    """A source cannot be read; the message is one line that names it."""


class Row(NamedTuple):
    """An image to index.

    Attributes:
        line: of the file, or the row's number where there are no lines; from 1.
        url: of the picture; empty where there is none.
        metadata: its columns, or a text.
        problem: why it cannot be sent at all, or empty.
    """

    line: int
    url: str
    metadata: dict[str, Any] | str | None
    problem: str = ""


@dataclass(frozen=True)
class Source:
    """Rows that can be gone through once.

    Attributes:
        rows: the rows, in order.
        total: how many there are, or None where that is not known.
        identity: changes where the content does; None where it cannot be read again.
    """

    rows: Iterator[Row]
    total: int | None
    identity: dict[str, Any] | None = field(default=None)
