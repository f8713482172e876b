"""What `image-search index` was given, as one stream of rows."""

import hashlib
import sys
from collections.abc import Collection, Iterator, Sequence
from itertools import chain
from pathlib import Path

from cli.rows import Row, Source, SourceError
from cli.tables import csv_source, json_source, line_rows

_JSON = frozenset({".jsonl", ".ndjson"})
_TAKEN = "taken are .csv, .parquet, .jsonl and .ndjson files, http(s) urls, and - for lines"


def opened(
    given: Sequence[str], url_column: str, text_columns: Collection[str]
) -> tuple[Source, Path | None]:
    """All sources as one, and the first file among them.

    Raises:
        SourceError: one of them is none, or cannot be read.
    """
    parts: list[Source] = []
    files: list[Path] = []
    for one in given:
        if one == "-":
            parts.append(Source(line_rows(sys.stdin.buffer, url_column, urls=True), None))
        elif one.startswith(("http://", "https://")):
            digest = hashlib.sha256(one.encode(errors="surrogateescape")).hexdigest()
            parts.append(Source(iter([Row(1, one, None)]), 1, {"url": digest}))
        else:
            files.append(Path(one))
            parts.append(_file(Path(one), url_column, text_columns))
    return _joined(parts), files[0] if files else None


def _file(path: Path, url_column: str, text_columns: Collection[str]) -> Source:
    kind = path.suffix.lower()
    if not path.is_file():
        what = "a folder" if path.is_dir() else "no file"
        raise SourceError(f"{path} is {what}: {_TAKEN}")
    try:
        seen = path.stat()
        if kind == ".csv":
            source = csv_source(path, url_column, text_columns)
        elif kind in _JSON:
            source = json_source(path, url_column)
        elif kind == ".parquet":
            from cli.parquet import parquet_source  # noqa: PLC0415 - Arrow takes long to load

            source = parquet_source(path, url_column)
        else:
            raise SourceError(f"{path} is no table: {_TAKEN}")
    except OSError as error:
        raise SourceError(f"{path}: {error.strerror or error}") from error
    identity = {"path": str(path.absolute()), "size": seen.st_size, "mtime": seen.st_mtime_ns}
    return Source(source.rows, source.total, identity)


def _joined(parts: Sequence[Source]) -> Source:
    rows: Iterator[Row] = chain.from_iterable(part.rows for part in parts)
    totals = [part.total for part in parts if part.total is not None]
    identities = [part.identity for part in parts if part.identity is not None]
    total = sum(totals) if len(totals) == len(parts) else None
    whole = {"sources": identities} if len(identities) == len(parts) else None
    return Source(rows, total, whole)
