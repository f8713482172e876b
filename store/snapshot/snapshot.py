"""The table at one version, for everything that a search reads of it.

Rows may be added, joined and restored meanwhile: a snapshot is of one moment, so that what one step
of a search finds, the next finds again. What the fragment cache has is taken from memory (see
`store.snapshot.fragments` for what that saves), the rest is read by the engine.
"""

import math
from collections import Counter
from collections.abc import Iterator
from dataclasses import dataclass
from functools import cached_property
from typing import TYPE_CHECKING, Any, TypeVar

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
from numpy.typing import NDArray

from store.metadata.columns import Registry
from store.metadata.objects import KEY
from store.metadata.predicates import ALWAYS
from store.metadata.rows import as_matrix, to_dicts
from store.metadata.values import text_in
from store.metadata.words import WORDS, columns_with_words, words_column
from store.schemas import FloatVector
from store.snapshot.fragments import (
    ROUGHNESS,
    ROW_ID,
    CachedFragment,
    FragmentCache,
    RowIds,
    distances,
    rough_distances,
)
from store.snapshot.mapped_vectors import MappedVectors
from store.snapshot.object_runs import Numbers, Objects, Runs, set_numbers
from store.snapshot.object_sets import ObjectSets
from store.snapshot.vocabulary import Vocabulary
from store.table.names import stale_words

if TYPE_CHECKING:
    from collections.abc import Collection, Sequence

    from lance import LanceDataset

SAMPLE_ROWS = 512
SAMPLE_VALUES = 4096
SAMPLE_DRIFT = 0.02
SAMPLE_TEXTS = 128
_MOST_CHARS = 4096
_ROWS_AT_ONCE = 8192
_SEED = 20
_Number = TypeVar("_Number", np.float64, np.int64)


@dataclass(frozen=True)
class Sample:
    """Values of a column.

    Attributes:
        values: rising, those that there are.
        size: of how many rows.
        rows: that the table had.
        version: of the table.
    """

    values: list[Any]
    size: int
    rows: int
    version: int


class KnownFiles:
    """What is known of a table's files, for all its versions: they never change; and samples."""

    def __init__(self) -> None:
        self.vectors = MappedVectors()
        self.vocabulary = Vocabulary()
        self.sets = ObjectSets()
        self.samples: dict[frozenset[int], Sample] = {}


