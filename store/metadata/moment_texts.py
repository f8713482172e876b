"""Moments compared as the texts that they are shown as, once their key is one of strings.

The texts are put in order here, and the engine compares moments, of which there may be an index:
converting a million of them to text takes it half a second.
"""

from bisect import bisect_left
from collections.abc import Iterable
from datetime import UTC, datetime, timedelta

from store.metadata.values import format_timestamp, literal, parse_time

_START = datetime(1, 1, 1, tzinfo=UTC)
_SECONDS = range(
    (datetime(9999, 12, 31, 23, 59, 59, tzinfo=UTC) - _START) // timedelta(seconds=1) + 1
)
_MICROSECONDS = range(1, 1_000_000)
_TO_SECONDS = len("2024-05-01T10:00:00")


def sql_text(name: str) -> str:
    """SQL for the texts of a column of moments, as `store.metadata.values.format_timestamp` writes.

    The engine's own text differs in one thing: it writes whole milliseconds with three digits. (Its
    SQL knows no CASE, and of a replacement `\\1000` it would take the group of that number.)
    """
    six = f"regexp_replace(CAST({name} AS string), '([.][0-9]{{3}})Z$', '\\1x00Z')"
    return f"replace({six}, 'x', '0')"


def sql_among(name: str, texts: Iterable[str]) -> str:
    """SQL for whether the text of a moment is one of these."""
    read = ((parse_time(text), text) for text in texts)
    moments = [moment for moment, text in read if moment and format_timestamp(moment) == text]
    return f"{name} IN ({', '.join(map(literal, moments))})" if moments else "false"


def sql_before(name: str, text: str) -> str:
    """SQL for whether the text of a moment stands before this one, by code point.

    Up to its seconds the text has one length, and the order of the moments. Then, within a second,
    the fractions come in their order, and the whole second, whose text goes on with a Z, last.
    """
    head, rest = text[:_TO_SECONDS], text[_TO_SECONDS:]
    second = bisect_left(_SECONDS, head, key=_text_of)
    if second == len(_SECONDS):
        return f"{name} IS NOT NULL"
    moment = _START + timedelta(seconds=second)
    parts = [f"{name} < {literal(moment)}"]
    if _text_of(second) == head:
        fractions = bisect_left(_MICROSECONDS, rest, key=lambda fraction: f".{fraction:06}Z")
        last = moment + timedelta(microseconds=fractions)
        parts.append(f"({name} > {literal(moment)} AND {name} <= {literal(last)})")
        if rest > "Z":
            parts.append(f"{name} = {literal(moment)}")
    return f"({' OR '.join(parts)})"


def _text_of(second: int) -> str:
    return format_timestamp(_START + timedelta(seconds=second))[:_TO_SECONDS]
