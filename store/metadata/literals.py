"""Values as SQL literals: the only place where a client's value becomes part of a predicate."""

from collections.abc import Iterable
from datetime import UTC, datetime, timedelta

from store.metadata.values import INT64_MIN, ColumnValue

_EPOCH = datetime(1970, 1, 1, tzinfo=UTC)


def literal(value: ColumnValue) -> str:
    r"""Writes a value as an SQL literal of its column's type.

    Lance's SQL dialect knows no escape but the doubled quote: a backslash stands for itself.
    """
    match value:
        case bool():
            return "true" if value else "false"
        case int():
            return _integer(value)
        case float():
            return repr(value)
        case datetime():
            return f"to_timestamp_micros({(value - _EPOCH) // timedelta(microseconds=1)})"
        case list():
            return f"make_array({', '.join(literal(element) for element in value)})"
    return "'" + value.replace("'", "''") + "'"


def among(column: str, values: Iterable[str]) -> str:
    """The predicate of the rows whose text in a column is one of these; there has to be one."""
    return f"{column} IN ({', '.join(map(literal, values))})"


def _integer(value: int) -> str:
    # The parser reads the digits before the sign, and 2**63 is too large for it.
    return f"({INT64_MIN + 1} - 1)" if value == INT64_MIN else str(value)
