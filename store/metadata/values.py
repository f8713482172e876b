"""One metadata value: which type it is, and whether a column's type takes it."""

import math
import re
from datetime import UTC, datetime
from enum import StrEnum
from typing import Any

from store.errors import MetadataConflictError, MetadataTypeError, shown
from store.schemas import MetadataValue

INT64_MIN, INT64_MAX = -(2**63), 2**63 - 1

ColumnValue = str | int | float | bool | datetime | list[str]

_RFC3339 = re.compile(
    r"([0-9]{4}-[0-9]{2}-[0-9]{2})[Tt]([0-9]{2}:[0-9]{2}:[0-9]{2})"
    r"(?:\.([0-9]+))?([Zz]|[+-][0-9]{2}:[0-9]{2})"
)


class ColumnType(StrEnum):
    """The types of a metadata column; the value is its name in messages."""

    STRING = "a string"
    INTEGER = "an integer"
    FLOAT = "a float"
    BOOLEAN = "a boolean"
    TIMESTAMP = "a timestamp"
    STRINGS = "a list of strings"


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

    The first value of a key decides its column's type. A string that is RFC 3339 with a zone
    is a timestamp, unless its column holds strings. An integer goes into a column of floats
    where a float holds it exactly. An empty list is a list of strings, an empty string a string.

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


def _inferred(key: str, value: Any) -> tuple[ColumnType, ColumnValue]:
    match value:
        case bool():
            return ColumnType.BOOLEAN, value
        case int():
            return ColumnType.INTEGER, _int64(key, value)
        case float():
            return ColumnType.FLOAT, _finite(key, value)
        case str():
            moment = parse_timestamp(value)
            if moment is not None:
                return ColumnType.TIMESTAMP, moment
            return ColumnType.STRING, _text(key, value)
        case list():
            return ColumnType.STRINGS, [_element(key, element) for element in value]
        case dict():
            raise MetadataTypeError(
                f"metadata key {shown(key)} was given an object; nested objects are not supported"
            )
    raise MetadataTypeError(
        f"metadata key {shown(key)} was given {_named(value)}, which no column can hold"
    )


def _named(value: Any) -> str:
    return "null" if value is None else f"a {type(value).__name__}"


def _text(key: str, value: str) -> str:
    if is_unicode(value):
        return value
    raise MetadataTypeError(f"metadata key {shown(key)} was given text that is not valid Unicode")


def _int64(key: str, value: int) -> int:
    if INT64_MIN <= value <= INT64_MAX:
        return value
    raise MetadataTypeError(f"metadata key {shown(key)} was given an integer of more than 64 bits")


def _finite(key: str, value: float) -> float:
    if math.isfinite(value):
        return value + 0.0  # -0.0 sorts below 0.0 in Arrow, so there is only one zero here
    raise MetadataTypeError(
        f"metadata key {shown(key)} was given {value}; only finite numbers can be held"
    )


def _element(key: str, element: Any) -> str:
    if isinstance(element, str):
        return _text(key, element)
    raise MetadataTypeError(
        f"metadata key {shown(key)} was given a list with something that is not a string;"
        " only lists of strings are supported"
    )


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


def plain(value: Any) -> MetadataValue:
    """Turns a value read from a column back into what JSON can say."""
    if isinstance(value, datetime):
        return format_timestamp(value)
    result: MetadataValue = value
    return result
