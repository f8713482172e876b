"""Vectors read from the table's own files, mapped into memory.

To rank candidates by their true distance takes the vectors of up to thousands of rows, each
somewhere else. The engine reads each by itself, in some 20 microseconds of processor time: 40 ms
for the 2048 of a search by text. But vectors do not shrink by packing, so they lie in a file as
they are, one after the other, and the file's own description says where. Out of the mapped file the
same rows take 1 ms; the memory stays the system's, which takes it back when it needs it.

Where a file is laid out in another way, cannot be mapped, or lies in an object store, the engine
reads on.
"""

import mmap
from collections.abc import Iterable, Mapping
from itertools import pairwise
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

from store.metadata.rows import as_matrix
from store.schemas import FloatVector
from store.snapshot.fragments import PLACE_BITS, ROW_ID, RowIds, vector_dim
from store.table.disk.location import Location

if TYPE_CHECKING:
    from lance import LanceDataset
    from lance.fragment import LanceFragment

_VECTOR = "vector"
_ITEM_BYTES = 4
_PLACE_MASK = np.uint64(0xFFFFFFFF)
# Of each file so many rows are read by the engine, too, to see that it finds the same.
_COMPARED = 16


class VectorFile:
    """The vectors of one file; deleted rows keep their places.

    Args:
        pages: float32 [rows, dim] each, in the order of the rows.
    """

    def __init__(self, pages: list[FloatVector]) -> None:
        self._pages = pages
        self._ends = np.cumsum([len(page) for page in pages])

    def __len__(self) -> int:
        """How many rows there are."""
        return int(self._ends[-1]) if len(self._ends) else 0

    def read(self, places: NDArray[np.int64], into: FloatVector) -> None:
        """Reads the vectors in these places, which rise, into float32 [places, dim]."""
        begins = [0, *np.searchsorted(places, self._ends).tolist()]
        for page, end, (first, last) in zip(self._pages, self._ends, pairwise(begins), strict=True):
            if first < last:
                inside = places[first:last] - (end - len(page))
                # Unlike an index into the array, this lets other threads go on while the disk is
                # read. And with another mode it would read into a copy first.
                page.take(inside, axis=0, out=into[first:last], mode="clip")


class VectorFiles:
    """The mapped files of a table, for all its versions: a file never changes."""

    def __init__(self) -> None:
        self._files: dict[str, VectorFile | None] = {}

    def read(
        self,
        dataset: "LanceDataset",
        fragments: "Mapping[int, LanceFragment]",
        row_ids: RowIds,
    ) -> FloatVector | None:
        """The vectors of these rows, float32 [rows, dim]; None where the engine has to read them.

        Blocks.

        Args:
            dataset: that the rows are of.
            fragments: of it, by their numbers.
            row_ids: of rows that there are; quickest where they rise.
        """
        order = None if _is_rising(row_ids) else np.argsort(row_ids)
        rising = row_ids if order is None else row_ids[order]
        numbers, places = rising >> PLACE_BITS, (rising & _PLACE_MASK).astype(np.int64)
        vectors = np.empty((len(rising), vector_dim(dataset.schema)), np.float32)
        for number in np.unique(numbers).tolist():
            file = self._of(dataset, fragments[number])
            if file is None:
                return None
            first, last = np.searchsorted(numbers, [number, number + 1]).tolist()
            file.read(places[first:last], vectors[first:last])
        return vectors if order is None else vectors[np.argsort(order)]

    def keep(self, fragments: "Iterable[LanceFragment]") -> None:
        """Lets go of all files but those of these fragments."""
        named = {file.path for each in fragments for file in each.metadata.files}
        self._files = {path: file for path, file in self._files.items() if path in named}

    def _of(self, dataset: "LanceDataset", fragment: "LanceFragment") -> VectorFile | None:
        if Location(dataset.uri).folder is None or dataset.has_stable_row_ids:
            return None
        fields = {each.name(): each.id() for each in dataset.lance_schema.fields()}
        described = [each for each in fragment.metadata.files if fields[_VECTOR] in each.fields]
        if len(described) != 1 or described[0].base_id is not None:  # it lies elsewhere
            return None
        path = described[0].path
        if path not in self._files:
            self._files[path] = _mapped(dataset, fragment, described[0], fields[_VECTOR])
        return self._files[path]


def _mapped(
    dataset: "LanceDataset", fragment: "LanceFragment", described: Any, field: int
) -> VectorFile | None:
    """The file, if it is laid out as is known here."""
    column = described.column_indices[described.fields.index(field)]
    path = Path(dataset.uri, "data", described.path)
    file = VectorFile(_pages(path, column, vector_dim(dataset.schema)))
    if len(file) != fragment.physical_rows or not _reads_alike(file, dataset, fragment):
        return None
    return file


def _pages(path: Path, column: int, dim: int) -> list[FloatVector]:
    """The pages of a column, those that can be vectors as they are."""
    from lance.file import LanceFileReader  # noqa: PLC0415 - see store.table.open

    described = LanceFileReader(str(path)).metadata().columns[column].pages
    try:
        with path.open("rb") as opened:
            mapped = mmap.mmap(opened.fileno(), 0, access=mmap.ACCESS_READ)
    except OSError:  # some file systems cannot; whatever else it was, the engine says
        return []
    mapped.madvise(mmap.MADV_RANDOM)  # else the system reads some 100 KiB around each row
    buffers = [page.buffers[0] for page in described if len(page.buffers) == 1]
    return [
        np.ndarray((buffer.size // (_ITEM_BYTES * dim), dim), np.float32, mapped, buffer.position)
        for buffer in buffers
        if buffer.size % (_ITEM_BYTES * dim) == 0 and buffer.position % _ITEM_BYTES == 0
    ]


def _reads_alike(file: VectorFile, dataset: "LanceDataset", fragment: "LanceFragment") -> bool:
    """Whether the engine reads the same."""
    live = fragment.scanner(columns=[], with_row_id=True).to_table()[ROW_ID].to_numpy()
    some = live[np.linspace(0, len(live) - 1, _COMPARED).astype(np.int64)]
    read = as_matrix(dataset._take_rows(some.tolist(), columns=[_VECTOR])[_VECTOR])
    found = np.empty_like(read)
    file.read((some & _PLACE_MASK).astype(np.int64), found)
    return np.array_equal(found, read)


def _is_rising(row_ids: RowIds) -> bool:
    return bool((row_ids[1:] >= row_ids[:-1]).all())
