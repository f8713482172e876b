"""All sources of `image-search index` as one stream of rows, and reading it in the background."""

import asyncio
import hashlib
import json
import os
from codecs import BOM_UTF8
from collections import Counter
from collections.abc import Callable, Collection, Iterator, Mapping, Sequence
from concurrent.futures import Future
from dataclasses import dataclass, replace
from itertools import chain, count, islice
from pathlib import Path
from queue import SimpleQueue
from threading import Thread
from typing import Any, TypeVar

from image_search.cli.index.files import (
    file_source,
    folder_source,
    glob_source,
    is_glob,
    is_picture,
    listed_again,
)
from image_search.cli.tables.columns import Columns
from image_search.cli.tables.csv_file import CsvReading, csv_source
from image_search.cli.tables.rows import (
    NO_KEY,
    Row,
    Source,
    SourceError,
    is_failure,
    json_source,
    line_rows,
    lines_of,
)

_CSV, _PARQUET, _LINES, _URLS = ".csv", ".parquet", ".jsonl", "urls"
_KINDS = {".csv": _CSV, ".tsv": _CSV, ".tab": _CSV, ".parquet": _PARQUET}
_KINDS |= {".jsonl": _LINES, ".ndjson": _LINES}
_STDIN = 0
_LONGEST_LINE = 1 << 20
_WHOLE_AT_ONCE = 255
_TAKEN = (
    "give folders, globs, pictures, .csv, .tsv, .parquet, .jsonl and .ndjson files, .txt files with"
    " URLs, http(s) URLs, or - for lines of standard input"
)
T = TypeVar("T")


@dataclass(frozen=True)
class Reading:
    """How sources are read.

    Attributes:
        url_column: of tables.
        text_columns: columns of CSV files that are text whatever they look like.
        file_key: the metadata key for a file's path; empty for none.
        metadata: of every image; a row's own keys win.
        id_column: of tables, with what each image is called; None for ids that follow from urls.
        leave_out: columns of tables that do not become metadata; None for none.
        rename: keys of metadata by the columns of tables; None where these are the same.
        encoding: of CSV files; None for UTF-8, or for what they begin with the mark of.
    """

    url_column: str
    text_columns: Collection[str]
    file_key: str
    metadata: Mapping[str, Any]
    id_column: str | None = None
    leave_out: Collection[str] | None = None
    rename: Mapping[str, str] | None = None
    encoding: str | None = None

    @property
    def columns(self) -> Columns:
        """What is made of a table's columns.

        Raises:
            ValueError: one is to be left out and renamed.
        """
        left_out, renamed = self.leave_out or (), self.rename or {}
        if both := next((name for name in renamed if name in left_out), None):
            raise ValueError(f"the column {both!r} is to be left out and renamed: do either")
        return Columns(self.url_column, self.id_column, left_out, renamed)


class Background:
    """A thread for what may block for ever, such as standard input: nobody waits for its end.

    It calls functions one after the other. The threads of `asyncio.to_thread` are waited for when
    the program ends: Ctrl-C would take effect with the next line of input only.
    """

    def __init__(self) -> None:
        self._jobs: SimpleQueue[tuple[Future[Any], Callable[..., Any], Any]] = SimpleQueue()
        Thread(target=self._work, name="background", daemon=True).start()

    async def run(self, function: Callable[..., T], *args: Any) -> T:
        """Call a function and return its result.

        Raises:
            Exception: whatever the function raised.
        """
        future: Future[T] = Future()
        self._jobs.put((future, function, args))
        return await asyncio.wrap_future(future)

    def _work(self) -> None:
        while True:
            future, function, args = self._jobs.get()
            if future.set_running_or_notify_cancel():
                try:
                    future.set_result(function(*args))
                except Exception as error:
                    future.set_exception(error)


def opened(given: Sequence[str], reading: Reading, known: Mapping[str, str]) -> Source:
    """All sources as one, the rows of tables numbered consecutively.

    Args:
        given: the sources.
        reading: how they are read.
        known: the types of the table's keys; looked at when the first row is read.

    Raises:
        SourceError: one of them is no source, or cannot be read.
    """
    columns = reading.columns
    parts = [_opened(one, reading, columns, known) for one in given]
    columns.check(parts)
    rows = chain.from_iterable(part.rows for part in parts)
    totals = [part.total for part in parts if part.total is not None]
    identities = [part.identity for part in parts if part.identity is not None]
    total = sum(totals) if len(totals) == len(parts) else None
    whole = {"sources": [each for each in identities if each]}
    return Source(
        _numbered(rows, columns, reading.metadata),
        total,
        whole if len(identities) == len(parts) else None,
        dict(sum((Counter(part.left_out) for part in parts), Counter())),
        whole=_types(parts, columns),
    )


