"""Fragment cache: vectors and metadata of unindexed fragments, metadata of indexed ones.

Every commit leaves a fragment (a file of rows) behind. To search a few hundred rows in as many of
these as it took to add them costs the engine 10 to 30 ms of processor time; to compare a vector
with them in memory takes 0.1 ms. And to read the metadata of ten rows from the disk takes 2 ms,
from memory 0.2. A fragment's files never change, so what was read of it stays true; which of its
rows are deleted is in a file of its own, under a new name each time.
"""

from collections.abc import Container, Iterable, Sequence
from dataclasses import dataclass, replace
from itertools import pairwise
from operator import attrgetter
from typing import TYPE_CHECKING, Any, Self

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
from numpy.typing import NDArray

from store.metadata.rows import as_matrix
from store.metadata.words import WORDS
from store.schemas import FloatVector

if TYPE_CHECKING:
    from lance.fragment import LanceFragment

RowIds = NDArray[np.uint64]
Places = NDArray[np.int64]
ROW_ID = "_rowid"
PLACE_BITS = np.uint64(32)
"""A row's id is its fragment's number, then its place in the fragment in so many bits."""

ROUGHNESS = 1e-5
"""By so much at most do the distances of `FragmentCache.rough_distances` differ from true ones."""

_VECTOR = "vector"
_NO_VECTORS = np.empty((0, 1), np.float32)
# More at once would not stay in a core's cache: 2048 rows took 16 ms at once, 3.5 in parts.
_ROWS_AT_ONCE = 256


@dataclass(frozen=True, eq=False)
class CachedFragment:
    """The rows of one fragment that are not deleted, with or without their vectors.

    Attributes:
        number: of the fragment.
        metadata: which files it was read from; equal ones hold the same.
        whole: whether its vectors are there, too.
        row_ids: uint64 [rows], rising.
        columns: all but the vectors and the words [rows], as the table's were when they were read.
        vectors: float32 [rows that were read, dim].
        inverse_lengths: one by the length of each vector, float32 [rows that were read].
        live: the places among the vectors of the rows that are not deleted, int64 [rows].
        nbytes: memory that it takes.
    """

    number: int
    metadata: Any
    whole: bool
    row_ids: RowIds
    columns: pa.Table
    vectors: FloatVector
    inverse_lengths: FloatVector
    live: Places
    nbytes: int

    @classmethod
    def read(cls, fragment: "LanceFragment", *, whole: bool) -> Self:
        """Reads a fragment, with its vectors or without. Blocks."""
        left_out = (WORDS,) if whole else (WORDS, _VECTOR)
        names = [name for name in fragment.schema.names if name not in left_out]
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
        bare = [name for name in rows.column_names if name not in (_VECTOR, WORDS)]
        columns = rows.select(bare).combine_chunks()
        return cls(
            number=fragment.fragment_id,
            metadata=fragment.metadata,
            whole=whole,
            row_ids=row_ids,
            columns=columns,
            vectors=vectors,
            inverse_lengths=np.asarray(1 / np.linalg.norm(vectors, axis=1), np.float32),
            live=np.arange(len(row_ids)),
            nbytes=vectors.nbytes + columns.nbytes + 2 * row_ids.nbytes,
        )

    def brought_up(self, fragment: "LanceFragment", *, whole: bool) -> Self:
        """The fragment as another version of the table has it. Blocks."""
        if _but_deletions(fragment.metadata) != _but_deletions(self.metadata):
            return self.read(fragment, whole=whole)  # its number is another's now
        if whole and not self.whole:
            return self.read(fragment, whole=True)
        left = fragment.scanner(columns=[], with_row_id=True).to_table()[ROW_ID].to_numpy()
        staying = np.flatnonzero(np.isin(self.row_ids, left))
        if len(staying) < len(left):  # an older version was restored
            return self.read(fragment, whole=whole)
        one = replace(
            self,
            metadata=fragment.metadata,
            row_ids=self.row_ids[staying],
            columns=self.columns.take(staying),
            live=self.live[staying],
        )
        if whole == self.whole:
            return one
        nbytes = self.nbytes - self.vectors.nbytes
        return replace(one, whole=False, vectors=_NO_VECTORS, nbytes=nbytes)


