"""Rows to index, and their sources: CSV and JSON Lines files, and lines, read as streams."""

import csv
import json
import os
from collections.abc import Collection, Iterable, Iterator, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, NamedTuple

from cli.tables.column_types import ColumnType, value_in

Key = int | str
"""Key of a row in the state file: a table row's number, a digest of a file's path and age."""

NO_KEY = -1
Metadata = dict[str, Any] | str | None

_LONGEST_FIELD = 1 << 24
_READ_BYTES = 1 << 16
_FAILURE_KEYS = frozenset({"code", "reason", "row"})


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
        raw: what stands there, where that is no row.
        id: what the image is called; empty for what follows from its url.
    """

    line: int
    url: str
    metadata: Metadata
    problem: str = ""
    key: Key = NO_KEY
    file: str = ""
    data: bytes | None = None
    raw: str | list[str] | None = None
    id: str = ""

    @property
    def subject(self) -> dict[str, Any]:
        """How a report names this row."""
        return {"file": self.file} if self.file else {"url": self.url, "line": self.line}

    @property
    def given(self) -> Any:
        """The row as it was, for a report; `failed_row` makes a row of it again."""
        if self.raw is not None:
            return self.raw
        what = {"file": os.path.abspath(self.file)} if self.file else {"url": self.url}  # noqa: PTH100
        return {**what, **({"id": self.id} if self.id else {}), "metadata": self.metadata}

    def called_by(self, column: str) -> "Row":
        """The row with its id taken from a column; a file has none, and keeps what it has."""
        if self.problem or self.file or self.id:
            return self
        columns = dict(self.metadata) if isinstance(self.metadata, dict) else {}
        own = columns.pop(column, None)
        if isinstance(own, bool | float | list | dict) or own in {None, ""}:
            return self._replace(problem=f"the row has no text and no whole number as its {column}")
        return self._replace(id=str(own), metadata=columns or None)


@dataclass(frozen=True)
class Source:
    """Rows that can be iterated over once.

    Attributes:
        rows: the rows, in order.
        total: how many there are, or None where that is not known.
        identity: changes where the content does; None where it cannot be read again, and empty
            where the rows' own keys say all.
        left_out: how many things in folders are no rows, by the reason.
    """

    rows: Iterator[Row]
    total: int | None
    identity: dict[str, Any] | None = None
    left_out: Mapping[str, int] = field(default_factory=dict)


def csv_source(
    path: Path, url_column: str, text_columns: Collection[str], known: Mapping[str, str]
) -> Source:
    """Rows of a CSV file with a header. It is read twice: once for the types of its columns.

    Args:
        path: of the file.
        url_column: of the pictures' urls.
        text_columns: those that are text whatever they look like.
        known: the types that the table has; looked at when the first row is read.

    Raises:
        SourceError: it is no CSV file in UTF-8, or a column that was named is missing.
    """
    header, types, total = _surveyed(path, url_column, text_columns)
    return Source(_csv_rows(path, header, types, url_column, known), total)


def json_source(path: Path, url_column: str) -> Source:
    """Rows of a file of JSON lines: objects with the url, and the metadata beside it."""
    with path.open("rb") as file:
        total = sum(not line.isspace() for line in file)
    return Source(_json_file(path, url_column), total)


def line_rows(lines: Iterable[bytes], url_column: str, *, urls: bool = False) -> Iterator[Row]:
    """Rows of lines: JSON objects, or plain urls too where they may be."""
    for number, line in enumerate(lines, 1):
        if line.strip():
            yield _line_row(number, line.strip(), url_column, urls)


def lines_of(descriptor: int) -> Iterator[bytes]:
    """Lines of a file descriptor as they come in.

    Not by Python's own reader: the program could not end while a thread waits in it.
    """
    rest = b""
    while part := os.read(descriptor, _READ_BYTES):
        *whole, rest = (rest + part).split(b"\n")
        yield from whole
    yield rest


def _records(path: Path) -> Iterator[tuple[int, list[str]]]:
    """The first line of each record, and its fields."""
    csv.field_size_limit(_LONGEST_FIELD)
    line = 0
    try:
        with path.open(encoding="utf-8-sig", newline="") as file:
            reader = csv.reader(file, strict=True)
            for record in reader:
                if record:
                    yield line + 1, record
                line = reader.line_num
    except UnicodeDecodeError as error:
        raise SourceError(f"{path}: not UTF-8 text after line {line}: save it as UTF-8") from error
    except csv.Error as error:
        raise SourceError(f"{path}: line {line + 1} is not CSV: {error}") from error


def _surveyed(
    path: Path, url_column: str, text_columns: Collection[str]
) -> tuple[list[str], dict[str, ColumnType | None], int]:
    records = _records(path)
    header = next(records, (0, []))[1]
    for name in (url_column, *text_columns):
        if name not in header:
            known = ", ".join(header) or "none"
            raise SourceError(f"{path}: there is no column {name!r}; its columns are: {known}")
    if len(set(header)) < len(header):
        raise SourceError(f"{path}: two columns have the same name")
    types = {name: None if name in text_columns else ColumnType() for name in header}
    total = 0
    for _, record in records:
        total += 1
        if len(record) != len(header):
            continue  # it will not be sent
        for name, text in zip(header, record, strict=True):
            if (kind := types[name]) is not None:
                kind.see(text)
    return header, types, total


def _csv_rows(
    path: Path,
    header: list[str],
    types: dict[str, ColumnType | None],
    url_column: str,
    known: Mapping[str, str],
) -> Iterator[Row]:
    records = _records(path)
    next(records)

    def value(name: str, text: str) -> Any:
        if (guessed := types[name]) is None:
            return text
        return value_in(known[name], text) if name in known else guessed.value(text)

    for line, record in records:
        if len(record) != len(header):
            problem = f"the row has {len(record)} values, but the header {len(header)}"
            yield Row(line, "", None, problem, raw=record)
            continue
        fields = dict(zip(header, record, strict=True))
        url = fields.pop(url_column).strip()
        metadata = {name: value(name, text) for name, text in fields.items() if text}
        yield Row(line, url, metadata or None)


def _json_file(path: Path, url_column: str) -> Iterator[Row]:
    with path.open("rb") as file:
        yield from line_rows(file, url_column)


def _line_row(number: int, line: bytes, url_column: str, urls: bool) -> Row:
    try:
        if urls and not line.startswith(b"{"):
            return Row(number, line.decode(), None)
        document = json.loads(line)
    except (ValueError, RecursionError):
        return _no_row(number, line, "the line is not a JSON object in UTF-8")
    if not isinstance(document, dict):
        return _no_row(number, line, "the line is not a JSON object")
    if is_failure(document):
        return failed_row(number, document, url_column)
    url = document.pop(url_column, None)
    if not isinstance(url, str | None):
        return _no_row(number, line, f"the {url_column} is not a text")
    return Row(number, (url or "").strip(), _metadata(document))


def _no_row(number: int, line: bytes, problem: str) -> Row:
    return Row(number, "", None, problem, raw=line.decode(errors="replace"))


def is_failure(document: Any) -> bool:
    """Whether a line is one of a file of failures."""
    if not isinstance(document, dict) or not document.keys() >= _FAILURE_KEYS:
        return False
    return document.keys() <= {*_FAILURE_KEYS, "file", "url", "line"}


def failed_row(number: int, failure: Mapping[str, Any], url_column: str) -> Row:
    """The row that a failure was of; what was no row is read anew, as it may be mended."""
    given = failure["row"]
    if isinstance(given, str):
        return _line_row(number, given.encode(errors="replace"), url_column, urls=False)
    own = given if isinstance(given, dict) else {}
    url, file, metadata = own.get("url", ""), own.get("file", ""), own.get("metadata")
    name = own.get("id", "")
    is_row = all(isinstance(one, str) for one in (url, file, name)) and bool(url or file)
    if not (is_row and isinstance(metadata, dict | str | None)):
        raw = given if isinstance(given, list) else json.dumps(given)
        return Row(number, "", None, f"no row to try again: {failure['reason']}", raw=raw)
    return Row(number, url.strip(), metadata or None, file=file, id=name)


def _metadata(document: dict[str, Any]) -> dict[str, Any] | str | None:
    """Metadata beside the url; `metadata` alone is what the service takes under this name."""
    only = document.get("metadata")
    if len(document) == 1 and isinstance(only, dict | str):
        return only or None
    return document or None
