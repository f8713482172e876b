"""The table at one version, for everything that a search reads of it.

Rows may be added, joined and restored meanwhile: a snapshot is of one moment, so that what one step
of a search finds, the next finds again. The rows that the vector index does not know are held in
memory, and the columns of as many others as there is room for; see `store.snapshot.fragments` for
what that
saves, and `store.snapshot.latest` for how they get there. What is not held, the engine reads.
"""

from datetime import datetime
from functools import cached_property
from typing import TYPE_CHECKING, Any

import numpy as np
import pyarrow as pa

from store.metadata.columns import Registry
from store.metadata.filters import ALWAYS
from store.metadata.literals import among
from store.metadata.rows import as_matrix, to_dicts
from store.schemas import FloatVector
from store.snapshot.fragments import ROW_ID, Held, HeldFragment, RowIds
from store.snapshot.mapped_vectors import VectorFiles
from store.snapshot.sampling import sampled

if TYPE_CHECKING:
    from collections.abc import Collection, Sequence

    from lance import LanceDataset

SAMPLE_ROWS = 512
SAMPLE_MOMENTS = 256


class Snapshot:
    """A version of the table. Whatever reads rows blocks.

    Args:
        dataset: at this version.
        held: the fragments in memory.
        indexed: the numbers of the fragments that the vector index knows; None where there is none.
        files: of the vectors that are not held.

    Attributes:
        knows_tail: whether all rows that it does not know are in memory.
    """

    def __init__(
        self,
        dataset: "LanceDataset",
        held: "Sequence[HeldFragment]",
        indexed: "Collection[int] | None",
        files: VectorFiles,
    ) -> None:
        self.dataset = dataset
        self._files = files
        self.version = int(dataset.version)
        self.indexed = indexed is not None
        self._indexed = set(indexed or ())
        fragments = dataset.get_fragments()
        self._fragments = {each.fragment_id: each for each in fragments}
        self._tail = [each for each in fragments if each.fragment_id not in (indexed or ())]
        tail, numbers = {each.fragment_id for each in self._tail}, {each.number for each in held}
        self._others = [each for each in fragments if each.fragment_id not in numbers]
        self.knows_tail = tail <= numbers
        self.held = Held(held, tail & numbers, dataset.schema)

    @cached_property
    def registry(self) -> Registry:
        """The metadata columns."""
        return Registry.from_schema(self.dataset.schema)

    @cached_property
    def rows(self) -> int:
        """How many there are."""
        return int(self.dataset.count_rows())

    @cached_property
    def sample(self) -> FloatVector:
        """The vectors of some rows, float32 [up to 512, dim]."""
        places = sampled(self.rows, SAMPLE_ROWS)
        if len(self.held.tail) == self.rows:
            return self.held.vectors(places)
        found = self.dataset.take(places.tolist(), columns=["vector"])
        return as_matrix(found["vector"])

    @cached_property
    def moments(self) -> list[datetime]:
        """The dates of some rows, newest first."""
        places = sampled(self.rows, SAMPLE_MOMENTS)
        if len(self.held) == self.rows:
            found = self.held.taken(places, ["created_at"])
        else:
            found = self.dataset.take(places.tolist(), columns=["created_at"])
        return sorted((row["created_at"] for row in to_dicts(found)), reverse=True)

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
        return [
            index.field_names[0]
            for index in self.dataset.describe_indices()
            if known - _fragments_of(index)
        ]

    def vectors(self, row_ids: RowIds) -> FloatVector:
        """The vectors of these rows, float32 [rows, dim]."""
        places, here = self.held.places_of(row_ids)
        here &= np.isin(places, self.held.tail)
        if not here.any():
            return self._read_vectors(row_ids)
        held = self.held.vectors(places[here])
        if here.all():
            return held
        vectors = np.empty((len(row_ids), held.shape[1]), np.float32)
        vectors[here], vectors[~here] = held, self._read_vectors(row_ids[~here])
        return vectors

    def take(self, row_ids: RowIds, columns: list[str]) -> pa.Table:
        """These rows in this order, without their vectors."""
        places, here = self.held.places_of(row_ids)
        held = self.held.taken(places[here], columns)
        if here.all():
            return held
        read = self._read(row_ids[~here], columns).cast(held.schema)
        order = np.argsort(np.concatenate([np.flatnonzero(here), np.flatnonzero(~here)]))
        return pa.concat_tables([held, read]).take(order)

    def having(
        self,
        column: str,
        values: "Collection[str]",
        columns: list[str],
        oldest: int | None = None,
    ) -> pa.Table:
        """The rows that have one of these values in a text column.

        Args:
            column: of texts.
            values: of it.
            columns: to return.
            oldest: how many at most, those that were added first, in this order; the date and the
                id have to be among the columns.
        """
        found = self.held.having(column, values, columns)
        if self._others and values:
            scanner = self.dataset.scanner(
                columns=columns,
                filter=among(column, values),
                fragments=self._others,
                order_by=None if oldest is None else ["created_at", "id"],
                limit=oldest,
            )
            found = pa.concat_tables([found, scanner.to_table().cast(found.schema)])
        if oldest is None:
            return found
        return found.sort_by([(name, "ascending") for name in ("created_at", "id")])[:oldest]

    def row_ids(self, where: str) -> RowIds:
        """The rows that a predicate lets through."""
        if where == ALWAYS and len(self.held) == self.rows:
            return self.held.row_ids
        found = self.dataset.scanner(columns=[], filter=where, with_row_id=True)
        return np.asarray(found.to_table()[ROW_ID].to_numpy())

    def tail_matching(self, where: str) -> RowIds:
        """The rows that a predicate lets through, of those that the vector index does not know."""
        if not len(self.held.tail):
            return np.empty(0, np.uint64)
        found = self.dataset.scanner(
            columns=[], filter=where, fragments=self._tail, with_row_id=True
        )
        return np.asarray(found.to_table()[ROW_ID].to_numpy())

    def _read_vectors(self, row_ids: RowIds) -> FloatVector:
        found = self._files.read(self.dataset, self._fragments, row_ids)
        return as_matrix(self._read(row_ids, ["vector"])["vector"]) if found is None else found

    def _read(self, row_ids: RowIds, columns: list[str]) -> pa.Table:
        # The public ways to read rows count them from the table's first, or look for a filter.
        return self.dataset._take_rows(row_ids.tolist(), columns=columns)


def indexed_fragments(dataset: "LanceDataset") -> set[int] | None:
    """The numbers of the fragments that the vector index knows; None where there is none."""
    found = [each for each in dataset.describe_indices() if each.field_names == ["vector"]]
    return set().union(*map(_fragments_of, found)) if found else None


def _fragments_of(index: Any) -> set[int]:
    return set().union(*(set(each.fragment_ids) for each in index.segments))
