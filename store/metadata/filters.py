"""The filter language, compiled to one SQL predicate over the metadata columns.

A filter is an object; all of its entries must hold, and ``{}`` holds for every image::

    {"shop": "A"}                              equal
    {"price": {"$gte": 5, "$lt": 10}}          in order: $lt $lte $gt $gte
    {"shop": {"$eq": "A"}}, {"$ne": "A"}       equal, not equal
    {"shop": {"$in": ["A", "B"]}}, {"$nin"}    one of, none of
    {"shop": {"$exists": true}}                has a value, or with false has none
    {"tags": {"$contains": "red"}}             a list holds it, or a text has it as a part
    {"title": {"$starts": "red"}}              a text begins with it
    {"shop": {"$ieq": "a"}}                    equal, whatever the case of the letters; so are
                                               $icontains and $istarts
    {"$and": [f, g]}, {"$or": [f, g]}          all of, one of these filters
    {"$not": f}, {"price": {"$not": {...}}}    does not hold
    {"$objects": {"class_name": "dog"}}        has an object of which all of it holds, see
                                               `store.metadata.object_filters`
    {"$created_at": {"$gte": "2026-01-31"}}    when the image was last added, as a timestamp

A condition is true or false, never unknown. An image without the key has no value that is equal
to, below or above anything, so ``$ne``, ``$nin`` and ``$not`` hold for it. null stands for "no
value": ``{"shop": null}`` is ``{"shop": {"$exists": false}}``. A list of strings equals a string
that it holds (``{"tags": "red"}`` is ``$contains``) and a list of the same strings in the same
order. Integers and floats compare as numbers, timestamps by their moment.

Only names that this package generated and the literals of `store.metadata.values` enter the SQL.
Size and depth are bounded, as the engine's planner recurses.
"""

from collections.abc import Callable, Mapping
from typing import Any

from store.errors import FilterError, UnknownKeyError, shown
from store.metadata.columns import CREATED_AT, Key, Registry
from store.metadata.object_filters import (
    conditions_in,
    objects_hold,
    objects_predicate,
)
from store.metadata.objects import Finding
from store.metadata.predicates import ALWAYS, ORDER, among, missing, ordered
from store.metadata.text_predicates import contains, starts, without_case
from store.schemas import OBJECTS_KEY, CheckedFilter

MAX_TERMS = 100
MAX_DEPTH = 10
MAX_LIST = 1000
MAX_VALUES = 10_000

_CONDITIONS: dict[Any, Callable[[Key, str, Any], str]] = {
    **dict.fromkeys(ORDER, ordered),
    "$contains": lambda key, _, operand: contains(key, operand),
    "$starts": lambda key, _, operand: starts(key, operand),
    **dict.fromkeys(("$ieq", "$icontains", "$istarts"), without_case),
}
_ON_TEXTS = [name for name in _CONDITIONS if name not in ORDER]
_KEY_OPERATORS = ("$eq", "$ne", *ORDER, "$in", "$nin", "$exists", *_ON_TEXTS, "$not")
_FILTER_OPERATORS = ("$and", "$or", "$not")
_NEGATIONS = {"$ne": "$eq", "$nin": "$in"}


def compile_filter(node: Any, keys: Mapping[str, Key], *, objects: Finding | None = None) -> str:
    """Compiles a filter.

    Args:
        node: the filter as JSON gave it.
        keys: the table's metadata keys.
        objects: whose objects are sought; None where the table knows of none.

    Returns:
        An SQL predicate that is never NULL.

    Raises:
        UnknownKeyError: no image has had one of the keys.
        FilterError: not in the language, of another type than the column, or too large.
    """
    return _Compiler(keys, objects=objects).filter(node, 1)


def where_of(given: Mapping[str, Any] | CheckedFilter | None, registry: Registry) -> str:
    """The predicate of a query's filter; one that was compiled before is not compiled again.

    Raises:
        FilterError: as for `compile_filter`.
    """
    if given is None:
        return ALWAYS
    if not isinstance(given, CheckedFilter):
        return compile_filter(given, registry.by_key, objects=registry.objects)
    if given.columns == (registry.objects, *registry.columns):
        return given.where
    # Columns have come, or gone in a restore.
    return compile_filter(given.filter, registry.by_key, objects=registry.objects)


def refuse_broad(filter: Mapping[str, Any] | None, verb: str, kept: int, rows: int) -> None:
    """Refuses a filter that keeps all rows, unless it names a value that they have.

    Args:
        filter: that was compiled; None for all rows, which is no mistake.
        verb: what is to be done with the rows.
        kept: how many of them it keeps.
        rows: how many there are.

    Raises:
        FilterError: it keeps all, and names nothing that tells these rows from others.
    """
    if filter is not None and kept and kept == rows and is_broad(filter):
        raise FilterError(
            "the filter keeps every image, and names nothing that only these have: name what to"
            f' {verb}, or give "all": true'
        )


def is_broad(node: Mapping[str, Any]) -> bool:
    """Whether a filter that was compiled holds for images that have nothing of what it names.

    Those are an image without any metadata, or two whose values are all below or all above those
    of the filter. So it is if the filter holds whatever the metadata is, such as
    ``{"$or": [f, {"$not": f}]}``, or whatever the values are, such as ``{"shop": {"$exists":
    true}}``, or names something that no image has, such as ``{"$not": {"shop": "no such shop"}}``.
    """
    return holds(node, None) or (holds(node, -1) and holds(node, 1))


def holds(node: Mapping[str, Any], side: int | None) -> bool:
    """Whether a filter holds for an image that has no values, or values that it does not name.

    Args:
        node: the filter.
        side: where the image's values are: -1 below all others, 1 above, None for none at all.
    """
    return all(_holds(key, operand, side) for key, operand in node.items())


