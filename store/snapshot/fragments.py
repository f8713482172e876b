"""Rows that are kept in memory as well: the newest whole, of the others the columns.

Every commit leaves a fragment behind. To search a few hundred rows in as many of these as it took
to add them costs the engine 10 to 30 ms of processor time; to compare a vector with them in memory
takes 0.1 ms. And to read the columns of ten rows from the disk takes 2 ms, from memory 0.2. A
fragment's files never change, so what was read of it stays true; which of its rows are deleted is
in a file of its own, under a new name each time.
"""

from collections.abc import Container, Iterable, Iterator, Sequence
from dataclasses import dataclass, replace
from functools import cached_property
from typing import TYPE_CHECKING, Any, Self

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
from numpy.typing import NDArray

from store.metadata.rows import as_matrix
from store.schemas import FloatVector
from store.snapshot.distances import inverse_lengths, rough_distances

if TYPE_CHECKING:
    from lance.fragment import LanceFragment

RowIds = NDArray[np.uint64]
ROW_ID = "_rowid"
_VECTOR = "vector"
# A row's id is its fragment's number, then its place in the fragment.
PLACE_BITS = np.uint64(32)
_NO_VECTORS = np.empty((0, 1), np.float32)


@dataclass(frozen=True, eq=False)
class HeldFragment:
    """The rows of one fragment.

    Attributes:
        metadata: which files it was read from; equal ones hold the same.
        row_ids: uint64 [rows], rising.
        columns: all but the vectors [rows], as the table's were when they were read.
        whole: whether the vectors are there, too.
        vectors: float32 [rows that were read, dim].
        live: the places among the vectors of the rows that are not deleted, int64 [rows].
    """

    metadata: Any
    row_ids: RowIds
    columns: pa.Table
    whole: bool
    vectors: FloatVector
    live: NDArray[np.int64]

    @classmethod
    def read(cls, fragment: "LanceFragment", *, whole: bool) -> Self:
        """Reads a fragment, with its vectors or without. Blocks."""
        names = [name for name in fragment.schema.names if whole or name != _VECTOR]
        rows = fragment.scanner(columns=names, with_row_id=True).to_table()
        row_ids = rows[ROW_ID].combine_chunks().to_numpy()
        return cls._of(fragment, row_ids, rows.drop_columns([ROW_ID]), whole=whole)

    @classmethod
    def written(cls, fragment: "LanceFragment", rows: pa.Table) -> Self:
        """The same without reading it: from the rows that a commit has just made it of."""
        first = fragment.fragment_id << int(PLACE_BITS)
        row_ids = np.arange(first, first + len(rows), dtype=np.uint64)
        return cls._of(fragment, row_ids, rows, whole=True)

    @classmethod
    def _of(
        cls, fragment: "LanceFragment", row_ids: RowIds, rows: pa.Table, *, whole: bool
    ) -> Self:
        vectors = as_matrix(rows[_VECTOR]) if whole else _NO_VECTORS
        columns = (rows.drop_columns([_VECTOR]) if whole else rows).combine_chunks()
        return cls(fragment.metadata, row_ids, columns, whole, vectors, np.arange(len(row_ids)))

    @property
    def number(self) -> int:
        """The fragment's."""
        return int(self.metadata.id)

    def brought_up(self, fragment: "LanceFragment", *, whole: bool) -> Self:
        """The same fragment in another version of the table. Blocks where it has changed."""
        metadata = fragment.metadata
        if whole and not self.whole:
            return self.read(fragment, whole=True)
        if self.whole and not whole:
            bare = replace(self, whole=False, vectors=_NO_VECTORS)
            return bare.brought_up(fragment, whole=False)
        if metadata == self.metadata:
            return self
        if _but_deletions(metadata) != _but_deletions(self.metadata):  # its number is another's now
            return self.read(fragment, whole=whole)
        left = fragment.scanner(columns=[], with_row_id=True).to_table()[ROW_ID].to_numpy()
        kept = np.flatnonzero(np.isin(self.row_ids, left))
        if len(kept) < len(left):  # an older version was restored
            return self.read(fragment, whole=whole)
        return replace(
            self,
            metadata=metadata,
            row_ids=self.row_ids[kept],
            columns=self.columns.take(kept),
            live=self.live[kept],
        )

    def columns_under(self, schema: pa.Schema) -> pa.Table:
        """The columns of a schema.

        One that the table has got since, or another one under the same name, is empty: else the
        fragment would have a file for it, and be another one.
        """
        had, rows = self.columns.schema, len(self.columns)
        if had == schema:
            return self.columns
        arrays = [
            self.columns[field.name]
            if field.name in had.names and had.field(field.name).type == field.type
            else pa.nulls(rows, field.type)
            for field in schema
        ]
        return pa.Table.from_arrays(arrays, schema=schema)

    def rough_distances(self, vector: FloatVector) -> FloatVector:
        """Each row's distance, float32 [rows]; for one with its vectors."""
        return rough_distances(self.vectors, self._inverse_lengths, vector)[self.live]

    def vectors_at(self, places: NDArray[np.int64]) -> FloatVector:
        """The vectors of these rows, float32 [places, dim]; for one with its vectors."""
        return self.vectors[self.live[places]]

    @cached_property
    def nbytes(self) -> int:
        """Memory that it takes."""
        return int(self.vectors.nbytes + self.columns.nbytes + 2 * self.row_ids.nbytes)

    @cached_property
    def _inverse_lengths(self) -> FloatVector:
        return inverse_lengths(self.vectors)


