"""Rows of CSV files, read as a stream, each value as what its column holds."""

import csv
import re
from collections.abc import Callable, Collection, Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from image_search.cli.tables.column_types import ColumnType, value_in
from image_search.cli.tables.delimited import Form, NotCsvError, check_columns, form_of, records
from image_search.cli.tables.rows import Row, Source

UNNAMED = "columns without a name"
"""Reason why a part of a table is left out."""

_SEVERAL_URLS = re.compile(r"[\s,;|]+(?=https?://)")


@dataclass(frozen=True)
class CsvReading:
    """How the columns of a CSV file are read.

    Attributes:
        url: the column of the pictures' urls.
        text: those that are text whatever they look like.
        left_out: those that do not become metadata.
        encoding: of the file; None for UTF-8, or what it begins with the mark of.
        known: the types that the table has; looked at when the first row is read.
        key: the key of metadata that a column is for.
    """

    url: str
    text: Collection[str] = ()
    left_out: Collection[str] = ()
    encoding: str | None = None
    known: Mapping[str, str] | None = None
    key: Callable[[str], str] = str


def csv_source(path: Path, reading: CsvReading) -> Source:
    """Rows of a CSV file with a header. It is read twice: once for the types of its columns.

    Raises:
        SourceError: it is no CSV file, or a column that was named is missing.
    """
    form = form_of(path, reading.url, reading.encoding)
    check_columns(path, form, reading.url, reading.text, reading.left_out)
    try:
        survey = _surveyed(path, form)
    except NotCsvError:
        if form.delimiter != "\t":
            raise
        form = form._replace(quoting=csv.QUOTE_NONE)  # most programs know no quotes between tabs
        survey = _surveyed(path, form)
    columns = [name for name in form.names if name not in {reading.url, ""}]
    rows = _rows(path, form, survey.types, reading)
    unnamed = len(survey.unnamed)
    left_out = {UNNAMED: unnamed} if unnamed else {}
    return Source(rows, survey.total, left_out=left_out, columns=columns)


def _surveyed(path: Path, form: Form) -> "_Survey":
    survey = _Survey(form)
    for _, record in records(path, form):
        survey.see(record)
    return survey


class _Survey:
    """What all rows of a file say of it.

    Attributes:
        types: of the columns, by their names.
        total: rows.
        unnamed: places of the columns without a name that have a value.
    """

    def __init__(self, form: Form) -> None:
        self._names = form.names
        self.types = {name: ColumnType(commas=form.has_decimal_commas) for name in form.names}
        self.total = 0
        self.unnamed = set[int]()

    def see(self, record: list[str]) -> None:
        """Count a row, and let it rule out types."""
        self.total += 1
        if len(record) != len(self._names):
            return  # it will not be sent
        for place, (name, text) in enumerate(zip(self._names, record, strict=True)):
            if name:
                self.types[name].see(text)
            elif text:
                self.unnamed.add(place)


def _rows(
    path: Path, form: Form, types: Mapping[str, ColumnType], reading: CsvReading
) -> Iterator[Row]:
    known = reading.known or {}

    def value(name: str, text: str) -> Any:
        if name in reading.text:
            return text
        kind = known.get(reading.key(name))
        return types[name].value(text) if kind is None else value_in(kind, text, types[name])

    for line, record in records(path, form):
        if len(record) != len(form.names):
            problem = f"the row has {len(record)} values, but the header {len(form.names)}"
            yield Row(line, "", None, problem, raw=record)
            continue
        fields = {name: text for name, text in zip(form.names, record, strict=True) if name}
        url = fields.pop(reading.url).strip()
        metadata = {name: value(name, text) for name, text in fields.items() if text}
        yield Row(line, url, metadata or None, _problem(url, reading.url))


def _problem(url: str, column: str) -> str:
    """Why a cell is no single URL; shops put several pictures of a product into one."""
    count = len(_SEVERAL_URLS.split(url))
    if count == 1:
        return ""
    return (
        f"{column} has {count} URLs: give each picture a row of its own (a comma of a URL itself"
        " is %2C)"
    )
