"""A row to index, and a source of rows."""

from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any, NamedTuple

Key = int | str
"""Key of a row in the state file: a table row's number, a digest of a file's path and age."""

Metadata = dict[str, Any] | str | None


class SourceError(Exception):
    """A source cannot be read; the message is one line that names it."""


class Row(NamedTuple):
    """An image to index.

    Attributes:
        line: of the file, or the row's number where there are no lines; from 1.
        url: of the picture; empty where there is none, or not yet.
        metadata: its columns, or a text.
        problem: why it cannot be sent at all, or empty.
        key: tells it from all other rows.
        file: path of the picture, where it is to be uploaded.
        data: of that file, once it is read.
    """

    line: int
    url: str
    metadata: Metadata
    problem: str = ""
    key: Key = -1
    file: str = ""
    data: bytes | None = None

    @property
    def subject(self) -> dict[str, Any]:
        """How a report names this row."""
        return {"file": self.file} if self.file else {"url": self.url, "line": self.line}


@dataclass(frozen=True)
class Source:
    """Rows that can be iterated over once.

    Attributes:
        rows: the rows, in order.
        total: how many there are, or None where that is not known.
        identity: changes where the content does; None where it cannot be read again, and empty
            where the rows' own keys say all.
    """

    rows: Iterator[Row]
    total: int | None
    identity: dict[str, Any] | None = None
