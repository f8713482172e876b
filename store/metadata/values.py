"""One metadata value: which type it is, whether a column's type takes it, and how SQL writes it.

The literals here are the only place where a client's value becomes part of a predicate.
"""

import math
import re
from collections.abc import Iterable
from datetime import UTC, datetime, timedelta
from enum import StrEnum
from typing import Any

from store.errors import MetadataConflictError, MetadataTypeError, shown

INT64_MIN, INT64_MAX = -(2**63), 2**63 - 1

ColumnValue = str | int | float | bool | datetime | list[str]

_EPOCH = datetime(1970, 1, 1, tzinfo=UTC)
_RFC3339 = re.compile(
    r"([0-9]{4}-[0-9]{2}-[0-9]{2})[Tt]([0-9]{2}:[0-9]{2}:[0-9]{2})"
    r"(?:\.([0-9]+))?([Zz]|[+-][0-9]{2}:[0-9]{2})"
)
_DATE = re.compile(r"[0-9]{4}-[0-9]{2}-[0-9]{2}")
_EXIF = re.compile(r"([0-9]{4}):([0-9]{2}):([0-9]{2}) ([0-9]{2}:[0-9]{2}:[0-9]{2})")


class ColumnType(StrEnum):
    """The types of a metadata column; the value is its name in messages."""

    STRING = "a string"
    INTEGER = "an integer"
    FLOAT = "a float"
    BOOLEAN = "a boolean"
    TIMESTAMP = "a timestamp"
    STRINGS = "a list of strings"

    @property
    def label(self) -> str:
        """The name without its article."""
        return self.removeprefix("a ").removeprefix("an ")


def parse_timestamp(text: str) -> datetime | None:
    """Reads RFC 3339 text with a zone, to the microsecond (further digits are cut off).

    Returns:
        The moment in UTC, or None where the text is no such timestamp, a leap second, or
        outside of the years 1 to 9999.
    """
    match = _RFC3339.fullmatch(text)
    if match is None:
        return None
    date, time, fraction, zone = match.groups()
    try:
        moment = datetime.fromisoformat(f"{date}T{time}.{(fraction or '')[:6]:0<6}{zone.upper()}")
        return moment.astimezone(UTC)
    except (ValueError, OverflowError):
        return None


def parse_time(text: str) -> datetime | None:
    """Reads the forms of a time that metadata may have; what names no zone is in UTC.

    They are RFC 3339, that without its zone, a date alone (its first moment), and the form of EXIF
    2.32 (section 4.6.5, DateTime), ``2024:05:01 10:00:00``.

    Returns:
        The moment in UTC, or None where the text is no time; as of `parse_timestamp`.
    """
    if not text[:4].isdecimal():  # almost every text: it need not be looked at further
        return None
    if _DATE.fullmatch(text):
        return parse_timestamp(f"{text}T00:00:00Z")
    if exif := _EXIF.fullmatch(text):
        year, month, day, time = exif.groups()
        return parse_timestamp(f"{year}-{month}-{day}T{time}Z")
    return parse_timestamp(text) or parse_timestamp(f"{text}Z")


def format_timestamp(moment: datetime) -> str:
    """Writes a moment in UTC as RFC 3339 text, with a fraction only where there is one."""
    return moment.astimezone(UTC).replace(tzinfo=None).isoformat() + "Z"


def is_unicode(text: str) -> bool:
    r"""Whether UTF-8 can hold the text; JSON's ``"\ud800"`` is a string that it cannot."""
    try:
        text.encode()
    except UnicodeEncodeError:
        return False
    return True


def typed(key: str, value: Any, column: ColumnType | None = None) -> tuple[ColumnType, ColumnValue]:
    """Finds the type of a value and brings it into the form its column holds.

    The first value of a key decides its column's type. A string that is a time (`parse_time`) is a
    timestamp, unless its column holds strings. An integer goes into a column of floats where a
    float holds it exactly. An empty list is a list of strings, an empty string a string.

    Args:
        key: the user's key, for the messages.
        value: anything JSON can say, but null.
        column: the type of the key's column, None for a new key.

    Raises:
        MetadataTypeError: no column can hold the value.
        MetadataConflictError: this column cannot.
    """
    if column is ColumnType.STRING and isinstance(value, str):
        return column, _text(key, value)
    if column is ColumnType.FLOAT and isinstance(value, int) and not isinstance(value, bool):
        return column, _exact_float(key, value)
    kind, converted = _inferred(key, value)
    if column not in (None, kind):
        raise MetadataConflictError(key, column, kind)
    return kind, converted


