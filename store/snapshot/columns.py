"""Columns of a version, by the numbers that they have in files, and the fragments of indexes."""

from collections.abc import Iterator
from typing import TYPE_CHECKING, Any

from store.snapshot.fragments import CachedFragment

if TYPE_CHECKING:
    from lance import LanceDataset


Fields = dict[str, frozenset[int]]
"""A table's columns, and under which numbers its files hold each: a number is never used again."""


def fields_of(dataset: "LanceDataset") -> Fields:
    """The columns of a version of the table."""
    return {each.name(): frozenset(_numbers(each)) for each in dataset.lance_schema.fields()}


def _numbers(field: Any) -> Iterator[int]:
    yield field.id()
    for child in field.children():
        yield from _numbers(child)


def columns_held(fragment: CachedFragment, fields: Fields) -> Fields:
    """The columns that the files of a fragment hold values of."""
    numbers = {number for file in fragment.metadata.files for number in file.fields}
    return {name: own for name, own in fields.items() if own & numbers}


def indexed_fragments(dataset: "LanceDataset") -> set[int] | None:
    """The numbers of the fragments that the vector index knows; None where there is none."""
    found = [each for each in dataset.describe_indices() if each.field_names == ["vector"]]
    return set().union(*map(fragments_of, found)) if found else None


def fragments_of(index: Any) -> set[int]:
    """The numbers of the fragments that an index knows."""
    return set().union(*(set(each.fragment_ids) for each in index.segments))
