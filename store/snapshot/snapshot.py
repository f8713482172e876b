"""The table at one version, for everything that a search reads of it.

Rows may be added, joined and restored meanwhile: a snapshot is of one moment, so that what one step
of a search finds, the next finds again. What the fragment cache has is taken from memory (see
`store.snapshot.fragments` for what that saves), the rest is read by the engine.
"""

import math
from collections import Counter
from functools import cached_property
from typing import TYPE_CHECKING, TypeVar

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
from numpy.typing import NDArray

from store.metadata.objects import KEY
from store.metadata.predicates import ALWAYS
from store.metadata.rows import as_matrix, to_dicts
from store.metadata.words import WORDS
from store.schemas import FloatVector
from store.snapshot.columns import fragments_of
from store.snapshot.fragments import ROUGHNESS, ROW_ID, RowIds, distances, rough_distances
from store.snapshot.known import SAMPLE_DRIFT, Sample, sampled
from store.snapshot.object_runs import Numbers, Objects, Runs, set_numbers
from store.snapshot.rows import Rows

if TYPE_CHECKING:
    from collections.abc import Collection

SAMPLE_ROWS = 512
SAMPLE_VALUES = 4096
SAMPLE_TEXTS = 128
_MOST_CHARS = 4096
_ROWS_AT_ONCE = 8192
_Number = TypeVar("_Number", np.float64, np.int64)


class Snapshot(Rows):
    """A version of the table: samples, what indexes know, the nearest rows. All of it blocks."""

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
        return {index.field_names[0]: fragments_of(index) for index in indexes}

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
