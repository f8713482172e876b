"""Conditions on the parts of texts, and on texts without regard to case, as SQL."""

from collections.abc import Callable
from typing import Any

from store.errors import FilterError, shown
from store.metadata.columns import Column, Key
from store.metadata.predicates import any_of, checked, columns_of, present
from store.metadata.values import ColumnType, literal


def contains(key: Key, operand: Any) -> str:
    """A text holds the operand as a part, or a list holds it as an element; case matters."""
    text = _text_operand(key, "$contains", operand, on_lists=True)
    function = "contains" if key.type is ColumnType.STRING else "array_has"
    return _on_texts(key, lambda column: f"{function}({column.name}, {literal(text)})")


def starts(key: Key, operand: Any) -> str:
    """A text begins with the operand; case matters."""
    text = _text_operand(key, "$starts", operand)
    return _on_texts(key, lambda column: f"starts_with({column.name}, {literal(text)})")


def without_case(key: Key, operator: str, operand: Any) -> str:
    """As `$eq`, `$contains` and `$starts` of both sides in lower case, as Unicode has it.

    Args:
        key: of texts, or but for ``$istarts`` of lists.
        operator: ``$ieq``, ``$icontains`` or ``$istarts``.
        operand: a text.
    """
    text = _text_operand(key, operator, operand, on_lists=operator != "$istarts").lower()
    if key.type is ColumnType.STRINGS:
        return _on_texts(key, lambda column: _has_element(column.name, text))
    of_text = {
        "$ieq": "lower({}) = {}", "$icontains": "contains(lower({}), {})",
        "$istarts": "starts_with(lower({}), {})",
    }[operator]  # fmt: skip
    return _on_texts(key, lambda column: of_text.format(column.name, literal(text)))


def _has_element(name: str, text: str) -> str:
    """SQL for whether a list has an element that is this text in lower case.

    The engine has no function for each element, so they are joined. An element may have a separator
    in itself: so it is done twice, with two of them.
    """
    if not text:
        return f"array_has({name}, '')"
    joined = (
        f"contains(concat({edge}, lower(array_to_string({name}, {edge})), {edge}), {sought})"
        for edge, sought in ((literal(one), literal(one + text + one)) for one in "\x1e\x1f")
    )
    return " AND ".join(joined)


def _on_texts(key: Key, condition: Callable[[Column], str]) -> str:
    return any_of([present(column, condition(column)) for column in columns_of(key)])


def _text_operand(key: Key, operator: str, operand: Any, *, on_lists: bool = False) -> str:
    lists = (ColumnType.STRINGS,) if on_lists else ()
    if key.type not in (ColumnType.STRING, *lists):
        raise FilterError(
            f"{operator} does not work on metadata key {shown(key.key)}: it holds {key.type}"
        )
    if not isinstance(operand, str):
        raise FilterError(f"{operator} on metadata key {shown(key.key)} needs a string")
    return str(checked(key.key, operand, ColumnType.STRING)[1])
