"""Rows of Parquet files, read as a stream."""

import math
from collections.abc import Collection, Iterator, Sequence
from datetime import UTC, date, datetime
from decimal import Decimal
from pathlib import Path
from typing import Any

import pyarrow as pa
import pyarrow.parquet as pq

from cli.tables.rows import Row, Source, SourceError

_BATCH_ROWS = 1024


def parquet_source(
    path: Path, url_column: str, id_column: str | None = None, left_out: Collection[str] = ()
) -> Source:
    """Rows of a Parquet file.

    Args:
        path: of the file.
        url_column: of the pictures' urls.
        id_column: of their ids.
        left_out: columns that are not read.

    Raises:
        SourceError: it is not one, or the column of the urls, or that of the ids, is missing.
    """
    try:
        file = pq.ParquetFile(path)
    except pa.ArrowException as error:
        raise SourceError(f"{path}: not a Parquet file") from error
    names = file.schema_arrow.names
    for name in (url_column, id_column):
        if name is not None and name not in names:
            known = ", ".join(names)
            raise SourceError(f"{path}: there is no column {name!r}; its columns are: {known}")
    columns = [name for name in names if name != url_column]
    read = [name for name in names if name == url_column or name not in left_out]
    return Source(_rows(file, path, url_column, read), file.metadata.num_rows, columns=columns)


def _rows(file: Any, path: Path, url_column: str, columns: Sequence[str]) -> Iterator[Row]:
    number = 0
    try:
        for batch in file.iter_batches(_BATCH_ROWS, columns=columns):
            # A column is chosen together with those below its name: `gps` with `gps.lat`.
            for fields in batch.select(columns).to_pylist():
                number += 1
                yield _row(number, fields, url_column)
    except (pa.ArrowException, OSError) as error:
        raise SourceError(f"{path}: cannot be read after row {number}") from error


def _row(number: int, fields: dict[str, Any], url_column: str) -> Row:
    url = fields.pop(url_column)
    if not isinstance(url, str | None):
        return Row(number, "", None, f"the {url_column} is not a text")
    try:
        values = {name: _plain(value) for name, value in fields.items()}
    except TypeError as error:
        return Row(number, url or "", None, str(error))
    present = {name: value for name, value in values.items() if value is not None}
    return Row(number, (url or "").strip(), present or None)


def _plain(value: Any) -> Any:
    """A value as JSON has it. A time without a zone is one of UTC; NaN is no value."""
    if isinstance(value, datetime):
        return (value if value.tzinfo else value.replace(tzinfo=UTC)).isoformat()
    if isinstance(value, date):
        return value.isoformat()
    if isinstance(value, Decimal):
        return float(value)
    if isinstance(value, float):
        return value if math.isfinite(value) else None
    if isinstance(value, list):
        return [_plain(one) for one in value]
    if value is None or isinstance(value, str | int):
        return value
    raise TypeError(f"metadata cannot hold a {type(value).__name__}")
