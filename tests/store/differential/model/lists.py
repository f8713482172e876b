"""Lists said a second time: orders, groups, pages behind an image, and values under a filter."""

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from functools import cmp_to_key
from typing import Any

from store.errors import QueryError, UnknownKeyError
from store.schemas import Facet
from tests.store.differential.model.facets import facet
from tests.store.differential.model.table import ModelRow, ModelTable
from tests.store.differential.model.values import Refused

CREATED = "$created_at"
MOST_KEYS = 4

Place = tuple[str, ModelRow]
"""An image, by its id, as it was at some time."""


@dataclass(frozen=True)
class Asked:
    """What a list is asked for; the names are those of a search."""

    filter: Any
    sort: tuple[str, ...]
    group_by: str | None
    distinct: bool


def check(table: ModelTable, asked: Asked, facets: Iterable[str] = ()) -> None:
    """Refuses what the store refuses, in its order."""
    table.matching(asked.filter)
    for key in facets:
        _known(table, key, {*table.columns})
    if len(asked.sort) > MOST_KEYS:
        raise Refused(QueryError)
    names = [each.removeprefix("-") for each in asked.sort]
    for name in names:
        _known(table, name, {*table.columns, CREATED})
        if table.columns.get(name) == "list":
            raise Refused(QueryError)
    if len({*names}) < len(names):
        raise Refused(QueryError)
    if asked.group_by is not None:
        _known(table, asked.group_by, {*table.columns})
        if table.columns[asked.group_by] == "list":
            raise Refused(QueryError)


def _known(table: ModelTable, key: str, keys: set[str]) -> None:
    if key not in keys:
        raise Refused(UnknownKeyError)


def listed(table: ModelTable, asked: Asked, behind: Place | None = None) -> list[tuple[str, int]]:
    """The ids of a list, those behind a place where one is given, and how many each stands for."""
    rows = [(own, table.rows[own]) for own in table.matching(asked.filter)]
    firsts, sizes = _grouped(table, _sorted(table, asked, rows), asked)
    if behind is not None:
        # By identity: the image itself may be in the list, as it has become since.
        among = _sorted(table, asked, [*firsts, behind])
        firsts = among[next(n for n, each in enumerate(among) if each is behind) + 1 :]
    return [(own, sizes.get(own, 1)) for own, _ in firsts]


def _grouped(
    table: ModelTable, ranking: Sequence[Place], asked: Asked
) -> tuple[list[Place], dict[str, int]]:
    """The first of each value, and of these of the same pixels; and how many have the value."""
    left = [*ranking]
    sizes: dict[str, int] = {}
    if (key := asked.group_by) is not None:
        values = [_value(table, row, key) for _, row in left]
        sizes = {
            own: 1 if value is None else values.count(value)
            for (own, _), value in zip(left, values, strict=True)
        }
        left = [
            place
            for n, (place, value) in enumerate(zip(left, values, strict=True))
            if value is None or value not in values[:n]
        ]
    if asked.distinct:
        pixels = [row.pixels for _, row in left]
        left = [p for n, p in enumerate(left) if pixels[n] is None or pixels[n] not in pixels[:n]]
    return left, sizes


def _sorted(table: ModelTable, asked: Asked, rows: list[Place]) -> list[Place]:
    def compare(one: Place, other: Place) -> int:
        for text in (*asked.sort, f"-{CREATED}"):
            key, turn = text.removeprefix("-"), -1 if text.startswith("-") else 1
            left, right = (_value(table, row, key) for _, row in (one, other))
            if left is None or right is None:
                if (left is None) is not (right is None):
                    return 1 if left is None else -1
            elif left != right:
                return turn if left > right else -turn
        return (one[0] > other[0]) - (one[0] < other[0])

    return sorted(rows, key=cmp_to_key(compare))


def _value(table: ModelTable, row: ModelRow, key: str) -> Any:
    """A value as it is compared; a number in a key of floats as the float next to it."""
    if key == CREATED:
        return row.order
    value = row.values.get(key)
    return float(value) if value is not None and table.columns[key] == "float" else value


def facet_under(table: ModelTable, node: Any, key: str) -> Facet:
    """What the rows that match a filter have under a key."""
    some = table.copy()
    some.rows = {own: table.rows[own] for own in table.matching(node)}
    return facet(some, key)
