"""Conditions on one column as SQL that is never NULL.

SQL's comparisons with NULL are neither true nor false, and ``NOT`` keeps it so; the filter
language knows only true and false. So every condition here says what it means for a row without
a value: only "is missing" is true of it. An operator that a column's type lacks, or an operand that
is not of it, is a FilterError.
"""

import math
from collections.abc import Callable, Sequence
from typing import Any

from store.errors import FilterError, MetadataError, shown
from store.metadata.columns import Column
from store.metadata.values import (
    INT64_MAX,
    INT64_MIN,
    ColumnType,
    ColumnValue,
    literal,
    parse_timestamp,
    typed,
)

ORDER = {"$lt": "<", "$lte": "<=", "$gt": ">", "$gte": ">="}
_ORDERED = (ColumnType.STRING, ColumnType.INTEGER, ColumnType.FLOAT, ColumnType.TIMESTAMP)
NEVER = "false"

# `column < x` for whole numbers, where x may have a fraction, is `column <= ceil(x) - 1`.
_WHOLE_BOUNDS: dict[str, tuple[str, Callable[[float], int]]] = {
    "$lt": ("<=", lambda x: math.ceil(x) - 1),
    "$lte": ("<=", math.floor),
    "$gt": (">=", lambda x: math.floor(x) + 1),
    "$gte": (">=", math.ceil),
}


def missing(column: Column) -> str:
    """The row has no value."""
    return f"{column.name} IS NULL"


def present(column: Column, condition: str) -> str:
    """The row has a value and the condition holds for it."""
    return f"({column.name} IS NOT NULL AND {condition})"


def among(column: Column, operands: Sequence[Any]) -> str:
    """The value equals one of the operands; a null among them stands for "no value".

    A list of strings equals a string that it holds, and a list that is the same in its order.
    """
    parts = [missing(column)] if any(operand is None for operand in operands) else []
    given = [operand for operand in operands if operand is not None]
    if column.type is ColumnType.STRINGS:
        parts += _lists_among(column, given)
    else:
        values = [_operand(column, operand) for operand in given if _can_equal(column, operand)]
        if values:
            listed = ", ".join(literal(value) for value in values)
            parts.append(present(column, f"{column.name} IN ({listed})"))
    return f"({' OR '.join(parts)})" if parts else NEVER


def _lists_among(column: Column, operands: Sequence[Any]) -> list[str]:
    elements = [_string(column, operand) for operand in operands if isinstance(operand, str)]
    wholes = [_operand(column, operand) for operand in operands if not isinstance(operand, str)]
    parts = [present(column, f"{column.name} = {literal(whole)}") for whole in wholes]
    if elements:
        has_any = f"array_has_any({column.name}, make_array({', '.join(elements)}))"
        parts.append(present(column, has_any))
    return parts


def _can_equal(column: Column, operand: Any) -> bool:
    """False for a number that is no whole number, or too large for one, on a column of integers."""
    if column.type is not ColumnType.INTEGER or not _is_number(operand):
        return True
    return _is_finite(column, operand) and operand == int(operand) and _fits(int(operand))


def ordered(column: Column, operator: str, operand: Any) -> str:
    """The value stands in this order to the operand; strings are ordered by code point."""
    if column.type not in _ORDERED:
        raise FilterError(
            f"{operator} does not work on metadata key {shown(column.key)}: it holds {column.type}"
        )
    if column.type is ColumnType.INTEGER and _is_number(operand):
        return _ordered_whole(column, operator, operand)
    value = _operand(column, operand)
    return present(column, f"{column.name} {ORDER[operator]} {literal(value)}")


def _ordered_whole(column: Column, operator: str, operand: float) -> str:
    _is_finite(column, operand)
    sign, bound_of = _WHOLE_BOUNDS[operator]
    bound = bound_of(operand)
    if _fits(bound):
        return present(column, f"{column.name} {sign} {literal(bound)}")
    return present(column, "true") if (bound > 0) == (sign == "<=") else NEVER


def contains(column: Column, operand: Any) -> str:
    """A text holds the operand as a part, or a list holds it as an element; case matters."""
    if column.type not in (ColumnType.STRING, ColumnType.STRINGS):
        raise FilterError(
            f"$contains does not work on metadata key {shown(column.key)}: it holds {column.type}"
        )
    if not isinstance(operand, str):
        raise FilterError(f"$contains on metadata key {shown(column.key)} needs a string")
    function = "contains" if column.type is ColumnType.STRING else "array_has"
    return present(column, f"{function}({column.name}, {_string(column, operand)})")


def _string(column: Column, operand: str) -> str:
    _, value = _checked(column.key, operand, ColumnType.STRING)
    return literal(value)


def _operand(column: Column, operand: Any) -> ColumnValue:
    if column.type is ColumnType.INTEGER and isinstance(operand, float):
        return int(operand)
    if column.type is ColumnType.TIMESTAMP and isinstance(operand, str):
        moment = parse_timestamp(operand)
        if moment is None:
            raise FilterError(
                f"metadata key {shown(column.key)} holds a timestamp;"
                " compare it with RFC 3339 text such as '2024-05-01T12:00:00Z'"
            )
    return _checked(column.key, operand, column.type)[1]


def _checked(key: str, operand: Any, column: ColumnType) -> tuple[ColumnType, ColumnValue]:
    try:
        return typed(key, operand, column)
    except MetadataError as error:
        raise FilterError(f"filter: {error}") from error


def _is_number(operand: Any) -> bool:
    return isinstance(operand, int | float) and not isinstance(operand, bool)


def _is_finite(column: Column, operand: float) -> bool:
    if isinstance(operand, int) or math.isfinite(operand):
        return True
    raise FilterError(f"filter: {operand} on metadata key {shown(column.key)} is not a number")


def _fits(value: int) -> bool:
    return INT64_MIN <= value <= INT64_MAX
