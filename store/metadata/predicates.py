"""Conditions on one metadata key as SQL that is never NULL.

SQL's comparisons with NULL are neither true nor false, and ``NOT`` keeps it so; the filter
language knows only true and false. So every condition here says what it means for a row without
a value: only "is missing" is true of it. An operator that a column's type lacks, or an operand that
is not of it, is a FilterError.

A key that has widened has several columns, and a row a value in one of them at most: a condition
holds if it holds for one of the columns.
"""

import math
from collections.abc import Callable, Sequence
from typing import Any

from store.errors import FilterError, MetadataError, shown
from store.metadata.columns import Column, Key
from store.metadata.moment_texts import sql_among, sql_before, sql_text
from store.metadata.values import (
    INT64_MAX,
    INT64_MIN,
    ColumnType,
    ColumnValue,
    literal,
    parse_time,
    typed,
)

ORDER = {"$lt": "<", "$lte": "<=", "$gt": ">", "$gte": ">="}
_ORDERED = (ColumnType.STRING, ColumnType.INTEGER, ColumnType.FLOAT, ColumnType.TIMESTAMP)
NEVER, ALWAYS = "false", "true"

# `column < x` for whole numbers, where x may have a fraction, is `column <= ceil(x) - 1`.
_WHOLE_BOUNDS: dict[str, tuple[str, Callable[[float], int]]] = {
    "$lt": ("<=", lambda x: math.ceil(x) - 1),
    "$lte": ("<=", math.floor),
    "$gt": (">=", lambda x: math.floor(x) + 1),
    "$gte": (">=", math.ceil),
}


def _is_text_of_moments(key: Key, column: Column) -> bool:
    """Whether a column has moments that are texts now, see `store.metadata.moment_texts`."""
    return key.type is ColumnType.STRING and column.type is ColumnType.TIMESTAMP


def _texts(key: Key, column: Column) -> Column:
    """SQL for the texts of moments as if it were a column."""
    text = sql_text(column.name)
    text = text if key.sent is None else f"coalesce({key.sent.name}, {text})"
    return Column(text, key.key, key.type)


def columns_of(key: Key) -> list[Column]:
    """The columns of a key, as ones of its own type."""
    return [_texts(key, each) if _is_text_of_moments(key, each) else each for each in key.columns]


def value_of(key: Key) -> str:
    """SQL for the value that a row has, of the key's type; NULL where it has none."""
    parts = [
        column.name if column.type is key.type else f"CAST({column.name} AS double)"
        for column in columns_of(key)
    ]
    return parts[0] if len(parts) == 1 else f"coalesce({', '.join(parts)})"


def missing(key: Key) -> str:
    """The row has no value."""
    return " AND ".join(f"{column.name} IS NULL" for column in key.columns) or ALWAYS


def present(column: Column, condition: str) -> str:
    """The row has a value here and the condition holds for it."""
    return f"({column.name} IS NOT NULL AND {condition})"


def among(key: Key, operands: Sequence[Any]) -> str:
    """The value equals one of the operands; a null among them stands for "no value".

    A list of strings equals a string that it holds, and a list that is the same in its order.
    """
    parts = [f"({missing(key)})"] if any(operand is None for operand in operands) else []
    given = [operand for operand in operands if operand is not None]
    for column in key.columns:
        if _is_text_of_moments(key, column):
            of_moment = sql_among(column.name, given)
            parts += _of_texts(key, column, of_moment, lambda sent: _among(sent, given))
        else:
            parts += _among(column, given)
    return any_of(parts)


def _of_texts(
    key: Key, column: Column, of_moment: str, of_sent: Callable[[Column], list[str]]
) -> list[str]:
    """Conditions on moments that are texts: as they were sent, or else as they are shown."""
    if key.sent is None:
        return [present(column, of_moment)]
    return [*of_sent(key.sent), present(column, f"{key.sent.name} IS NULL AND {of_moment}")]


def all_of(*parts: str) -> str:
    """All of these conditions hold."""
    return " AND ".join(f"({part})" for part in parts if part != ALWAYS) or ALWAYS


def any_of(parts: Sequence[str]) -> str:
    """One of these conditions holds."""
    return f"({' OR '.join(parts)})" if parts else NEVER


def _among(column: Column, operands: Sequence[Any]) -> list[str]:
    if column.type is ColumnType.STRINGS:
        return _lists_among(column, operands)
    values = [_operand(column, operand) for operand in operands if _can_equal(column, operand)]
    listed = ", ".join(literal(value) for value in values)
    return [present(column, f"{column.name} IN ({listed})")] if values else []


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


def ordered(key: Key, operator: str, operand: Any) -> str:
    """The value stands in this order to the operand; strings are ordered by code point."""
    if key.type not in _ORDERED:
        raise FilterError(
            f"{operator} does not work on metadata key {shown(key.key)}: it holds {key.type}"
        )
    parts = []
    for column in key.columns:
        if _is_text_of_moments(key, column):
            of_moment = _ordered_text(column.name, operator, operand)
            parts += _of_texts(
                key, column, of_moment, lambda sent: [_ordered(sent, operator, operand)]
            )
        else:
            parts.append(_ordered(column, operator, operand))
    return any_of(parts)


def _ordered_text(name: str, operator: str, text: str) -> str:
    before, equal = sql_before(name, text), sql_among(name, [text])
    match operator:
        case "$lt":
            return before
        case "$lte":
            return f"({before} OR {equal})"
        case "$gt":
            return f"NOT ({before} OR {equal})"
    return f"NOT {before}"


def _ordered(column: Column, operator: str, operand: Any) -> str:
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


def _string(column: Column, operand: str) -> str:
    _, value = checked(column.key, operand, ColumnType.STRING)
    return literal(value)


def _operand(column: Column, operand: Any) -> ColumnValue:
    if column.type is ColumnType.INTEGER and isinstance(operand, float):
        return int(operand)
    if column.type is ColumnType.TIMESTAMP and isinstance(operand, str):
        moment = parse_time(operand)
        if moment is None:
            raise FilterError(
                f"metadata key {shown(column.key)} holds a timestamp;"
                " compare it with a time such as '2024-05-01T12:00:00Z' or '2024-05-01'"
            )
    return checked(column.key, operand, column.type)[1]


def checked(key: str, operand: Any, column: ColumnType) -> tuple[ColumnType, ColumnValue]:
    """An operand as a value of a type, as `store.metadata.values.typed` has it.

    Raises:
        FilterError: it is none.
    """
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
