"""All sources of `image-search index` as one stream of rows, and reading it in the background."""

import asyncio
import hashlib
import json
import os
from collections import Counter
from collections.abc import Callable, Collection, Iterator, Mapping, Sequence
from concurrent.futures import Future
from dataclasses import dataclass
from itertools import chain, count
from pathlib import Path
from queue import SimpleQueue
from threading import Thread
from typing import Any, TypeVar

from cli.index.files import file_source, folder_source, glob_source, is_glob, is_picture
from cli.tables.rows import (
    NO_KEY,
    Row,
    Source,
    SourceError,
    csv_source,
    is_failure,
    json_source,
    line_rows,
    lines_of,
)

_TABLES = frozenset({".csv", ".parquet", ".jsonl", ".ndjson"})
_STDIN = 0
_LONGEST_LINE = 1 << 20
_TAKEN = (
    "give folders, globs, pictures, .csv, .parquet, .jsonl and .ndjson files, http(s) URLs,"
    " or - for lines of standard input"
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
    """

    url_column: str
    text_columns: Collection[str]
    file_key: str
    metadata: Mapping[str, Any]
    id_column: str | None = None


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
    parts = [_opened(one, reading, known) for one in given]
    rows = chain.from_iterable(part.rows for part in parts)
    totals = [part.total for part in parts if part.total is not None]
    identities = [part.identity for part in parts if part.identity is not None]
    total = sum(totals) if len(totals) == len(parts) else None
    whole = {"sources": [each for each in identities if each]}
    return Source(
        _numbered(rows, reading),
        total,
        whole if len(identities) == len(parts) else None,
        dict(sum((Counter(part.left_out) for part in parts), Counter())),
    )


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
    return any(Path(one).suffix.lower() == ".csv" for one in given if not _is_url(one))


def _opened(given: str, reading: Reading, known: Mapping[str, str]) -> Source:
    if given == "-":
        return Source(line_rows(lines_of(_STDIN), reading.url_column, urls=True), None)
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
    return _table(Path(given), reading, known)


def _is_url(given: str) -> bool:
    return given.startswith(("http://", "https://"))


def _table(path: Path, reading: Reading, known: Mapping[str, str]) -> Source:
    kind = path.suffix.lower()
    if kind not in _TABLES and not _holds_failures(path):
        raise SourceError(f"{path} is neither a table nor a picture: {_TAKEN}")
    try:
        seen = path.stat()
        if kind == ".csv":
            own = [] if reading.id_column is None else [reading.id_column]  # 007 is no number
            source = csv_source(path, reading.url_column, [*reading.text_columns, *own], known)
        elif kind == ".parquet":
            from cli.tables.parquet import parquet_source  # noqa: PLC0415 - Arrow takes long to load

            source = parquet_source(path, reading.url_column)
        else:
            source = json_source(path, reading.url_column)
    except OSError as error:
        raise SourceError(f"{path}: {error.strerror or error}") from error
    identity = {"path": str(path.absolute()), "size": seen.st_size, "mtime": seen.st_mtime_ns}
    return Source(source.rows, source.total, identity)


def _holds_failures(path: Path) -> bool:
    """Whether a file begins as one of `--failures` does, whatever it is called."""
    try:
        with path.open("rb") as file:
            return is_failure(json.loads(file.readline(_LONGEST_LINE)))
    except (OSError, ValueError, RecursionError):
        return False


def _numbered(rows: Iterator[Row], reading: Reading) -> Iterator[Row]:
    numbers = count()
    for given in rows:
        row = given if reading.id_column is None else given.called_by(reading.id_column)
        key = next(numbers) if row.key == NO_KEY else row.key
        own = row.metadata  # a text stays as it is, in place of keys
        if not isinstance(own, str):
            own = {**reading.metadata, **(own or {})} or None
        yield row._replace(key=key, metadata=own)