WIDER = {ColumnType.INTEGER: ColumnType.FLOAT, ColumnType.TIMESTAMP: ColumnType.STRING}
"""What a column's type becomes with the first value of the other one."""


def fitting(
    key: str, value: Any, column: ColumnType | None = None
) -> tuple[ColumnType, ColumnValue]:
    """As `typed`, for a value to be stored: its type is that which the column is to have.

    A column of integers takes a float that is a whole number as an integer (JavaScript writes 12
    for 12.0, others the other way round), and becomes one of floats with any other. A column of
    timestamps becomes one of strings with the first text that is no time.
    """
    if column is ColumnType.INTEGER and isinstance(value, float) and value.is_integer():
        whole = int(value)
        if INT64_MIN <= whole <= INT64_MAX:
            return column, whole
    kind, converted = typed(key, value, None if column in WIDER else column)
    if column is not None and kind not in (column, WIDER.get(column)):
        raise MetadataConflictError(key, column, kind)
    return kind, converted


def _inferred(key: str, value: Any) -> tuple[ColumnType, ColumnValue]:
    match value:
        case bool():
            return ColumnType.BOOLEAN, value
        case int() if INT64_MIN <= value <= INT64_MAX:
            return ColumnType.INTEGER, value
        case float() if math.isfinite(value):
            # -0.0 sorts below 0.0 in Arrow, so there is only one zero here.
            return ColumnType.FLOAT, value + 0.0
        case str():
            moment = parse_time(value)
            if moment is not None:
                return ColumnType.TIMESTAMP, moment
            return ColumnType.STRING, _text(key, value)
        case list() if all(isinstance(element, str) for element in value):
            _text(key, "".join(value))
            return ColumnType.STRINGS, list(value)
    raise MetadataTypeError(f"metadata key {shown(key)} was given {_refused(value)}")


def _refused(value: Any) -> str:
    """What a value is that no column can hold."""
    match value:
        case None:
            return "null, which cannot be stored"
        case int():
            return "an integer of more than 64 bits"
        case float():
            return f"{value}; only finite numbers can be stored"
        case list():
            return "a list with something that is not a string; only lists of strings are supported"
        case dict():
            return "an object"
    return f"a {type(value).__name__}, which cannot be stored"


def _text(key: str, value: str) -> str:
    if value.isascii() or is_unicode(value):
        return value
    raise MetadataTypeError(f"metadata key {shown(key)} was given text that is not valid Unicode")


def _exact_float(key: str, value: int) -> float:
    try:
        converted = float(value)
    except OverflowError:
        converted = math.inf
    if converted == value:
        return converted
    raise MetadataConflictError(
        key, ColumnType.FLOAT, "an integer that no float is exactly equal to"
    )


def literal(value: ColumnValue) -> str:
    r"""Writes a value as an SQL literal of its column's type.

    Lance's SQL dialect knows no escape but the doubled quote: a backslash stands for itself.
    """
    match value:
        case bool():
            return "true" if value else "false"
        case int():
            # The parser reads the digits before the sign, and 2**63 is too large for it.
            return f"({INT64_MIN + 1} - 1)" if value == INT64_MIN else str(value)
        case float():
            return repr(value)
        case datetime():
            return f"to_timestamp_micros({(value - _EPOCH) // timedelta(microseconds=1)})"
        case list():
            return f"make_array({', '.join(literal(element) for element in value)})"
    return "'" + value.replace("'", "''") + "'"


def text_in(column: str, texts: Iterable[str]) -> str:
    """The predicate of the rows whose text in a column is one of these; there has to be one."""
    return f"{column} IN ({', '.join(map(literal, texts))})"