class FragmentCache:
    """The cached rows of one version, counted through from the oldest fragment on.

    Args:
        fragments: that are in memory.
        unindexed: the numbers of those that the vector index does not know; they are whole.
        schema: of the table.

    Attributes:
        row_ids: uint64 [rows], rising.
        tail: the places of the rows that the vector index does not know, int64.
        nbytes: memory that all takes.
    """

    def __init__(
        self, fragments: Sequence[CachedFragment], unindexed: Container[int], schema: pa.Schema
    ) -> None:
        own = [field for field in schema if field.name not in (_VECTOR, WORDS)]
        bare = pa.schema(own, schema.metadata)
        self.fragments = fragments = [
            each if each.columns.schema == bare else replace(each, columns=_under(bare, each))
            for each in sorted(fragments, key=attrgetter("number"))
        ]
        self.nbytes = sum(each.nbytes for each in fragments)
        self.row_ids: RowIds = np.concatenate(
            [np.empty(0, np.uint64), *(each.row_ids for each in fragments)]
        )
        sizes = np.array([len(each.row_ids) for each in fragments], np.int64)
        self._starts = np.cumsum([0, *sizes])
        in_tail = np.array([each.number in unindexed for each in fragments], np.bool_)
        self.tail: Places = np.flatnonzero(np.repeat(in_tail, sizes))
        self._whole = [fragments[n] for n in np.flatnonzero(in_tail)]
        self._none = bare.empty_table()
        self._dim = schema.field(_VECTOR).type.list_size

    def rough_distances(self, vectors: FloatVector) -> FloatVector:
        """The cosine distance of each row of the `tail` to each of some vectors, to five digits.

        By einsum, which takes as long as a product of matrices, but does not wake a thread per core
        for it: measured on two, 20,000 rows of 512 took 2.7 ms of processor time in place of 7.9.
        With 30 fragments of a few rows, eight vectors at once take 22 us each, and one alone 65.

        Args:
            vectors: float32 [vectors, dim].

        Returns:
            float32 [vectors, rows of the tail].
        """
        # The general way takes half as long again for one vector.
        one = len(vectors) == 1
        how, with_these = ("ij,j->i", vectors[0]) if one else ("ij,kj->ki", vectors)
        scores = [
            _live(np.einsum(how, each.vectors, with_these) * each.inverse_lengths, each)
            for each in self._whole
        ]
        none = np.empty((*vectors.shape[:-1], 0)[one:], np.float32)
        return (1 - np.concatenate([none, *scores], axis=-1)).reshape(len(vectors), -1)

    def places_of(self, row_ids: RowIds) -> tuple[Places, NDArray[np.bool_]]:
        """Where these rows are, and whether they are here at all."""
        rows = len(self.row_ids)
        if not rows:
            return np.zeros(len(row_ids), np.int64), np.zeros(len(row_ids), np.bool_)
        places = np.searchsorted(self.row_ids, row_ids).clip(max=rows - 1)
        return places, self.row_ids[places] == row_ids

    def vectors(self, places: Places) -> FloatVector:
        """The vectors in these places of the `tail`, float32 [places, dim]."""
        vectors = np.empty((len(places), self._dim), np.float32)
        for number, among, inside in self._split(places):
            fragment = self.fragments[number]
            vectors[among] = fragment.vectors[fragment.live[inside]]
        return vectors

    def take(self, places: Places, columns: list[str]) -> pa.Table:
        """The columns of the rows in these places, in their order."""
        # Not from one table of all: where texts are in several pieces, Arrow copies all of them.
        found, order = [self._none.select(columns)], [np.empty(0, np.int64)]
        for number, among, inside in self._split(places):
            rows = self.fragments[number].columns.select(columns)
            # A slice costs an eighth of Arrow's taking, and most hits are alone in their fragment.
            found.append(rows.slice(inside[0], 1) if len(inside) == 1 else rows.take(inside))
            order.append(among)
        return pa.concat_tables(found).take(np.argsort(np.concatenate(order)))

    def having(self, column: str, values: Iterable[str], columns: list[str]) -> pa.Table:
        """The columns of the rows that have one of these values in a text column."""
        places = self.places_having(column, values)
        return self.take(places, columns) if len(places) else self._none.select(columns)

    def places_having(self, column: str, values: Iterable[str]) -> Places:
        """The places of these rows."""
        # All fragments in one call: where nothing is found, as mostly, one for each of some dozen
        # fragments takes many times as long as the comparison itself.
        chunks = [chunk for each in self.fragments for chunk in each.columns[column].chunks]
        found = pc.is_in(
            pa.chunked_array(chunks, pa.string()), value_set=pa.array(list(values), pa.string())
        )
        return np.flatnonzero(found.to_numpy())

    def _split(self, places: Places) -> list[tuple[int, Places, Places]]:
        """By fragment: which of the places are in it, and where inside of it they are."""
        numbers = np.searchsorted(self._starts, places, side="right") - 1
        order = np.argsort(numbers, kind="stable")
        inside, numbers = (places - self._starts[numbers])[order], numbers[order]
        firsts = np.flatnonzero(np.diff(numbers, prepend=-1))
        bounds = [*firsts.tolist(), len(places)]
        return [
            (number, order[first:end], inside[first:end])
            for number, (first, end) in zip(numbers[firsts].tolist(), pairwise(bounds), strict=True)
        ]


def _live(found: FloatVector, fragment: CachedFragment) -> FloatVector:
    """Of numbers for all rows that were read, those of rows that are not deleted."""
    return found if len(fragment.live) == len(fragment.vectors) else found[..., fragment.live]


def distances(vectors: FloatVector, vector: FloatVector) -> NDArray[np.float64]:
    """The cosine distance of each of some rows to a vector, float64 [rows].

    Equal rows have the same to the last bit: a product of matrices would not give that, as it adds
    up in an order that depends on a row's place.
    """
    query = vector.astype(np.float64)
    query /= np.linalg.norm(query)
    found = np.empty(len(vectors))
    for first in range(0, len(vectors), _ROWS_AT_ONCE):
        rows = vectors[first : first + _ROWS_AT_ONCE].astype(np.float64)
        lengths = np.sqrt((rows * rows).sum(axis=1))
        found[first : first + _ROWS_AT_ONCE] = 1 - (rows * query).sum(axis=1) / lengths
    return found


def rough_distances(vectors: FloatVector, vector: FloatVector) -> FloatVector:
    """The same to five digits, several times as fast; float32 [rows]."""
    lengths = np.sqrt(np.einsum("ij,ij->i", vectors, vectors))
    return np.asarray(1 - np.einsum("ij,j->i", vectors, vector) / lengths, np.float32)


def _under(schema: pa.Schema, fragment: CachedFragment) -> pa.Table:
    """A fragment's columns as those of a schema.

    One that the table has got since, or another one under the same name, is empty: else the
    fragment would have a file for it, and be another one.
    """
    columns, had = fragment.columns, fragment.columns.schema
    arrays = [
        columns[field.name]
        if field.name in had.names and had.field(field.name).type == field.type
        else pa.nulls(len(columns), field.type)
        for field in schema
    ]
    return pa.Table.from_arrays(arrays, schema=schema)


def _but_deletions(metadata: Any) -> Any:
    return replace(metadata, deletion_file=None)
