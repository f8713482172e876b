"""Parquet files as databases and pandas write them."""

from datetime import date, datetime, time, timedelta
from decimal import Decimal
from pathlib import Path
from typing import Any

import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from image_search.cli.tables.rows import SourceError
from tests.cli.index.test_tables import read

_A = "http://a/1.jpg"
_MOMENT = datetime(2024, 5, 1, 10, 0, 0, 123456)
_OF_TYPES: dict[str, tuple[Any, Any]] = {
    "decimal": (pa.array([Decimal("12.50")]), 12.5),
    "whole decimal": (pa.array([Decimal(12)], pa.decimal128(38, 0)), 12),
    "date": (pa.array([date(2024, 5, 1)]), "2024-05-01"),
    "time": (pa.array([time(10, 30)]), "10:30:00"),
    "int32": (pa.array([7], pa.int32()), 7),
    "uint8": (pa.array([7], pa.uint8()), 7),
    "float32": (pa.array([12.99], pa.float32()), 12.99),
    "nan": (pa.array([float("nan")], pa.float32()), None),
    "dictionary": (pa.array(["x"]).dictionary_encode(), "x"),
    "large": (pa.array(["x"], pa.large_string()), "x"),
    "texts": (pa.array([["a", "b"]]), ["a", "b"]),
    "nanoseconds": (
        pa.array([1714557600123456789], pa.timestamp("ns")),
        "2024-05-01T10:00:00.123456+00:00",
    ),
    "zone": (
        pa.array([_MOMENT], pa.timestamp("us", "Europe/Berlin")),
        "2024-05-01T12:00:00.123456+02:00",
    ),
    "null": (pa.nulls(1), None),
}


def test_values_of_a_parquet_file(tmp_path: Path) -> None:
    columns = {name: array for name, (array, _) in _OF_TYPES.items()}
    pq.write_table(
        pa.table({"url": pa.array([_A]).dictionary_encode(), **columns}), tmp_path / "a.parquet"
    )
    wanted = {name: value for name, (_, value) in _OF_TYPES.items() if value is not None}
    own = read(tmp_path / "a.parquet")[_A]
    assert own == wanted
    assert [type(own[name]) for name in wanted] == [type(one) for one in wanted.values()]


@pytest.mark.parametrize(
    "array",
    [
        pa.array([b"x"]),
        pa.array([[1, 2]]),
        pa.array([timedelta(1)]),
        pa.array([{"bytes": b"x", "path": "p"}]),
        pa.array([[("a", 1)]], pa.map_(pa.string(), pa.int64())),
    ],
)
def test_a_column_that_metadata_cannot_hold_is_told_before_a_row_is_sent(
    tmp_path: Path, array: Any
) -> None:
    path = tmp_path / "a.parquet"
    pq.write_table(pa.table({"url": [_A], "an image": array, "n": [1]}), path)
    with pytest.raises(SourceError, match=r"'an image' holds .* \(--leave-out 'an image'\)$"):
        read(path)
    assert read(path, leave_out=["an image"]) == {_A: {"n": 1}}
    pq.write_table(pa.table({"url": array}), path)
    with pytest.raises(SourceError, match=r"the column 'url' holds .*, not URLs"):
        read(path)
