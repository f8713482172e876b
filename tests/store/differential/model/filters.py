"""The filter language said a second time, over plain dictionaries: what the store must agree with.

It shares no code with the store: numbers, strings and lists compare as Python's do, and moments as
`datetime`. A row is a dictionary of the values that `tests.store.differential.model.values` made.
"""

import operator
from collections.abc import Callable, Mapping
from typing import Any

from store.errors import FilterError, UnknownKeyError
from tests.store.differential.model.values import Refused, as_operand

ORDER: dict[str, Callable[[Any, Any], Any]] = {
    "$lt": operator.lt,
    "$lte": operator.le,
    "$gt": operator.gt,
    "$gte": operator.ge,
}
TEXTS: dict[str, tuple[tuple[str, ...], Callable[[str, str], bool]]] = {
    "$starts": (("string",), lambda text, part: text.startswith(part)),
    "$istarts": (("string",), lambda text, part: text.startswith(part)),
    "$ieq": (("string", "list"), operator.eq),
    "$icontains": (("string", "list"), operator.contains),
}
"""What keys the operators on texts are for, and what they hold; `$i...` of lower-case letters."""
NEGATED = {"$ne": "$eq", "$nin": "$in"}
Row = Mapping[str, Any]
Columns = Mapping[str, str]


def matches(row: Row, node: Any, columns: Columns) -> bool:
    """Whether a row matches.

    Raises:
        Refused: the filter is not in the language or does not fit the columns.
    """
    # As a list: a generator would leave out the checks behind the first entry that does not hold.
    held = [_entry(row, key, operand, columns) for key, operand in _object(node).items()]
    return all(held)


def _entry(row: Row, key: str, operand: Any, columns: Columns) -> bool:
    if key == "$not":
        return not matches(row, operand, columns)
    if key in ("$and", "$or"):
        if not isinstance(operand, list) or not operand:
            raise Refused(FilterError)
        parts = [matches(row, each, columns) for each in operand]
        return all(parts) if key == "$and" else any(parts)
    if key.startswith("$"):
        raise Refused(FilterError)
    if key not in columns:
        raise Refused(UnknownKeyError)
    if isinstance(operand, Mapping):
        return _condition(row.get(key), operand, columns[key])
    return _holds(row.get(key), "$eq", operand, columns[key])


def _condition(value: Any, operators: Any, kind: str) -> bool:
    if not _object(operators):
        raise Refused(FilterError)
    held = [_holds(value, name, operand, kind) for name, operand in operators.items()]
    return all(held)


def _holds(value: Any, name: str, operand: Any, kind: str) -> bool:
    if name in NEGATED:
        return not _holds(value, NEGATED[name], operand, kind)
    if name == "$not":
        return not _condition(value, operand, kind)
    match name:
        case "$eq":
            return _equal(value, operand, kind)
        case "$in" if isinstance(operand, list):
            held = [_equal(value, each, kind) for each in operand]
            return any(held)
        case "$exists" if isinstance(operand, bool):
            return (value is not None) is operand
    return _compared(value, name, operand, kind)


def _compared(value: Any, name: str, operand: Any, kind: str) -> bool:
    if name == "$contains" and isinstance(operand, str) and kind in ("string", "list"):
        as_operand(operand, "string")
        return value is not None and operand in value
    if name in TEXTS and isinstance(operand, str) and kind in TEXTS[name][0]:
        as_operand(operand, "string")
        return value is not None and _text_holds(value, name, operand)
    if name in ORDER and operand is not None and kind not in ("boolean", "list"):
        other = as_operand(operand, kind)
        return value is not None and bool(ORDER[name](value, other))
    raise Refused(FilterError)


def _text_holds(value: Any, name: str, operand: str) -> bool:
    _, holds = TEXTS[name]
    if isinstance(value, list):  # a list holds an element, not a part of one
        return any(each.lower() == operand.lower() for each in value)
    return holds(value.lower(), operand.lower()) if name[1] == "i" else holds(value, operand)


def _equal(value: Any, operand: Any, kind: str) -> bool:
    if operand is None:
        return value is None
    if isinstance(value, Extreme):
        return False
    if kind == "list" and isinstance(operand, str):
        part = as_operand(operand, "string")  # refused also where there is nothing to compare
        return value is not None and part in value
    other = as_operand(operand, kind)
    return value is not None and bool(value == other)


class Extreme:
    """A value that no filter names: below all others, or above them; no text is below the empty."""

    def __init__(self, *, above: bool) -> None:
        self.above = above

    def __lt__(self, other: Any) -> bool:
        return not self.above and other != ""

    __le__ = __lt__

    def __gt__(self, _: Any) -> bool:
        return self.above

    def __ge__(self, other: Any) -> bool:
        return self.above or other == ""

    def __contains__(self, part: str) -> bool:
        return part == ""

    startswith = __contains__

    def lower(self) -> "Extreme":
        return self


def is_broad(node: Any, columns: Columns) -> bool:
    """Whether a filter takes images that have nothing of what it names."""
    low, high = (dict.fromkeys(columns, Extreme(above=above)) for above in (False, True))
    return matches({}, node, columns) or all(matches(row, node, columns) for row in (low, high))


def _object(node: Any) -> Mapping[str, Any]:
    if not isinstance(node, Mapping):
        raise Refused(FilterError)
    return node
