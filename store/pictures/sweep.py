"""Which files of pictures the tables still need; the others are marked, and removed later."""

from collections.abc import Iterator
from datetime import timedelta
from pathlib import Path

import numpy as np
import pyarrow.compute as pc

from store.pictures.files import COLUMNS, PictureFiles, Prefixes, key_prefixes
from store.table.connection import open_dataset


def sweep_pictures(folder: Path, keep: timedelta) -> int:
    """Looks through the files of a store once. Blocks.

    Every table counts, not only the one in use: one that is being filled for another model, and
    those that were the index once, name files too. Where there is no table at all, it was lost, and
    the files are what is left.

    Args:
        folder: the store's.
        keep: how long versions of the table can bring an image back.

    Returns:
        How many files were removed.

    Raises:
        OSError, ValueError: a table cannot be read. Then nothing was removed.
    """
    tables = [table for table in sorted(folder.glob("*.lance")) if _has_versions(table)]
    if not tables:
        return 0
    used = {kind: _used(tables, column) for kind, column in COLUMNS.items()}
    return PictureFiles(folder).sweep(used, keep)


def _has_versions(table: Path) -> bool:
    """Whether it is a table; what is left of one whose making or deleting was cut off is none."""
    return any((table / "_versions").glob("*.manifest"))


def _used(tables: list[Path], column: str) -> Prefixes:
    parts = [part for table in tables for part in _prefixes(table, column)]
    return np.unique(np.concatenate([np.empty(0, np.uint64), *parts]))


def _prefixes(table: Path, column: str) -> Iterator[Prefixes]:
    dataset = open_dataset(str(table), None)
    if column not in dataset.schema.names:  # a table of an earlier release may lack it
        return
    for batch in dataset.scanner(columns=[column]).to_batches():
        are_keys = pc.match_substring_regex(batch[column], "^[0-9a-f]{64}$")
        yield key_prefixes(batch[column].filter(are_keys).to_pylist())
