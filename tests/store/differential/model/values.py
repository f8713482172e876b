"""What a metadata value is, said a second time: its type, what a column takes, what comes back."""

import math
import re
from datetime import UTC, datetime
from fractions import Fraction
from typing import Any

from store.errors import (
    FilterError,
    MetadataConflictError,
    MetadataTypeError,
    StoreError,
)

_SECONDS = re.compile(r"\d{4}-\d\d-\d\d[Tt]\d\d:\d\d:\d\d", re.ASCII)
_REST = re.compile(r"(?:\.(\d+))?(?:[zZ]|([+-])(\d\d):(\d\d))", re.ASCII)


WIDER = {"integer": "float", "timestamp": "string"}


class Refused(Exception):  # noqa: N818 - what the model says, not a fault of it
    """The model refuses; the store has to raise exactly this error."""

    def __init__(self, error: type[StoreError]) -> None:
        super().__init__(error.__name__)
        self.error = error


class Moment(datetime):
    """A moment, and the text by which it was told."""

    sent: str

    @classmethod
    def of(cls, moment: datetime, sent: str) -> "Moment":
        made = cls.fromtimestamp(0, UTC) + (moment - datetime.fromtimestamp(0, UTC))
        made.sent = sent
        return made


def as_time(text: str) -> datetime | None:
    """The moment that any form of a time tells; in UTC where it names no zone."""
    if re.fullmatch(r"\d{4}-\d\d-\d\d", text, re.ASCII):
        return as_moment(f"{text}T00:00:00Z")
    if re.fullmatch(r"\d{4}:\d\d:\d\d \d\d:\d\d:\d\d", text, re.ASCII):
        return as_moment(f"{text[:10].replace(':', '-')}T{text[11:]}Z")
    return as_moment(text) or as_moment(text + "Z")


def as_moment(text: str) -> datetime | None:
    """The moment that RFC 3339 text with a zone tells, to the microsecond."""
    rest = _REST.fullmatch(text[19:])
    if not _SECONDS.fullmatch(text[:19]) or rest is None:
        return None
    fraction, sign, hours, minutes = rest.groups()
    zone = f"{sign}{hours}:{minutes}" if sign else "+00:00"
    try:
        there = datetime.strptime(text[:19].upper() + zone, "%Y-%m-%dT%H:%M:%S%z")
        if int(hours or 0) > 23 or int(minutes or 0) > 59:
            return None
        return there.replace(microsecond=int(f"{fraction or 0:0<6}"[:6])).astimezone(UTC)
    except (ValueError, OverflowError):
        return None


def as_value(value: Any, kind: str | None) -> tuple[str, Any]:
    """The type and the form in which a column of this type, or a new one, holds the value.

    Raises:
        Refused: it holds no such value.
    """
    if kind == "string" and isinstance(value, str):
        return kind, unicode(value)
    if kind == "float" and type(value) is int:
        return kind, _whole_float(value)
    found, held = _new(value)
    if kind not in (None, found):
        raise Refused(MetadataConflictError)
    return found, held


def as_stored(value: Any, kind: str | None) -> tuple[str, Any]:
    """As `as_value`, where the column becomes a wider one if that is what it takes."""
    if kind == "integer" and type(value) is float and value.is_integer() and _fits(int(value)):
        return kind, int(value)
    if (kind, type(value)) in {("integer", float), ("timestamp", str)}:
        return _new(value)
    return as_value(value, kind)


def widened(value: Any, kind: str) -> Any:
    """What a row holds of a value once its column has become one of this type."""
    if kind == "float" and type(value) is int:
        return float(value) if Fraction(float(value)) == value else value
    return value.sent if kind == "string" and isinstance(value, Moment) else value


def _fits(value: int) -> bool:
    return -(2**63) <= value < 2**63


def as_operand(value: Any, kind: str) -> Any:
    """A filter's operand in the form in which its column holds values."""
    if kind == "integer" and type(value) in (int, float) and math.isfinite(value):
        return value
    try:
        return as_value(value, kind)[1]
    except Refused as refused:
        raise Refused(FilterError) from refused


def _new(value: Any) -> tuple[str, Any]:
    if isinstance(value, bool):
        return "boolean", value
    if isinstance(value, int) and _fits(value):
        return "integer", value
    if isinstance(value, float) and math.isfinite(value):
        return "float", abs(value) if value == 0 else value
    if isinstance(value, str):
        moment = as_time(value)
        if moment:
            return "timestamp", Moment.of(moment, value)
        return "string", unicode(value)
    if isinstance(value, list) and all(isinstance(each, str) for each in value):
        return "list", [unicode(each) for each in value]
    raise Refused(MetadataTypeError)


def _whole_float(value: int) -> float:
    if abs(value) > 2**1023 or Fraction(float(value)) != value:
        raise Refused(MetadataConflictError)
    return float(value)


def unicode(text: str) -> str:
    """Refuses what is no text."""
    if any("\ud800" <= character <= "\udfff" for character in text):
        raise Refused(MetadataTypeError)
    return text


def as_json_value(value: Any) -> Any:
    """A value as JSON says it."""
    if not isinstance(value, datetime):
        return value
    fraction = f".{value.microsecond:06}" if value.microsecond else ""
    moment = f"{value.month:02}-{value.day:02}T{value.hour:02}:{value.minute:02}:{value.second:02}"
    return f"{value.year:04}-{moment}{fraction}Z"
