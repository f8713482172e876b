"""The filter language said a second time, over plain dictionaries: what the store must agree with.

It shares no code with the store: numbers, strings and lists compare as Python's do, and moments
are read by `datetime.fromisoformat`.
"""

import operator
from collections.abc import Callable, Mapping
from datetime import datetime
from typing import Any

ORDER: dict[str, Callable[[Any, Any], Any]] = {
    "$lt": operator.lt,
    "$lte": operator.le,
    "$gt": operator.gt,
    "$gte": operator.ge,
    "$contains": operator.contains,
}
NEGATED = {"$ne": "$eq", "$nin": "$in"}


def matches(row: Mapping[str, Any], node: Mapping[str, Any], moments: frozenset[str]) -> bool:
    """Whether a row matches; `moments` are the keys that hold timestamps."""
    return all(_entry(row, key, operand, moments) for key, operand in node.items())


def _entry(row: Mapping[str, Any], key: str, operand: Any, moments: frozenset[str]) -> bool:
    if key == "$not":
        return not matches(row, operand, moments)
    if key == "$and":
        return all(matches(row, each, moments) for each in operand)
    if key == "$or":
        return any(matches(row, each, moments) for each in operand)
    value = _read(row.get(key), key in moments)
    if isinstance(operand, Mapping):
        return _condition(value, operand, key in moments)
    return _equal(value, _read(operand, key in moments))


def _condition(value: Any, operators: Mapping[str, Any], is_moment: bool) -> bool:
    return all(_holds(value, name, operand, is_moment) for name, operand in operators.items())


def _holds(value: Any, name: str, operand: Any, is_moment: bool) -> bool:
    if name in NEGATED:
        return not _holds(value, NEGATED[name], operand, is_moment)
    if name == "$not":
        return not _condition(value, operand, is_moment)
    if name == "$exists":
        return (value is not None) is operand
    listed = operand if name == "$in" else [operand]
    operands = [_read(each, is_moment) for each in listed]
    if name in ("$eq", "$in"):
        return any(_equal(value, each) for each in operands)
    return value is not None and bool(ORDER[name](value, operands[0]))


def _equal(value: Any, operand: Any) -> bool:
    if isinstance(value, list) and isinstance(operand, str):
        return operand in value
    return bool(value == operand)


def _read(value: Any, is_moment: bool) -> Any:
    return datetime.fromisoformat(value) if is_moment and isinstance(value, str) else value
