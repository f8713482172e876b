"""Rows to index, and their sources: CSV and JSON Lines files, and lines, read as streams."""

import csv
import json
import os
import re
from collections.abc import Callable, Collection, Iterable, Iterator, Mapping
from dataclasses import dataclass
from datetime import datetime
from pathlib import Path
from typing import Any, NamedTuple

Key = int | str
"""Key of a row in the state file: a table row's number, a digest of a file's path and age."""

Metadata = dict[str, Any] | str | None

_LONGEST_FIELD = 1 << 24
_READ_BYTES = 1 << 16
_INTEGER = re.compile(r"[+-]?(0|[1-9]\d{0,18})", re.ASCII)
_FLOAT = re.compile(r"[+-]?(0|[1-9]\d*)?(\.\d+)?([eE][+-]?\d+)?", re.ASCII)
_TIME = re.compile(r"\d{4}-\d\d-\d\d[Tt ]\d\d:\d\d:\d\d(\.\d+)?([Zz]|[+-]\d\d:\d\d)", re.ASCII)
_BOOLEANS = {"true": True, "false": False}
_MOST = 2**63


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


def _is_integer(text: str) -> bool:
    # With a leading zero it is a number for people only: a postal code, an article.
    return _INTEGER.fullmatch(text) is not None and -_MOST <= int(text) < _MOST


def _is_float(text: str) -> bool:
    match = _FLOAT.fullmatch(text)
    if match is None or not (match[1] or match[2]):
        return False
    return abs(float(text)) != float("inf")


def _is_time(text: str) -> bool:
    if _TIME.fullmatch(text) is None:
        return False
    try:
        datetime.fromisoformat(text.upper())
    except ValueError:
        return False
    return True


def _is_boolean(text: str) -> bool:
    return text.lower() in _BOOLEANS


_KINDS: Mapping[str, tuple[Callable[[str], bool], Callable[[str], Any]]] = {
    "integer": (_is_integer, int),
    "float": (_is_float, float),
    "boolean": (_is_boolean, lambda text: _BOOLEANS[text.lower()]),
    "time": (_is_time, str),
}


class ColumnType:
    """Type of a CSV column: the first kind that all of its values are of."""

    def __init__(self) -> None:
        self._left = list(_KINDS)

    def see(self, text: str) -> None:
        """Rule out the kinds that a value is not of; an empty one has none."""
        if text and self._left:
            self._left = [kind for kind in self._left if _KINDS[kind][0](text)]

    def value(self, text: str) -> Any:
        """Convert a text that `see` was given."""
        return _KINDS[self._left[0]][1](text) if self._left else text


def csv_source(path: Path, url_column: str, text_columns: Collection[str]) -> Source:
    """Rows of a CSV file with a header. It is read twice: once for the types of its columns.

    Raises:
        SourceError: it is no CSV file in UTF-8, or a column that was named is missing.
    """
    header, types, total = _surveyed(path, url_column, text_columns)
    return Source(_csv_rows(path, header, types, url_column), total)


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
    path: Path, header: list[str], types: dict[str, ColumnType | None], url_column: str
) -> Iterator[Row]:
    records = _records(path)
    next(records)
    for line, record in records:
        if len(record) != len(header):
            problem = f"the row has {len(record)} values, but the header {len(header)}"
            yield Row(line, "", None, problem)
            continue
        fields = dict(zip(header, record, strict=True))
        url = fields.pop(url_column).strip()
        metadata = {
            name: text if (kind := types[name]) is None else kind.value(text)
            for name, text in fields.items()
            if text
        }
        yield Row(line, url, metadata or None)


def _json_file(path: Path, url_column: str) -> Iterator[Row]:
    with path.open("rb") as file:
        yield from line_rows(file, url_column)


def _line_row(number: int, line: bytes, url_column: str, urls: bool) -> Row:
    try:
        if urls and not line.startswith(b"{"):
            return Row(number, line.decode(), None)
        document = json.loads(line)
    except ValueError:
        return Row(number, "", None, "the line is not a JSON object in UTF-8")
    if not isinstance(document, dict):
        return Row(number, "", None, "the line is not a JSON object")
    url = document.pop(url_column, None)
    if not isinstance(url, str | None):
        return Row(number, "", None, f"the {url_column} is not a text")
    return Row(number, (url or "").strip(), _metadata(document))


def _metadata(document: dict[str, Any]) -> dict[str, Any] | str | None:
    """Metadata beside the url; `metadata` alone is what the service takes under this name."""
    only = document.get("metadata")
    if len(document) == 1 and isinstance(only, dict | str):
        return only or None
    return document or None