class Snapshot:
    """A version of the table. Whatever reads rows blocks.

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
            each for each in self.cache.fragments if _held(each, fields) == _held(each, self.fields)
        ]

    @cached_property
    def rows(self) -> int:
        """How many there are."""
        return int(self.dataset.count_rows())

    @cached_property
    def sample(self) -> FloatVector:
        """The vectors of some rows, float32 [up to 512, dim]."""
        places = sampled(self.rows, SAMPLE_ROWS)
        if len(self.cache.tail) == self.rows:
            return self.cache.vectors(places)
        return as_matrix(self.dataset.take(places.tolist(), columns=["vector"])["vector"])

    @cached_property
    def word_counts(self) -> tuple[int, Counter[str]]:
        """How many of the rows were looked at, and how many of them have each word or beginning.

        Of long texts the first words count.
        """
        places = sampled(self.rows, SAMPLE_TEXTS)
        found = self.dataset.take(places.tolist(), columns=[WORDS])[WORDS].to_pylist()
        words = (set((each or "")[:_MOST_CHARS].split(" ")) for each in found)
        return len(found), Counter(word for own in words for word in own)

    def sample_of(self, column: str) -> "Sample":
        """Values of a column in some rows: of this version or one before it, which is as good."""
        known = self._known.samples.get(self.fields[column])
        if known is None or abs(known.rows - self.rows) > SAMPLE_DRIFT * known.rows:
            known = self._sampled(column)
            self._known.samples[self.fields[column]] = known
        return known

    def forget_sample(self, column: str) -> None:
        """Another sample is needed next time, if this one was of another version."""
        known = self._known.samples.get(self.fields[column])
        if known is not None and known.version != self.version:
            self._known.samples.pop(self.fields[column], None)

    def _sampled(self, column: str) -> "Sample":
        places = sampled(self.rows, SAMPLE_VALUES)
        found = to_dicts(self.dataset.take(places.tolist(), columns=[column]))
        values = sorted(row[column] for row in found if row[column] is not None)
        return Sample(values, len(found), self.rows, self.version)

    def indexes_know(self, where: str) -> bool:
        """Whether the indexes of a predicate's columns know all rows that the vector index does.

        Each is made and brought up to date by itself, and a search of what the vector index knows
        alone asks them about rows that they lack: it leaves out rows that match, and with a NOT it
        returns rows that do not (pylance 13 `fast_search`).
        """
        return not any(column in where for column in self._behind)

    @cached_property
    def _behind(self) -> list[str]:
        """The columns whose index lacks rows that the vector index knows."""
        known = self._fragments.keys() & self._indexed
        return [column for column, own in self.index_fragments.items() if known - own]

    @cached_property
    def index_fragments(self) -> dict[str, set[int]]:
        """The columns that have an index, and the numbers of the fragments that it knows."""
        indexes = self.dataset.describe_indices()
        return {index.field_names[0]: _fragments_of(index) for index in indexes}

    def unindexed_words_near(self, words: "Collection[str]") -> set[str]:
        """The words of rows that the text index lacks which are one typo away from one of these."""
        known = self.index_fragments.get(WORDS, set())
        lacking = self._fragments.keys() - known
        return self._known.vocabulary.near([self._fragments[number] for number in lacking], words)

    def sets_of(self, row_ids: RowIds) -> Numbers:
        """The set of objects that each of these images names, uint64 [rows]; 0 for none."""
        # Not those of large fragments: to look into a file's numbers takes a tenth of the time.
        places, here = self.cache.places_of(row_ids)
        here &= np.isin(places, self.cache.tail)
        found = np.empty(len(row_ids), np.uint64)
        found[here] = set_numbers(self.cache.take(places[here], [KEY])[KEY])
        if not here.all():
            known = self._known.sets
            found[~here] = known.of_images(self.dataset, self._fragments, row_ids[~here])
        return found

    def objects_of(self, sets: Numbers) -> Objects:
        """The objects of these sets, of which 0 is none: of a table of objects."""
        found = Objects.joined([runs.objects_of(sets) for runs in self._runs])
        return found.at(sets[found.owners] != 0)

    @cached_property
    def _runs(self) -> list[Runs]:
        return self._known.sets.runs(self.dataset, self._fragments, self.cache.fragments)

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

    def nearest_unindexed(
        self,
        vector: FloatVector,
        count: int,
        where: str = ALWAYS,
        *,
        farthest: float = math.inf,
        rough: FloatVector | None = None,
    ) -> tuple[RowIds, NDArray[np.float64]]:
        """So many of the nearest rows of the tail in memory, and all as far off as the last.

        They are in any order, with their cosine distances; those farther off than `farthest` may
        be missing.

        Args:
            vector: float32 [dim].
            count: how many.
            where: an SQL predicate that they fulfil.
            farthest: the largest distance that counts.
            rough: the cache's `rough_distances` to the vector, where they are known already.
        """
        places = self.cache.tail
        if rough is None:
            [rough] = self.cache.rough_distances(vector[np.newaxis])
        if farthest < math.inf:
            near = rough <= farthest + ROUGHNESS
            places, rough = places[near], rough[near]
        if where != ALWAYS and len(places):
            found = self.dataset.scanner(
                columns=[], filter=where, fragments=self._tail, with_row_id=True
            )
            matching = found.to_table()[ROW_ID].to_numpy()
            near = np.isin(self.cache.row_ids[places], matching)
            places, rough = places[near], rough[near]
        if len(places) > count:
            last = np.partition(rough, count - 1)[count - 1]
            places = places[rough <= last + 2 * ROUGHNESS]
        return self.cache.row_ids[places], distances(self.cache.vectors(places), vector)

    def nearest_among(
        self, row_ids: RowIds, vector: FloatVector, count: int
    ) -> tuple[RowIds, NDArray[np.float64]]:
        """So many of these rows, the nearest to a vector, and all as far off as the last.

        They are in any order, with their cosine distances, float64 [rows].
        """
        rough = np.empty(len(row_ids), np.float32)
        for first in range(0, len(row_ids), _ROWS_AT_ONCE):
            part = slice(first, first + _ROWS_AT_ONCE)
            rough[part] = rough_distances(self.vectors(row_ids[part]), vector)
        if len(row_ids) > count:
            last = np.partition(rough, count - 1)[count - 1]
            row_ids = row_ids[rough <= last + 2 * ROUGHNESS]
        return row_ids, distances(self.vectors(row_ids), vector)

    def ranked(
        self, row_ids: RowIds, numbers: NDArray[_Number], page: slice
    ) -> tuple[RowIds, NDArray[_Number]]:
        """A page of rows by a number, lowest first, those that share it by id; and their numbers.

        Ids are read only where they decide: few rows but a picture's copies share a number.

        Args:
            row_ids: in any order, each once.
            numbers: of the rows, such as their distances.
            page: which of them, such as ``slice(10, 20)``.
        """
        if len(row_ids) > page.stop:
            near = numbers <= np.partition(numbers, page.stop - 1)[page.stop - 1]
            row_ids, numbers = row_ids[near], numbers[near]
        order = np.argsort(numbers)
        row_ids, numbers = row_ids[order], numbers[order]
        same = np.concatenate([[False], numbers[1:] == numbers[:-1], [False]])
        shared = np.flatnonzero(same[1:] | same[:-1])
        if len(shared):
            ids = self.take(row_ids[shared], ["id"]).append_column("n", pa.array(numbers[shared]))
            by_id = pc.sort_indices(ids, [("n", "ascending"), ("id", "ascending")])
            row_ids[shared] = row_ids[shared][by_id.to_numpy()]
        return row_ids[page], numbers[page]

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


Fields = dict[str, frozenset[int]]
"""A table's columns, and under which numbers its files hold each: a number is never used again."""


def fields_of(dataset: "LanceDataset") -> Fields:
    """The columns of a version of the table."""
    return {each.name(): frozenset(_numbers(each)) for each in dataset.lance_schema.fields()}


def _numbers(field: Any) -> Iterator[int]:
    yield field.id()
    for child in field.children():
        yield from _numbers(child)


def _held(fragment: CachedFragment, fields: Fields) -> Fields:
    """The columns that the files of a fragment hold values of."""
    numbers = {number for file in fragment.metadata.files for number in file.fields}
    return {name: own for name, own in fields.items() if own & numbers}


def sampled(rows: int, size: int) -> NDArray[np.int64]:
    """The places of some of a table's rows, of all where there are not more; rising.

    They are the same for the same number of rows.
    """
    if rows <= size:
        return np.arange(rows)
    drawn = np.random.default_rng(_SEED).random(size) * rows
    return np.unique(drawn.astype(np.int64))


def indexed_fragments(dataset: "LanceDataset") -> set[int] | None:
    """The numbers of the fragments that the vector index knows; None where there is none."""
    found = [each for each in dataset.describe_indices() if each.field_names == ["vector"]]
    return set().union(*map(_fragments_of, found)) if found else None


def _fragments_of(index: Any) -> set[int]:
    return set().union(*(set(each.fragment_ids) for each in index.segments))
