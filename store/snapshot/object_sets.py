"""Where the objects of some images are, by what the files of both tables say of their sets.

An image names its objects by the key of their set. To look up those of a thousand images by the
index of the keys takes 10 to 30 ms; here, where the keys in each file are in memory as numbers, it
takes one. For a million images with five objects each they take 30 MB, and a second to be read, by
the first search that needs them.
"""

from collections.abc import Callable, Iterable, Mapping
from functools import partial
from typing import TYPE_CHECKING, Generic, TypeVar

import numpy as np
import pyarrow as pa

from store.metadata.objects import KEY
from store.snapshot.fragments import PLACE_BITS, ROW_ID, CachedFragment, RowIds
from store.snapshot.object_runs import Numbers, Runs, set_numbers

if TYPE_CHECKING:
    from lance import LanceDataset
    from lance.fragment import LanceFragment

Fragments = Mapping[int, "LanceFragment"]
_T = TypeVar("_T")
# Of a file: all of those with fewer are looked through at once.
_FEW_RUNS = 1024
_PLACE_MASK = np.uint64((1 << int(PLACE_BITS)) - 1)


class _Files(Generic[_T]):
    """What was read of a table's files, by their names."""

    def __init__(self) -> None:
        self._known: dict[str, _T] = {}

    def get(self, name: str, read: Callable[[], _T], named: Callable[[], set[str]]) -> _T:
        """What is known of a file.

        Args:
            name: of the file.
            read: reads it, where it is not known yet.
            named: tells the names of all there are; what is known of others is forgotten then.
        """
        if name not in self._known:
            # Searches run in threads: one that is slower must find its own file all the same.
            found, names = read(), named()
            kept = {other: own for other, own in list(self._known.items()) if other in names}
            self._known = {**kept, name: found}
            return found
        return self._known[name]


class ObjectSets:
    """The sets in the files of one table, of images or of objects, for all its versions."""

    def __init__(self) -> None:
        self._named = _Files[Numbers]()
        self._runs = _Files[Runs]()

    def of_images(self, dataset: "LanceDataset", fragments: Fragments, rows: RowIds) -> Numbers:
        """The set of each of these images. Blocks."""
        [field] = [each.id() for each in dataset.lance_schema.fields() if each.name() == KEY]
        owners, places = rows >> PLACE_BITS, (rows & _PLACE_MASK).astype(np.int64)
        found = np.zeros(len(rows), np.uint64)
        for number in np.unique(owners).tolist():
            fragment = fragments[number]
            if (file := _file_of(field, fragment)) is not None:
                known = self._named.get(
                    file,
                    partial(_named_in, dataset, fragment),
                    lambda: {_file_of(field, each) or "" for each in fragments.values()},
                )
                here = owners == number
                found[here] = known[places[here]]
        return found

    def runs(
        self, dataset: "LanceDataset", fragments: Fragments, cached: Iterable[CachedFragment]
    ) -> list[Runs]:
        """The runs of a version of the table of objects. Blocks.

        Args:
            dataset: the table.
            fragments: of it, by their numbers.
            cached: those in memory.
        """
        there = {each.number: each for each in cached}
        names = {number: _live_rows(each) for number, each in fragments.items()}
        found = [
            self._runs.get(
                names[number],
                partial(_runs_in, dataset, fragment, there.get(number)),
                lambda: set(names.values()),
            )
            for number, fragment in fragments.items()
        ]
        few = [each for each in found if len(each.sets) < _FEW_RUNS]
        return [*(each for each in found if len(each.sets) >= _FEW_RUNS), Runs.joined(few)]


def _file_of(field: int, fragment: "LanceFragment") -> str | None:
    """The file with a column of a fragment; None where it has none, so that all of it is NULL."""
    return next((each.path for each in fragment.metadata.files if field in each.fields), None)


def _named_in(dataset: "LanceDataset", fragment: "LanceFragment") -> Numbers:
    """By their places in a fragment the sets of all its images, of deleted ones, too."""
    scanner = dataset.scanner(
        columns=[KEY], fragments=[fragment], with_row_id=True, include_deleted_rows=True
    )
    return set_numbers(scanner.to_table()[KEY])


def _live_rows(fragment: "LanceFragment") -> str:
    """What a fragment's rows are called as long as none of them is deleted."""
    files = [each.path for each in fragment.metadata.files]
    return f"{files} {fragment.metadata.deletion_file!r}"


def _runs_in(
    dataset: "LanceDataset", fragment: "LanceFragment", cached: CachedFragment | None
) -> Runs:
    if cached is not None:
        return Runs.of(cached.columns.append_column(ROW_ID, pa.array(cached.row_ids)))
    scanner = dataset.scanner(columns=[KEY, "n"], fragments=[fragment], with_row_id=True)
    return Runs.of(scanner.to_table())
