"""Rows of CSV files, read as a stream, each value as what its column holds."""

import csv
from collections.abc import Callable, Collection, Iterator, Mapping
from pathlib import Path
from typing import Any, NamedTuple

from cli.tables.column_types import ColumnType, value_in
from cli.tables.rows import Row, Source, SourceError

_LONGEST_FIELD = 1 << 24


def csv_source(
    path: Path,
    url_column: str,
    text_columns: Collection[str],
    known: Mapping[str, str],
    key: Callable[[str], str] = str,
) -> Source:
    """Rows of a CSV file with a header. It is read twice: once for the types of its columns.

    Args:
        path: of the file.
        url_column: of the pictures' urls.
        text_columns: those that are text whatever they look like.
        known: the types that the table has; looked at when the first row is read.
        key: the key of metadata that a column is for.

    Raises:
        SourceError: it is no CSV file in UTF-8, or a column that was named is missing.
    """
    header, types, total = _surveyed(path, url_column, text_columns)
    kinds = _Kinds(types, known, key)
    columns = [name for name in header if name != url_column]
    return Source(_csv_rows(path, header, kinds, url_column), total, columns=columns)


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


class _Kinds(NamedTuple):
    types: Mapping[str, ColumnType | None]
    known: Mapping[str, str]
    key: Callable[[str], str]

    def value(self, name: str, text: str) -> Any:
        if (guessed := self.types[name]) is None:
            return text
        kind = self.known.get(self.key(name))
        return guessed.value(text) if kind is None else value_in(kind, text)


def _csv_rows(path: Path, header: list[str], kinds: _Kinds, url_column: str) -> Iterator[Row]:
    records = _records(path)
    next(records)
    for line, record in records:
        if len(record) != len(header):
            problem = f"the row has {len(record)} values, but the header {len(header)}"
            yield Row(line, "", None, problem, raw=record)
            continue
        fields = dict(zip(header, record, strict=True))
        url = fields.pop(url_column).strip()
        metadata = {name: kinds.value(name, text) for name, text in fields.items() if text}
        yield Row(line, url, metadata or None)
