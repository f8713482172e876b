"""Rows to index, and their sources: JSON Lines files, and lines, read as streams."""

import json
import math
import os
import shlex
from codecs import BOM_UTF8
from collections.abc import Collection, Iterable, Iterator, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Any, NamedTuple

if TYPE_CHECKING:
    from image_search import Detector, Model, WholeImage

Key = int | str
"""Key of a row in the state file: a table row's number, a digest of a file's path and age."""

NO_KEY = -1
Metadata = dict[str, Any] | str | None

_READ_BYTES = 1 << 16
_MOST_LISTED = 50
_FAILURE_KEYS = frozenset({"code", "reason", "row"})
_NO_ROW = "no row to try again: "


class SourceError(Exception):
    """A source cannot be read; the message is one line that names it."""


def listed(names: Collection[str]) -> str:
    """Names of columns for a message; the first ones, where there are very many."""
    first = ", ".join(list(names)[:_MOST_LISTED]) or "none"
    return first if len(names) <= _MOST_LISTED else f"{first} and {len(names) - _MOST_LISTED} more"


def missing_column(
    path: object, name: str, names: Collection[str], values: Mapping[str, object] | None = None
) -> SourceError:
    """The error that a table has no column of this name; tells which may be meant.

    Args:
        path: of the table.
        name: of the column.
        names: of those that there are.
        values: one of each, where the column is that of the urls, to know it by its values.
    """
    meant = [one for one in names if one.casefold() == name.casefold()]
    option = "" if values is None else "--url-column "
    if values is not None:
        meant += [one for one in names if is_url(values.get(one))]
    hints = [option + shlex.quote(one) for one in dict.fromkeys(meant)]
    hint = f" (is it {' or '.join(hints[:3])}?)" if hints else ""
    return SourceError(
        f"{path}: there is no column {name!r}{hint}; its columns are: {listed(names)}"
    )


def is_url(value: object) -> bool:
    """Whether a value is a text that begins as a URL does."""
    return isinstance(value, str) and value.lstrip().lower().startswith(("http://", "https://"))


class Whole(NamedTuple):
    """What an exported index has of an image.

    Attributes:
        image: all of it.
        model: that made the vector.
        dim: length of the vector.
        size: of the metadata as JSON, in characters.
        detector: that found the objects; None where there are none.
    """

    image: "WholeImage"
    model: "Model"
    dim: int
    size: int
    detector: "Detector | None" = None


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
        whole: of an exported index, all that it has of the image.
    """

    line: int
    url: str
    metadata: Metadata
    problem: str = ""
    key: Key = NO_KEY
    file: str = ""
    data: bytes | None = None
    raw: Any = None
    id: str = ""
    whole: Whole | None = None

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


@dataclass(frozen=True)
class Source:
    """Rows that can be iterated over once.

    Attributes:
        rows: the rows, in order.
        total: how many there are, or None where that is not known.
        identity: changes where the content does; None where it cannot be read again, and empty
            where the rows' own keys say all.
        left_out: how many things in folders are no rows, by the reason.
        columns: names of the columns that may become metadata, or an id; None where the rows tell.
        whole: of an exported index, the types of its metadata keys; None for other sources.
    """

    rows: Iterator[Row]
    total: int | None
    identity: dict[str, Any] | None = None
    left_out: Mapping[str, int] = field(default_factory=dict)
    columns: Collection[str] | None = ()
    whole: Mapping[str, str] | None = None


def json_source(
    path: Path, url_column: str, id_column: str | None, *, names: bool, urls: bool = False
) -> Source:
    """Rows of a file of JSON lines: objects with the url, and the metadata beside it.

    Args:
        path: of the file.
        url_column: of the pictures' urls.
        id_column: of their ids; a row that has an id already counts as one with this column.
        names: whether the names of the columns are needed: each row may have others.
        urls: whether a line may be a plain url too.

    Raises:
        SourceError: no row has the column of the urls.
    """
    with path.open("rb") as file:
        total = sum(not line.isspace() for line in file)
    _check_url_column(path, url_column)
    columns: dict[str, None] = {}
    for row in _json_file(path, url_column, urls) if names else ():
        columns |= dict.fromkeys(row.metadata) if isinstance(row.metadata, dict) else {}
        columns |= {id_column: None} if row.id and id_column is not None else {}
    return Source(_json_file(path, url_column, urls), total, columns=columns)


def line_rows(lines: Iterable[bytes], url_column: str, *, urls: bool = False) -> Iterator[Row]:
    """Rows of lines: JSON objects, or plain urls too where they may be."""
    for number, given in enumerate(lines, 1):
        line = given.removeprefix(BOM_UTF8) if number == 1 else given
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


def _json_file(path: Path, url_column: str, urls: bool) -> Iterator[Row]:
    with path.open("rb") as file:
        yield from line_rows(file, url_column, urls=urls)


def _check_url_column(path: Path, url_column: str) -> None:
    """Refuse a file of which no row has the column of the urls; lines that are no rows say so."""
    seen: dict[str, Any] = {}
    with path.open("rb") as file:
        for row in filter(None, map(_document, file)):
            if url_column in row or is_failure(row):
                return
            seen = {**row, **seen}
    if seen:
        raise missing_column(path, url_column, seen, seen)


def _document(line: bytes) -> dict[str, Any] | None:
    try:
        document = json.loads(line)
    except (ValueError, RecursionError):
        return None
    return document if isinstance(document, dict) else None


def _line_row(number: int, line: bytes, url_column: str, urls: bool) -> Row:
    try:
        if urls and not line.startswith(b"{"):
            return Row(number, line.decode(), None)
        document = json.loads(line, parse_constant=_no_value, parse_float=_finite)
    except (ValueError, RecursionError, OverflowError) as error:
        is_number = isinstance(error, OverflowError)
        problem = "has a number that is too large" if is_number else "is not a JSON object in UTF-8"
        return _no_row(number, line, f"the line {problem}")
    if not isinstance(document, dict):
        return _no_row(number, line, "the line is not a JSON object")
    if is_failure(document):
        return failed_row(number, document, url_column)
    url = document.pop(url_column, None)
    if not isinstance(url, str | None):
        return _no_row(number, line, f"the {url_column} is not a text")
    return Row(number, (url or "").strip(), _metadata(document))


def _no_value(_constant: str) -> None:
    """What NaN and infinity are, which Python writes into JSON: as in a Parquet file, no value."""


def _finite(written: str) -> float:
    number = float(written)
    if math.isinf(number):
        raise OverflowError
    return number


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
    is_row = all(isinstance(one, str) for one in (url, file, name)) and bool(
        {"url", "file"} & own.keys()
    )
    if not (is_row and isinstance(metadata, dict | str | None)):
        reason = str(failure["reason"]).removeprefix(_NO_ROW)
        return Row(number, "", None, _NO_ROW + reason, raw=given)
    return Row(number, url.strip(), metadata or None, file=file, id=name)


def _metadata(document: dict[str, Any]) -> dict[str, Any] | str | None:
    """Metadata beside the url; `metadata` alone is what the service takes under this name."""
    only = document.get("metadata")
    if len(document) == 1 and isinstance(only, dict | str):
        return only or None
    return document or None
