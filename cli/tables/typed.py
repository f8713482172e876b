"""The type of a CSV column, found in all of its values."""

import re
from collections.abc import Callable, Mapping
from datetime import datetime
from typing import Any

_INTEGER = re.compile(r"[+-]?(0|[1-9]\d{0,18})", re.ASCII)
_FLOAT = re.compile(r"[+-]?(0|[1-9]\d*)?(\.\d+)?([eE][+-]?\d+)?", re.ASCII)
_TIME = re.compile(r"\d{4}-\d\d-\d\d[Tt ]\d\d:\d\d:\d\d(\.\d+)?([Zz]|[+-]\d\d:\d\d)", re.ASCII)
_BOOLEANS = {"true": True, "false": False}
_MOST = 2**63


def _is_integer(text: str) -> bool:
    # With a leading zero it is a number for people only: a postal code, an article.
    return _INTEGER.fullmatch(text) is not None and -_MOST <= int(text) < _MOST


def _is_float(text: str) -> bool:
    match = _FLOAT.fullmatch(text)
    if match is None or not (match[1] or match[2]):
        return False
    return abs(float(text)) != float("inf")


def _is_time(text: str) -> bool:
    if _TIME.fullmatch(text) is None:
        return False
    try:
        datetime.fromisoformat(text.upper())
    except ValueError:
        return False
    return True


def _is_boolean(text: str) -> bool:
    return text.lower() in _BOOLEANS


_KINDS: Mapping[str, tuple[Callable[[str], bool], Callable[[str], Any]]] = {
    "integer": (_is_integer, int),
    "float": (_is_float, float),
    "boolean": (_is_boolean, lambda text: _BOOLEANS[text.lower()]),
    "time": (_is_time, str),
}


class ColumnType:
    """What every value of a column so far could be; the first kind that is left is its type."""

    def __init__(self) -> None:
        self._left = list(_KINDS)

    def see(self, text: str) -> None:
        """Take a value into account; an empty one is none."""
        if text and self._left:
            self._left = [kind for kind in self._left if _KINDS[kind][0](text)]

    def value(self, text: str) -> Any:
        """The value of a text that was seen."""
        return _KINDS[self._left[0]][1](text) if self._left else text