def _holds(key: str, operand: Any, side: int | None) -> bool:
    match key:
        case "$and":
            return all(holds(each, side) for each in operand)
        case "$or":
            return any(holds(each, side) for each in operand)
        case "$not":
            return not holds(operand, side)
        case "$objects":
            return objects_hold(operand, side)
    conditions = operand if isinstance(operand, Mapping) else {"$eq": operand}
    return all(_condition_holds(name, of, side) for name, of in conditions.items())


def _condition_holds(name: str, operand: Any, side: int | None) -> bool:
    match name:
        case "$eq" | "$ne":
            return (operand is None and side is None) == (name == "$eq")
        case "$in" | "$nin":
            return (None in operand and side is None) == (name == "$in")
        case "$exists":
            return bool(operand) == (side is not None)
        case "$not":
            return not all(_condition_holds(inner, of, side) for inner, of in operand.items())
        case "$contains" | "$starts" | "$icontains" | "$istarts" | "$gte" if operand == "":
            return side is not None  # there is no text that is less, or that does not hold it
    below = side == -1 and operand != ""
    return (side == 1 and name in {"$gt", "$gte"}) or (below and name in {"$lt", "$lte"})


class _Compiler:
    """Compiles one filter and counts its terms and values while it goes."""

    def __init__(self, keys: Mapping[str, Key], *, objects: Finding | None) -> None:
        self._keys = keys
        self._objects = objects
        self._terms = 0
        self._values = 0

    def filter(self, node: Any, depth: int) -> str:
        if not isinstance(node, Mapping):
            raise FilterError("a filter must be an object")
        _check_depth(depth)
        if not node:
            self._count_term()
        return _all(
            [
                self._logical(key, operand, depth)
                if isinstance(key, str) and key.startswith("$") and key != CREATED_AT.key
                else self._condition(self._key(key), operand, depth)
                for key, operand in node.items()
            ]
        )

    def _logical(self, operator: str, operand: Any, depth: int) -> str:
        if operator == "$not":
            return _negated(self.filter(operand, depth + 1))
        if operator == OBJECTS_KEY:
            self._count_term(conditions_in(operand))
            return objects_predicate(operand, self._objects)
        if operator not in _FILTER_OPERATORS:
            raise FilterError(_unknown_operator(operator, _FILTER_OPERATORS))
        if not isinstance(operand, list) or not operand:
            raise FilterError(f"{operator} needs a list of filters that is not empty")
        parts = [self.filter(each, depth + 1) for each in operand]
        return _all(parts) if operator == "$and" else f"({' OR '.join(parts)})"

    def _key(self, name: Any) -> Key:
        key = CREATED_AT if name == CREATED_AT.key else self._keys.get(name)
        if key is None:
            raise UnknownKeyError(str(name), self._keys.keys())
        return key

    def _condition(self, key: Key, operand: Any, depth: int) -> str:
        if not isinstance(operand, Mapping):
            return self._operator(key, "$eq", operand, depth)
        if not operand:
            raise FilterError(f"the filter on metadata key {shown(key.key)} has no operator")
        _check_depth(depth)
        return _all([self._operator(key, name, of, depth) for name, of in operand.items()])

    def _operator(self, key: Key, name: Any, operand: Any, depth: int) -> str:
        self._count_term()
        if name in _NEGATIONS:
            return _negated(self._positive(key, _NEGATIONS[name], operand))
        if name == "$not":
            return self._not(key, operand, depth)
        return self._positive(key, name, operand)

    def _positive(self, key: Key, name: Any, operand: Any) -> str:
        match name:
            case "$eq":
                return self._among(key, [operand])
            case "$in":
                return self._among(key, _listed(name, operand))
            case "$exists":
                return _exists(key, operand)
        if isinstance(name, str) and (condition := _CONDITIONS.get(name)):
            return condition(key, name, operand)
        raise FilterError(_unknown_operator(str(name), _KEY_OPERATORS))

    def _among(self, key: Key, operands: list[Any]) -> str:
        for operand in operands:
            self._values += len(operand) if isinstance(operand, list) else 1
        if self._values > MAX_VALUES:
            raise FilterError(f"a filter takes at most {MAX_VALUES} values in all its lists")
        return among(key, operands)

    def _not(self, key: Key, operand: Any, depth: int) -> str:
        if not isinstance(operand, Mapping):
            raise FilterError(f"$not on metadata key {shown(key.key)} needs operators")
        return _negated(self._condition(key, operand, depth + 1))

    def _count_term(self, count: int = 1) -> None:
        self._terms += count
        if self._terms > MAX_TERMS:
            raise FilterError(f"a filter takes at most {MAX_TERMS} conditions")


def _all(parts: list[str]) -> str:
    return f"({' AND '.join(parts)})" if parts else ALWAYS


def _negated(part: str) -> str:
    return f"(NOT {part})"


def _exists(key: Key, operand: Any) -> str:
    if not isinstance(operand, bool):
        raise FilterError(f"$exists on metadata key {shown(key.key)} needs true or false")
    return _negated(f"({missing(key)})") if operand else f"({missing(key)})"


def _listed(operator: str, operand: Any) -> list[Any]:
    if not isinstance(operand, list):
        raise FilterError(f"{operator} needs a list of values")
    if len(operand) > MAX_LIST:
        raise FilterError(f"{operator} takes at most {MAX_LIST} values")
    return operand


def _check_depth(depth: int) -> None:
    if depth > MAX_DEPTH:
        raise FilterError(f"a filter may be nested at most {MAX_DEPTH} deep")


def _unknown_operator(operator: str, known: tuple[str, ...]) -> str:
    return f"unknown operator {shown(operator)}; known here are {', '.join(known)}"