def _types(parts: Sequence[Source], columns: Columns) -> dict[str, str] | None:
    """The types of all exported indexes' keys, as they are to be called; None where there is none.

    What has them by other types is stored as it can be.
    """
    found = [part.whole for part in parts if part.whole is not None]
    if not found:
        return None
    return {
        columns.key(name): kind
        for types in found
        for name, kind in types.items()
        if name not in columns.left_out
    }


def some_of(rows: Iterator[Row]) -> list[Row]:
    """The next row, and where it is one of an exported index, some more; none at the end.

    Other rows may be a long time in coming, each for itself.
    """
    first = next(rows, None)
    if first is None:
        return []
    return [first, *islice(rows, _WHOLE_AT_ONCE)] if first.whole is not None else [first]


def state_beside(given: str) -> Path | None:
    """Path of the state file of a source, beside it; None for standard input and URLs."""
    if given == "-" or _is_url(given):
        return None
    path = Path(given)
    if is_glob(given):
        path = next(each for each in path.parents if not is_glob(str(each)))
    path = Path(os.path.abspath(path))  # noqa: PTH100 - without `..`
    return path.with_name(path.name + ".index-state") if path.name else None


def has_csv(given: Sequence[str]) -> bool:
    """Whether there is a CSV file among the sources, whose columns have no types."""
    return any(_kind(Path(one)) == _CSV for one in given if not _is_url(one))


def _opened(given: str, reading: Reading, columns: Columns, known: Mapping[str, str]) -> Source:
    if given == "-":
        lines = line_rows(lines_of(_STDIN), reading.url_column, urls=True)
        return Source(lines, None, columns=None)
    if _is_url(given):
        digest = hashlib.sha256(given.encode(errors="surrogateescape")).hexdigest()
        return Source(iter([Row(1, given, None)]), 1, {"url": digest})
    if Path(given).is_dir():
        return folder_source(given, reading.file_key)
    if is_glob(given):
        return glob_source(given, reading.file_key)
    if not os.path.lexists(given):
        raise SourceError(f"{given} is no file: {_TAKEN}")
    if is_picture(given):
        return file_source(given, reading.file_key)
    return _table(Path(given), reading, columns, known)


def _is_url(given: str) -> bool:
    return given.startswith(("http://", "https://"))


def _table(path: Path, reading: Reading, columns: Columns, known: Mapping[str, str]) -> Source:
    kind = _kind(path)
    if kind is None:
        if path.suffix.lower() == ".json":
            raise SourceError(f"{path}: give JSON lines, an object a line, as a .jsonl file")
        raise SourceError(f"{path} is neither a table nor a picture: {_TAKEN}")
    try:
        seen = path.stat()
        source = _table_of(kind, path, reading, columns, known)
    except OSError as error:
        raise SourceError(f"{path}: {error.strerror or error}") from error
    identity = {"path": str(path.absolute()), "size": seen.st_size, "mtime": seen.st_mtime_ns}
    return replace(source, identity=identity)


def _kind(path: Path) -> str | None:
    """How a table is written, by its name; a text and what has no such name, by its first line."""
    suffix = path.suffix.lower()
    if (kind := _KINDS.get(suffix)) is not None:
        return kind
    try:
        with path.open("rb") as file:
            line = file.readline(_LONGEST_LINE).removeprefix(BOM_UTF8).strip()
        if is_failure(json.loads(line)):
            return _LINES
    except OSError:
        return None
    except (ValueError, RecursionError):
        pass
    if suffix != ".txt":
        return None
    return _URLS if not line or line.lower().startswith((b"{", b"http:", b"https:")) else _CSV


def _table_of(
    kind: str, path: Path, reading: Reading, columns: Columns, known: Mapping[str, str]
) -> Source:
    if kind in {_LINES, _URLS}:
        is_urls = kind == _URLS
        names = columns.needs_names
        source = json_source(path, columns.url, columns.id, names=names, urls=is_urls)
        rows = (one for row in source.rows for one in listed_again(row, reading.file_key))
        return replace(source, rows=rows)
    if kind == _CSV:
        own = [] if columns.id is None else [columns.id]  # 007 is no number
        text = [*reading.text_columns, *own]
        how = CsvReading(columns.url, text, columns.left_out, reading.encoding, known, columns.key)
        source = csv_source(path, how)
    else:
        from image_search.cli.tables.parquet import parquet_source  # noqa: PLC0415 - Arrow takes long to load

        source = parquet_source(path, columns.url, columns.id, columns.left_out)
    columns.check_header(path, list(source.columns or ()))
    return source


def _numbered(
    rows: Iterator[Row], columns: Columns, everywhere: Mapping[str, Any]
) -> Iterator[Row]:
    numbers = count()
    for row in map(columns.applied, rows):
        key = next(numbers) if row.key == NO_KEY else row.key
        own = row.metadata  # a text stays as it is, in place of keys
        if not isinstance(own, str):
            own = {**everywhere, **(own or {})} or None
        yield row._replace(key=key, metadata=own)
