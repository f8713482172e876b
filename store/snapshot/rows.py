"""Rows of the table at one version: from memory where the fragment cache has them, else read."""

from functools import cached_property
from typing import TYPE_CHECKING

import numpy as np
import pyarrow as pa

from store.metadata.columns import Registry
from store.metadata.predicates import ALWAYS
from store.metadata.rows import as_matrix, to_dicts
from store.metadata.values import text_in
from store.metadata.words import WORDS, columns_with_words, words_column
from store.schemas import FloatVector
from store.snapshot.columns import columns_held, fields_of
from store.snapshot.fragments import ROW_ID, CachedFragment, FragmentCache, RowIds
from store.snapshot.known import KnownFiles
from store.table.names import stale_words

if TYPE_CHECKING:
    from collections.abc import Collection, Sequence

    from lance import LanceDataset


class Rows:
    """The rows of a version of the table, by number, value or predicate. What reads them blocks.

    Args:
        dataset: at this version.
        cached: the fragments in memory.
        indexed: the numbers of the fragments that the vector index knows; None where there is none.
        known: of the table's files.
        registry: the metadata columns.

    Attributes:
        fields: the columns, by their numbers.
        has_tail: whether all rows that the vector index does not know are in memory.
    """

    def __init__(
        self,
        dataset: "LanceDataset",
        cached: "Sequence[CachedFragment]",
        indexed: set[int] | None,
        known: "KnownFiles",
        registry: Registry,
    ) -> None:
        self.dataset = dataset
        self.registry = registry
        self.fields = fields_of(dataset)
        self.version = int(dataset.version)
        self.indexed = indexed is not None
        self._indexed = indexed or set()
        self._known = known
        self._fragments = {each.fragment_id: each for each in dataset.get_fragments()}
        tail, numbers = self._fragments.keys() - self._indexed, {each.number for each in cached}
        self._tail = [self._fragments[number] for number in tail]
        self._uncached = [self._fragments[number] for number in self._fragments.keys() - numbers]
        self.has_tail = tail <= numbers
        self.cache = FragmentCache(cached, tail & numbers, dataset.schema)

    def holding_the_same(self, dataset: "LanceDataset") -> list[CachedFragment]:
        """The cached fragments that hold the same in another version's columns, too.

        Not those of whose columns one was dropped, or came back by a restore: its values are there
        or not by its number alone, and its name may be another's meanwhile.
        """
        fields = fields_of(dataset)
        if fields == self.fields:
            return list(self.cache.fragments)
        return [
            each
            for each in self.cache.fragments
            if columns_held(each, fields) == columns_held(each, self.fields)
        ]

    @cached_property
    def rows(self) -> int:
        """How many there are."""
        return int(self.dataset.count_rows())

    @cached_property
    def has_places(self) -> bool:
        """Whether a row's id says where in the files it is."""
        return not self.dataset.has_stable_row_ids

    def vectors(self, row_ids: RowIds) -> FloatVector:
        """The vectors of these rows, float32 [rows, dim]."""
        if not len(self.cache.tail):
            return self._read_vectors(row_ids)
        places, here = self.cache.places_of(row_ids)
        here &= np.isin(places, self.cache.tail)
        vectors = self.cache.vectors(places[here])
        if here.all():
            return vectors
        read = self._read_vectors(row_ids[~here])
        found = np.empty((len(row_ids), read.shape[1]), np.float32)
        found[here], found[~here] = vectors, read
        return found

    def take(self, row_ids: RowIds, columns: list[str]) -> pa.Table:
        """These rows in this order, without their vectors."""
        places, here = self.cache.places_of(row_ids)
        cached = self.cache.take(places[here], columns)
        if here.all():
            return cached
        read = self._read(row_ids[~here], columns).cast(cached.schema)
        order = np.argsort(np.concatenate([np.flatnonzero(here), np.flatnonzero(~here)]))
        return pa.concat_tables([cached, read]).take(order)

    def words(self, row_ids: RowIds) -> list[str]:
        """The words of these rows, as their column has them or should have."""
        if self.has_stale_words:
            rows = to_dicts(self.take(row_ids, columns_with_words(self.registry)))
            found: list[str] = words_column(rows, self.registry).to_pylist()
            return found
        return [words or "" for words in self._read(row_ids, [WORDS])[WORDS].to_pylist()]

    @cached_property
    def has_stale_words(self) -> bool:
        """Whether the column of words may have some of a dropped key; upkeep writes it anew."""
        return stale_words(self.dataset.schema) is not None

    def having(
        self, column: str, values: "Collection[str]", columns: list[str], oldest: int | None = None
    ) -> pa.Table:
        """The rows that have one of these values in a text column.

        Args:
            column: of texts.
            values: of it.
            columns: to return.
            oldest: how many at most, those that were added first, in this order; the date and the
                id have to be among the columns.
        """
        found = self.cache.having(column, values, columns)
        if self._uncached and values:
            scanner = self.dataset.scanner(
                columns=columns,
                filter=text_in(column, values),
                fragments=self._uncached,
                order_by=None if oldest is None else ["created_at", "id"],
                limit=oldest,
            )
            found = pa.concat_tables([found, scanner.to_table().cast(found.schema)])
        if oldest is None:
            return found
        return found.sort_by([(name, "ascending") for name in ("created_at", "id")])[:oldest]

    def rows_having(self, column: str, values: "Collection[str]") -> tuple[RowIds, list[str]]:
        """The rows that have one of these values in a text column, and the value of each."""
        places = self.cache.places_having(column, values)
        rows, found = self.cache.row_ids[places], self.cache.take(places, [column])
        if self._uncached and values:
            scanner = self.dataset.scanner(
                columns=[column],
                filter=text_in(column, values),
                fragments=self._uncached,
                with_row_id=True,
            )
            read = scanner.to_table()
            rows = np.concatenate([rows, read[ROW_ID].to_numpy()])
            found = pa.concat_tables([found, read.select([column]).cast(found.schema)])
        return rows, found[column].to_pylist()

    def count(self, where: str) -> int:
        """How many rows a predicate lets through."""
        return self.rows if where == ALWAYS else int(self.dataset.count_rows(filter=where))

    def row_ids(self, where: str) -> RowIds:
        """The rows that a predicate lets through."""
        if where == ALWAYS and len(self.cache.row_ids) == self.rows:
            return self.cache.row_ids
        found = self.dataset.scanner(columns=[], filter=where, with_row_id=True)
        return np.asarray(found.to_table()[ROW_ID].to_numpy())

    @cached_property
    def has_mapped_vectors(self) -> bool:
        """Whether thousands of vectors can be read in some milliseconds."""
        read = self._fragments.keys() & self._indexed if self.has_tail else self._fragments
        return self._known.vectors.can_read(self.dataset, self._fragments, read)

    def _read_vectors(self, row_ids: RowIds) -> FloatVector:
        found = self._known.vectors.read(self.dataset, self._fragments, row_ids)
        return as_matrix(self._read(row_ids, ["vector"])["vector"]) if found is None else found

    def _read(self, row_ids: RowIds, columns: list[str]) -> pa.Table:
        # The public ways to read rows count them from the table's first, or look for a filter.
        return self.dataset._take_rows(row_ids.tolist(), columns=columns)
