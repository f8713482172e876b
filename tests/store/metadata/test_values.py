"""Types of metadata values."""

import math
from datetime import UTC, datetime, timedelta, timezone
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from store.errors import MetadataConflictError, MetadataTypeError
from store.metadata.values import ColumnType, format_timestamp, parse_timestamp, typed

T = ColumnType


@pytest.mark.parametrize(
    ("value", "kind"),
    [
        ("a", T.STRING),
        ("", T.STRING),
        ("2024-05-1", T.STRING),
        ("2024-02-30", T.STRING),
        ("2024-05-01T12:00", T.STRING),
        ("2024:05:01", T.STRING),
        ("2024:05:01T12:00:00", T.STRING),
        ("0000:00:00 00:00:00", T.STRING),
        (" 2024-05-01T12:00:00Z", T.STRING),
        ("2024-05-01T12:00:00Z\n", T.STRING),
        ("2024-05-01 12:00:00Z", T.STRING),
        ("2024-13-01T12:00:00Z", T.STRING),
        ("2016-12-31T23:59:60Z", T.STRING),
        ("0000-01-01T00:00:00Z", T.STRING),
        ("0001-01-01T00:00:00+01:00", T.STRING),
        ("2024-05-01T12:00:00+25:00", T.STRING),
        ("2024-05-01T12:00:00+0200", T.STRING),
        ("٢٠٢٤-05-01T12:00:00Z", T.STRING),
        ("2024-05-01T12:00:00Z", T.TIMESTAMP),
        ("2024-05-01t12:00:00.5z", T.TIMESTAMP),
        ("2024-05-01T12:00:00-23:59", T.TIMESTAMP),
        ("2024-05-01", T.TIMESTAMP),
        ("2024-05-01T12:00:00", T.TIMESTAMP),
        ("2024-05-01T12:00:00.25", T.TIMESTAMP),
        ("2024:05:01 12:00:00", T.TIMESTAMP),
        (1, T.INTEGER),
        (1.0, T.FLOAT),
        (True, T.BOOLEAN),
        ([], T.STRINGS),
        (["2024-05-01T12:00:00Z"], T.STRINGS),
    ],
)
def test_the_first_value_decides_the_type(value: Any, kind: ColumnType) -> None:
    assert typed("key", value)[0] is kind


@pytest.mark.parametrize(
    "value",
    [math.nan, math.inf, -math.inf, 2**63, -(2**63) - 1, {}, {"a": 1}, ["a", 1], [None], [["a"]],
     "\ud800", ["\udfff"], b"bytes", object()],
)  # fmt: skip
def test_what_no_column_holds_is_refused_by_key(value: Any) -> None:
    with pytest.raises(MetadataTypeError, match="'the key'"):
        typed("the key", value)


@pytest.mark.parametrize(
    ("value", "column", "words"),
    [
        ("x", T.INTEGER, "holds an integer, not a string"),
        (True, T.INTEGER, "holds an integer, not a boolean"),
        (1, T.BOOLEAN, "holds a boolean, not an integer"),
        (1.0, T.INTEGER, "holds an integer, not a float"),
        (1.5, T.INTEGER, "holds an integer, not a float"),
        (True, T.FLOAT, "holds a float, not a boolean"),
        (2**53 + 1, T.FLOAT, "holds a float, not an integer that no float is exactly equal to"),
        (10**400, T.FLOAT, "holds a float, not an integer that no float is exactly equal to"),
        ("yesterday", T.TIMESTAMP, "holds a timestamp, not a string"),
        ("x", T.STRINGS, "holds a list of strings, not a string"),
        ([], T.STRING, "holds a string, not a list of strings"),
    ],
)
def test_a_conflict_names_key_and_both_types(value: Any, column: ColumnType, words: str) -> None:
    with pytest.raises(MetadataConflictError) as caught:
        typed("price", value, column)
    assert str(caught.value) == f"metadata key 'price' {words}"


def test_what_a_column_takes_beside_its_own_type() -> None:
    as_float = typed("key", 3, T.FLOAT)[1]
    assert isinstance(as_float, float)
    assert as_float == 3
    assert typed("key", 2**70, T.FLOAT) == (T.FLOAT, 2.0**70)
    moment = "2024-05-01T12:00:00Z"
    assert typed("key", moment, T.STRING) == (T.STRING, moment)
    assert math.copysign(1, typed("key", -0.0)[1]) == 1  # type: ignore[arg-type] # it is a float


@given(
    st.datetimes(min_value=datetime(2, 1, 1), max_value=datetime(9998, 1, 1)),
    st.integers(-1439, 1439),
)
def test_timestamps_come_back_as_the_same_moment(naive: datetime, minutes: int) -> None:
    moment = naive.replace(tzinfo=timezone(timedelta(minutes=minutes)))
    read = parse_timestamp(moment.isoformat())
    assert read == moment
    assert read is not None
    assert datetime.fromisoformat(format_timestamp(read)) == moment


def test_timestamps_are_cut_to_microseconds() -> None:
    read = parse_timestamp("2024-05-01T12:00:00.123456999Z")
    assert read == datetime(2024, 5, 1, 12, 0, 0, 123456, tzinfo=UTC)
    assert format_timestamp(read) == "2024-05-01T12:00:00.123456Z"
    assert format_timestamp(datetime(9, 5, 1, tzinfo=UTC)) == "0009-05-01T00:00:00Z"
