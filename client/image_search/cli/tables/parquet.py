"""Rows of Parquet files, read as a stream."""

import math
import shlex
from collections.abc import Collection, Iterator, Sequence
from datetime import date, datetime, time, timezone
from decimal import Decimal
from pathlib import Path
from typing import Any

import pyarrow as pa
import pyarrow.parquet as pq

from image_search.cli.tables.exported import exported_source
from image_search.cli.tables.rows import Row, Source, SourceError, missing_column

_BATCH_ROWS = 1024


def parquet_source(
    path: Path, url_column: str, id_column: str | None = None, left_out: Collection[str] = ()
) -> Source:
    """Rows of a Parquet file, which may be an exported index.

    Args:
        path: of the file.
        url_column: of the pictures' urls.
        id_column: of their ids.
        left_out: columns that are not read.

    Raises:
        SourceError: it is not one, the column of the urls, or that of the ids, is missing, or one
            holds what metadata cannot.
    """
    if not path.stat().st_size:
        raise SourceError(f"{path}: the file is empty")
    try:
        if (exported := exported_source(path)) is not None:
            return exported
        file = pq.ParquetFile(path, pre_buffer=False)  # which would keep all of it
    except pa.ArrowException as error:
        raise SourceError(f"{path}: not a Parquet file") from error
    schema = file.schema_arrow
    if url_column not in schema.names:
        first = next(file.iter_batches(1), None)
        values = {} if first is None else dict(zip(schema.names, _firsts(first), strict=True))
        raise missing_column(path, url_column, schema.names, values)
    if id_column is not None and id_column not in schema.names:
        raise missing_column(path, id_column, schema.names)
    read = [name for name in schema.names if name == url_column or name not in left_out]
    _check_types(path, schema, url_column, read)
    columns = [name for name in schema.names if name != url_column]
    return Source(_rows(file, path, url_column, read), file.metadata.num_rows, columns=columns)


def _firsts(batch: Any) -> list[Any]:
    """The first value of each column that holds texts; None for the others."""
    return [
        column[0].as_py() if len(column) and pa.types.is_string(column.type) else None
        for column in batch.columns
    ]


def _check_types(path: Path, schema: Any, url_column: str, read: Sequence[str]) -> None:
    """Refuse columns that cannot be what they are to be, before a row of them is sent.

    Raises:
        SourceError: so it is.
    """
    for name in read:
        kind = schema.field(name).type
        if name == url_column and not (_is_text(kind) or pa.types.is_null(kind)):
            raise SourceError(f"{path}: the column {name!r} holds {kind}, not URLs")
        if not _can_be_metadata(kind):
            raise SourceError(
                f"{path}: the column {name!r} holds {kind}, which metadata cannot: leave it out"
                f" (--leave-out {shlex.quote(name)})"
            )


def _is_text(kind: Any) -> bool:
    if pa.types.is_dictionary(kind):
        return _is_text(kind.value_type)
    return bool(pa.types.is_string(kind) or pa.types.is_large_string(kind) or _is_view(kind))


def _is_view(kind: Any) -> bool:
    return bool(pa.types.is_string_view(kind))


def _can_be_metadata(kind: Any) -> bool:
    types = pa.types
    if types.is_dictionary(kind):
        return _can_be_metadata(kind.value_type)
    if types.is_struct(kind):
        return all(_can_be_metadata(field.type) for field in kind)
    if types.is_list(kind) or types.is_large_list(kind) or types.is_fixed_size_list(kind):
        return _is_text(kind.value_type) or types.is_null(kind.value_type)
    is_number = types.is_integer(kind) or types.is_floating(kind) or types.is_decimal(kind)
    is_time = types.is_timestamp(kind) or types.is_date(kind) or types.is_time(kind)
    others = types.is_boolean(kind) or types.is_null(kind) or _is_text(kind)
    return bool(is_number or is_time or others)


def _rows(file: Any, path: Path, url_column: str, columns: Sequence[str]) -> Iterator[Row]:
    number = 0
    try:
        for batch in file.iter_batches(_BATCH_ROWS, columns=columns):
            # A column is chosen together with those below its name: `gps` with `gps.lat`.
            for fields in _as_python_has_them(batch.select(columns)).to_pylist():
                number += 1
                yield _row(number, fields, url_column)
    except (pa.ArrowException, OSError) as error:
        raise SourceError(f"{path}: cannot be read after row {number}") from error


def _as_python_has_them(batch: Any) -> Any:
    """A batch without nanoseconds, and whose short floats are what was written: 12.99 is 12.99."""
    for place, field in enumerate(batch.schema):
        kind, column = field.type, batch.column(place)
        if pa.types.is_timestamp(kind) and kind.unit == "ns":
            values = column.cast(pa.timestamp("us", kind.tz), safe=False)
        elif pa.types.is_float32(kind):
            values = column.cast(pa.string()).cast(pa.float64())
        else:
            continue
        batch = batch.set_column(place, field.name, values)
    return batch


def _row(number: int, fields: dict[str, Any], url_column: str) -> Row:
    url = (fields.pop(url_column) or "").strip()
    values = {name: _plain(value) for name, value in fields.items()}
    present = {name: value for name, value in values.items() if value is not None}
    return Row(number, url, present or None)


def _plain(value: Any) -> Any:
    """A value as JSON has it. A time without a zone is one of UTC; NaN is no value."""
    if isinstance(value, datetime):
        value = value if value.tzinfo else value.replace(tzinfo=timezone.utc)
    if isinstance(value, date | time):
        return value.isoformat()
    if isinstance(value, Decimal | float):
        return _number(value) if math.isfinite(value) else None
    if isinstance(value, list):
        return [_plain(one) for one in value]
    if isinstance(value, dict):
        return {name: _plain(one) for name, one in value.items()}
    return value


def _number(value: Decimal | float) -> int | float:
    """A whole number where a decimal has no places: databases write their ids so."""
    if isinstance(value, float):
        return value
    exponent = value.as_tuple().exponent
    return int(value) if isinstance(exponent, int) and exponent >= 0 else float(value)
