"""Types of a CSV file's columns: those that the table has, else what all values of a column fit.

A column is numbers only where every value is written as a program writes numbers. What is a number
by chance stays a text: `007`, `+49`, `1e5`. In files of countries with decimal commas, `12,50` and
`1.234,50` are numbers too.
"""

import re
from collections.abc import Callable, Mapping
from typing import Any

from image_search.moments import moment

_INTEGER = re.compile(r"-?(0|[1-9]\d{0,18})", re.ASCII)
# An exponent without a sign or a point before it is a code: programs write 1e-07 and 1.5e+20.
_FLOAT = re.compile(
    r"-?(?:(?:0|[1-9]\d*)(?:\.\d+)?|\.\d+)(?:(?<=\d)[eE][+-]\d+)?|-?(?:0|[1-9]\d*)\.\d+[eE]\d+",
    re.ASCII,
)
_COMMA = re.compile(r"-?(?:(?:0|[1-9]\d*)(?:,\d+)?|[1-9]\d{0,2}(?:\.\d{3})+(?:,\d+)?)", re.ASCII)
_ANY_INTEGER = re.compile(r"[+-]?\d{1,30}", re.ASCII)
_ANY_FLOAT = re.compile(r"[+-]?(?:\d+\.?\d*|\.\d+)(?:[eE][+-]?\d+)?", re.ASCII)
_TIME = re.compile(r"\d{4}-\d\d-\d\d[Tt ]\d\d:\d\d:\d\d(\.\d+)?([Zz]|[+-]\d\d:\d\d)", re.ASCII)
_BOOLEANS = {"true": True, "false": False}
_ANY_BOOLEANS = {
    **_BOOLEANS,
    **dict.fromkeys(("yes", "y", "t", "on", "1"), True),
    **dict.fromkeys(("no", "n", "f", "off", "0"), False),
}
"""How spreadsheets and databases write them: read so where the table has a key of booleans."""
_MOST = 2**63
_MOST_EXACT = 2**53
"""Of whole numbers that a float can be; longer ones are codes, and would lose their last digits."""


def _is_integer(text: str) -> bool:
    return _INTEGER.fullmatch(text) is not None and -_MOST <= int(text) < _MOST


def _is_float(text: str) -> bool:
    if _FLOAT.fullmatch(text) is None or abs(float(text)) == float("inf"):
        return False
    return not text.lstrip("-").isdigit() or abs(int(text)) <= _MOST_EXACT


def _is_time(text: str) -> bool:
    if _TIME.fullmatch(text) is None:
        return False
    try:
        moment(text.upper())
    except ValueError:
        return False
    return True


def _is_boolean(text: str) -> bool:
    return text.lower() in _BOOLEANS


def _boolean(text: str) -> bool:
    return _BOOLEANS[text.lower()]


def _is_comma(text: str) -> bool:
    return _COMMA.fullmatch(text) is not None and _is_float(_with_point(text))


def _with_point(text: str) -> str:
    return text.replace(".", "").replace(",", ".")


def _of_comma(text: str) -> float:
    return float(_with_point(text))


_DECIMAL_COMMA = "decimal comma"
_KINDS: Mapping[str, tuple[Callable[[str], bool], Callable[[str], Any]]] = {
    "integer": (_is_integer, int),
    "float": (_is_float, float),
    _DECIMAL_COMMA: (_is_comma, _of_comma),
    "boolean": (_is_boolean, _boolean),
    "time": (_is_time, str),
}


class ColumnType:
    """Type of a CSV column: the first kind that all of its values are of.

    Args:
        commas: whether numbers may have a decimal comma.
    """

    def __init__(self, *, commas: bool = False) -> None:
        self._left = [kind for kind in _KINDS if commas or kind != _DECIMAL_COMMA]

    @property
    def has_commas(self) -> bool:
        """Whether its values are numbers with decimal commas."""
        return self._left[:1] == [_DECIMAL_COMMA]

    def see(self, text: str) -> None:
        """Rule out the kinds that a value is not of; an empty one has none."""
        if text and self._left:
            self._left = [kind for kind in self._left if _KINDS[kind][0](text)]

    def value(self, text: str) -> Any:
        """Convert a text that `see` was given."""
        return _KINDS[self._left[0]][1](text) if self._left else text


def value_in(kind: str, text: str, column: ColumnType | None = None) -> Any:
    """A text as a value of a type that the table has; as it is where it can be none.

    Args:
        kind: the type, as the service names it.
        text: of a cell.
        column: what its column seems to be, which tells how its numbers are written.
    """
    if kind in ("integer", "float") and column is not None and column.has_commas:
        return column.value(text)
    if kind in ("integer", "float") and _ANY_FLOAT.fullmatch(text):
        whole = kind == "integer" and _ANY_INTEGER.fullmatch(text) is not None
        number: int | float = int(text) if whole else float(text)
        return number if -_MOST <= number < _MOST else text
    return _ANY_BOOLEANS.get(text.lower(), text) if kind == "boolean" else text
