"""Vectors read from the table's own files, mapped into memory.

To rank candidates by their true distance takes the vectors of tens to hundreds of rows, each
somewhere else. The engine reads each in some 20 microseconds of processor time, or with its own
`refine_factor` in no less. But vectors do not shrink by packing, so they lie in a file as they are,
one after the other, and the file's own description says where. Measured among 100,000 rows: a
search by picture takes 2.8 ms in place of 5.9, near-duplicates 4.2 in place of 6.4, a search by
text 17 in place of 24. The memory stays the system's, which takes it back when it needs it.

A file is read ahead as a whole when it is mapped, if half of the memory that is free has place for
it: a row that has to come from the disk takes 30 microseconds, half of them of processor time, and
a search by text among a million rows reads 700 of them.

Where a file is laid out in another way, cannot be mapped, or lies in an object store, the engine
reads on.
"""

import mmap
import os
import threading
from collections.abc import Iterable, Mapping
from itertools import pairwise
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
import psutil

from store.metadata.rows import as_matrix
from store.schemas import FloatVector
from store.snapshot.fragments import PLACE_BITS, ROW_ID, Places, RowIds
from store.table.disk.location import Location

if TYPE_CHECKING:
    from lance import LanceDataset
    from lance.fragment import LanceFragment

_VECTOR = "vector"
_PLACE_MASK = np.uint64((1 << int(PLACE_BITS)) - 1)
# Of each file so many rows are read by the engine, too, to see that it finds the same.
_COMPARED = 16
_PART_BYTES = 1 << 20
_ONE_AT_A_TIME = threading.Lock()

Pages = list[FloatVector]
"""The vectors of one file, float32 [rows, dim] each; deleted rows keep their places."""


class MappedVectors:
    """The mapped files of a table, for all its versions: a file never changes."""

    def __init__(self) -> None:
        self._files: dict[str, Pages | None] = {}

    def read(
        self, dataset: "LanceDataset", fragments: "Mapping[int, LanceFragment]", row_ids: RowIds
    ) -> FloatVector | None:
        """The vectors of these rows, float32 [rows, dim]; None where the engine has to read them.

        Blocks.

        Args:
            dataset: that the rows are of.
            fragments: of it, by their numbers.
            row_ids: of rows that there are.
        """
        order = np.argsort(row_ids)
        rising = row_ids[order]
        numbers, places = rising >> PLACE_BITS, (rising & _PLACE_MASK).astype(np.int64)
        dim = dataset.schema.field(_VECTOR).type.list_size
        vectors = np.empty((len(rising), dim), np.float32)
        for number in np.unique(numbers).tolist():
            pages = self._of(dataset, fragments, number)
            if pages is None:
                return None
            first, last = np.searchsorted(numbers, [number, number + 1]).tolist()
            _read(pages, places[first:last], vectors[first:last])
        return vectors if bool((order[1:] > order[:-1]).all()) else vectors[np.argsort(order)]

    def can_read(
        self,
        dataset: "LanceDataset",
        fragments: "Mapping[int, LanceFragment]",
        numbers: Iterable[int],
    ) -> bool:
        """Whether the files of these fragments are mapped, or can be now. Blocks."""
        return all(self._of(dataset, fragments, number) is not None for number in numbers)

    def _of(
        self, dataset: "LanceDataset", fragments: "Mapping[int, LanceFragment]", number: int
    ) -> Pages | None:
        fragment = fragments[number]
        if Location(dataset.uri).folder is None or dataset.has_stable_row_ids:
            return None
        [field] = [each.id() for each in dataset.lance_schema.fields() if each.name() == _VECTOR]
        described = [each for each in fragment.metadata.files if field in each.fields]
        if len(described) != 1 or described[0].base_id is not None:  # it lies elsewhere
            return None
        path = described[0].path
        if path not in self._files:  # one has come, so others may have gone
            named = {file.path for each in fragments.values() for file in each.metadata.files}
            # Searches run in threads: one that is slower must find its own file all the same.
            pages = _checked(dataset, fragment, described[0], field)
            files = {name: file for name, file in list(self._files.items()) if name in named}
            self._files = {**files, path: pages}
            return pages
        return self._files.get(path)


def _read(pages: Pages, places: Places, into: FloatVector) -> None:
    """Reads the vectors in these places, which rise, into float32 [places, dim]."""
    ends = np.cumsum([len(page) for page in pages])
    bounds = [0, *np.searchsorted(places, ends).tolist()]
    for page, end, (first, last) in zip(pages, ends, pairwise(bounds), strict=True):
        if first < last:
            inside = places[first:last] - (end - len(page))
            # Unlike an index into the array, this lets other threads go on while the disk is
            # read. And with another mode it would read into a copy first.
            page.take(inside, axis=0, out=into[first:last], mode="clip")


def _checked(
    dataset: "LanceDataset", fragment: "LanceFragment", described: Any, field: int
) -> Pages | None:
    """The file's pages, if it is laid out as is known here and the engine reads the same."""
    column = described.column_indices[described.fields.index(field)]
    path = Path(dataset.uri, "data", described.path)
    pages = _pages(path, column, dataset.schema.field(_VECTOR).type.list_size)
    if sum(map(len, pages)) != fragment.physical_rows:
        return None
    live = fragment.scanner(columns=[], with_row_id=True).to_table()[ROW_ID].to_numpy()
    some = live[np.linspace(0, len(live) - 1, _COMPARED).astype(np.int64)]
    read = as_matrix(dataset._take_rows(some.tolist(), columns=[_VECTOR])[_VECTOR])
    found = np.empty_like(read)
    _read(pages, (some & _PLACE_MASK).astype(np.int64), found)
    return pages if np.array_equal(found, read) else None


def _pages(path: Path, column: int, dim: int) -> Pages:
    """The pages of a column, those that can be vectors as they are."""
    from lance.file import LanceFileReader  # noqa: PLC0415 - see store.table.open

    described = LanceFileReader(str(path)).metadata().columns[column].pages
    try:
        with path.open("rb") as opened:
            mapped = mmap.mmap(opened.fileno(), 0, access=mmap.ACCESS_READ)
    except OSError:  # some file systems cannot; whatever else it was, the engine says
        return []
    threading.Thread(target=_read_ahead, args=[path], daemon=True).start()
    mapped.madvise(mmap.MADV_RANDOM)  # else the system reads some 100 KiB around each row
    row_bytes = dim * np.float32().itemsize
    buffers = [page.buffers[0] for page in described if len(page.buffers) == 1]
    return [
        np.ndarray((buffer.size // row_bytes, dim), np.float32, mapped, buffer.position)
        for buffer in buffers
        if buffer.size % row_bytes == 0 and buffer.position % np.float32().itemsize == 0
    ]


def _read_ahead(path: Path) -> None:
    """Reads a file once, so that the system has it in memory, where there is place for it. Blocks.

    To advise the system to (`posix_fadvise`) makes Linux read the first of it alone.
    """
    part = bytearray(_PART_BYTES)
    try:
        with _ONE_AT_A_TIME, path.open("rb", buffering=0) as opened:
            if os.fstat(opened.fileno()).st_size < psutil.virtual_memory().available / 2:
                while opened.readinto(part):
                    pass
    except OSError:  # upkeep has replaced it meanwhile; whatever else it was, the engine says
        return