class Held:
    """All rows of a version that are in memory, counted through from the oldest fragment on.

    Args:
        fragments: that are in memory.
        tail: the numbers of those that the vector index does not know; they have their vectors.
        schema: of the table.
    """

    def __init__(
        self, fragments: Sequence[HeldFragment], tail: Container[int], schema: pa.Schema
    ) -> None:
        self.fragments = fragments = sorted(fragments, key=lambda each: each.number)
        self.nbytes = sum(each.nbytes for each in fragments)
        none = np.empty(0, np.uint64)
        self.row_ids: RowIds = np.concatenate([none, *(each.row_ids for each in fragments)])
        columns = schema.remove(schema.get_field_index(_VECTOR))
        self._columns = [each.columns_under(columns) for each in fragments]
        self._none = columns.empty_table()
        self._dim = vector_dim(schema)
        self._ends = np.cumsum([len(each.row_ids) for each in fragments])
        self._tail = [n for n, each in enumerate(fragments) if each.number in tail]
        self.tail = np.concatenate([np.empty(0, np.int64), *map(self._places_in, self._tail)])
        """The places of the rows that the vector index does not know, int64."""

    def __len__(self) -> int:
        """How many rows there are."""
        return len(self.row_ids)

    def rough_distances(self, vector: FloatVector) -> FloatVector:
        """The cosine distance of each row of the `tail`, float32, to some five digits."""
        none = np.empty(0, np.float32)
        return np.concatenate(
            [none, *(self.fragments[number].rough_distances(vector) for number in self._tail)]
        )

    def places_of(self, row_ids: RowIds) -> tuple[NDArray[np.int64], NDArray[np.bool_]]:
        """Where these rows are, and whether they are here at all."""
        if not len(self):
            return np.zeros(len(row_ids), np.int64), np.zeros(len(row_ids), np.bool_)
        places = np.searchsorted(self.row_ids, row_ids).clip(max=len(self) - 1)
        return places, self.row_ids[places] == row_ids

    def vectors(self, places: NDArray[np.int64]) -> FloatVector:
        """The vectors in these places of the `tail`, float32 [places, dim]."""
        vectors = np.empty((len(places), self._dim), np.float32)
        for number, among, inside in self._inside(places):
            vectors[among] = self.fragments[number].vectors_at(inside)
        return vectors

    def taken(self, places: NDArray[np.int64], columns: list[str]) -> pa.Table:
        """The columns of the rows in these places."""
        # Not from one table of all: where texts are in several pieces, Arrow copies all of them.
        found, order = [self._none.select(columns)], [np.empty(0, np.int64)]
        for number, among, inside in self._inside(places):
            found.append(self._columns[number].select(columns).take(inside))
            order.append(np.flatnonzero(among))
        return pa.concat_tables(found).take(np.argsort(np.concatenate(order)))

    def having(self, column: str, values: Iterable[str], columns: list[str]) -> pa.Table:
        """The columns of the rows that have one of these values in a text column."""
        # All fragments in one call: where nothing is found, as mostly, one for each of some dozen
        # fragments takes many times as long as the comparison itself.
        chunks = [chunk for each in self._columns for chunk in each[column].chunks]
        is_wanted = pc.is_in(
            pa.chunked_array(chunks, pa.string()), value_set=pa.array(list(values), pa.string())
        )
        return self.taken(np.flatnonzero(is_wanted.to_numpy()), columns)

    def _inside(
        self, places: NDArray[np.int64]
    ) -> Iterator[tuple[int, NDArray[np.bool_], NDArray[np.int64]]]:
        """The fragments that rows are in; which of the rows, and their places inside of it."""
        numbers = np.searchsorted(self._ends, places, side="right")
        for number in np.unique(numbers).tolist():
            among = numbers == number
            yield number, among, places[among] - self._begin(number)

    def _begin(self, number: int) -> int:
        return int(self._ends[number]) - len(self.fragments[number].row_ids)

    def _places_in(self, number: int) -> NDArray[np.int64]:
        return np.arange(self._begin(number), self._ends[number])


def vector_dim(schema: pa.Schema) -> int:
    """Length of a table's vectors."""
    return int(schema.field(_VECTOR).type.list_size)


def _but_deletions(metadata: Any) -> Any:
    return replace(metadata, deletion_file=None)
