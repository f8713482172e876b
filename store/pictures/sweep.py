"""Removes the files of pictures that no table needs: they are marked first, and removed later."""

import contextlib
import os
import time
from collections.abc import Iterable, Iterator, Mapping
from datetime import timedelta
from pathlib import Path

import numpy as np
import pyarrow.compute as pc
from numpy.typing import NDArray

from store.pictures.files import COLUMNS, FOLDER, KEY, MARK, Kind
from store.table.connection import open_dataset

SETTLED_S = 600.0
"""Age from which a file counts: a younger one may belong to an image that is not written yet."""

_PREFIX_DIGITS = 16
Prefixes = NDArray[np.uint64]


def sweep_pictures(store: Path, keep: timedelta) -> int:
    """Looks through the files of a store once. Blocks.

    Every table counts, not only the one in use: one that is being filled for another model, and
    those that were the index once, name files too. Where there is no table at all, it was lost, and
    the files are what is left.

    Args:
        store: its folder.
        keep: how long versions of the table can bring an image back.

    Returns:
        How many files were removed.

    Raises:
        OSError, ValueError: a table cannot be read. Then nothing was removed.
    """
    tables = [table for table in sorted(store.glob("*.lance")) if _has_versions(table)]
    if not tables:
        return 0
    uris = [str(table) for table in tables]
    return sweep(store, {kind: used(uris, column) for kind, column in COLUMNS.items()}, keep)


def sweep(store: Path, used: Mapping[Kind, Prefixes], keep: timedelta) -> int:
    """Marks the files that no image needs, and removes those that were marked long enough ago.

    Args:
        store: its folder.
        used: by kind the `key_prefixes` of all that is needed.
        keep: age of a mark from which on its file is removed.

    Returns:
        How many were removed.
    """
    return sum(
        _sweep(folder, needed, time.time(), keep.total_seconds())
        for kind, needed in used.items()
        for folder in sorted((store / FOLDER / kind).glob("*/"))
    )


def key_prefixes(keys: Iterable[str]) -> Prefixes:
    """The first digits of keys, in order: 8 bytes for each, where the keys would take 100.

    Two keys that begin alike protect each other's file, which costs one file.
    """
    digits = bytes.fromhex("".join(key[:_PREFIX_DIGITS] for key in keys))
    return np.frombuffer(digits, ">u8").astype(np.uint64)


def _has_versions(table: Path) -> bool:
    """Whether it is a table; what is left of one whose making or deleting was cut off is none."""
    return any((table / "_versions").glob("*.manifest"))


def used(tables: Iterable[str], column: str, options: dict[str, str] | None = None) -> Prefixes:
    """The `key_prefixes` of what tables name in a column. Blocks.

    Args:
        tables: their URIs.
        column: that names files.
        options: of their object store.
    """
    parts = [part for table in tables for part in _prefixes(table, column, options)]
    return np.unique(np.concatenate([np.empty(0, np.uint64), *parts]))


def _prefixes(table: str, column: str, options: dict[str, str] | None) -> Iterator[Prefixes]:
    dataset = open_dataset(table, options)
    if column not in dataset.schema.names:  # a table of an earlier release may lack it
        return
    for batch in dataset.scanner(columns=[column]).to_batches():
        are_keys = pc.match_substring_regex(batch[column], "^[0-9a-f]{64}$")
        yield key_prefixes(batch[column].filter(are_keys).to_pylist())


def _sweep(folder: Path, needed: Prefixes, now: float, keep_s: float) -> int:
    """Marks and removes what is due in one folder; how many files were removed.

    Nearly all of its files are needed and not marked: these are neither looked at nor touched.
    """
    names = [entry.name for entry in os.scandir(folder)]
    keys = [name for name in names if KEY.fullmatch(name.removesuffix(MARK))]
    is_needed = dict(zip(keys, np.isin(key_prefixes(keys), needed).tolist(), strict=True))
    removed = 0
    for name in names:
        if is_needed.get(name, False) and not name.endswith(MARK):
            continue
        with contextlib.suppress(FileNotFoundError):  # another process was faster
            path = folder / name
            age_s = now - path.stat().st_mtime
            removed += _settle(path, is_needed.get(name, False), age_s, keep_s)
    return removed


def _settle(path: Path, is_needed: bool, age_s: float, keep_s: float) -> int:
    """Does what is due with one file; how many were removed."""
    is_marked = path.name.endswith(MARK)
    if is_needed:
        if is_marked:
            path.replace(path.with_name(path.name.removesuffix(MARK)))
    elif not is_marked and KEY.fullmatch(path.name):
        if age_s > SETTLED_S:
            os.utime(path.replace(path.with_name(path.name + MARK)))
    elif age_s > max(keep_s, SETTLED_S):  # a write that was cut off leaves a file of another name
        path.unlink()
        return 1
    return 0
