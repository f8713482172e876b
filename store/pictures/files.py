"""Files of pictures beside the table: thumbnails and originals.

Not columns of the table: there they would be written anew whenever fragments are joined, and read
past by every search. A file is called by what is in it, so one picture under ten urls is one file,
a version of the table that is restored finds its own pictures again, and nothing is ever changed.

What no image of the table needs any more is marked (its name gets an ending) and removed only once
no version can bring it back. A mark takes nothing away: marked files are still read.
"""

import contextlib
import os
import re
import time
from collections.abc import Iterable, Iterator, Mapping
from datetime import timedelta
from pathlib import Path
from typing import Literal
from uuid import uuid4

import numpy as np
from numpy.typing import NDArray

from store.errors import StoreFullError
from store.table.disk.location import has_space

Kind = Literal["thumbnails", "originals"]
COLUMNS: Mapping[Kind, str] = {"thumbnails": "pixels", "originals": "file"}
"""The column of the table that says what an image's file is called."""

SETTLED_S = 600.0
"""Age from which a file counts: a younger one may belong to an image that is not written yet."""

_FOLDER = "pictures"
_KEY = re.compile("[0-9a-f]{64}")
_MARK = ".unused"
_PREFIX_DIGITS = 16
Prefixes = NDArray[np.uint64]


class PictureFiles:
    """The files of one store. All of it blocks, and may be used from many threads and processes.

    Args:
        folder: the store's.
    """

    def __init__(self, folder: Path) -> None:
        self._store = folder
        self._folder = folder / _FOLDER

    def write(self, kind: Kind, key: str, data: bytes) -> None:
        """Stores a file; the same one twice is stored once.

        It is on the disk when the store's file system has been told to write everything down.

        Args:
            kind: of file.
            key: 64 hexadecimal digits that only this content has.
            data: the content.

        Raises:
            StoreFullError: there is no room.
            OSError: it cannot be written.
        """
        path = self._path(kind, key)
        with contextlib.suppress(FileNotFoundError):
            # Compared, as a power cut may have left a part of it, or nothing, under its name.
            if path.read_bytes() == data:
                os.utime(path)  # it counts as young again, and is not marked
                return
        if not has_space(self._store):
            raise StoreFullError("what is free is reserved for deletes")
        path.parent.mkdir(parents=True, exist_ok=True)
        part = path.with_name(f"{key}.{uuid4().hex}")
        try:
            part.write_bytes(data)
            part.replace(path)
        except OSError:
            part.unlink(missing_ok=True)
            raise

    def read(self, kind: Kind, key: str) -> bytes | None:
        """The content of a file, or None.

        Raises:
            OSError: it cannot be read.
        """
        if not _KEY.fullmatch(key):
            return None
        path = self._path(kind, key)
        for each in (path, _marked(path), path):  # it may be marked, or found again, meanwhile
            with contextlib.suppress(FileNotFoundError):
                return each.read_bytes()
        return None

    def sweep(self, used: Mapping[Kind, Prefixes], keep: timedelta) -> int:
        """Marks the files that no image needs, and removes those that were marked long enough ago.

        Args:
            used: by kind the `key_prefixes` of all that is needed.
            keep: age of a mark from which on its file is removed.

        Returns:
            How many were removed.
        """
        removed = 0
        for kind, needed in used.items():
            for folder in self._folders(kind):
                removed += _swept(folder, needed, time.time(), keep.total_seconds())
        return removed

    def _folders(self, kind: Kind) -> Iterator[Path]:
        with contextlib.suppress(FileNotFoundError):
            yield from sorted(each for each in (self._folder / kind).iterdir() if each.is_dir())

    def _path(self, kind: Kind, key: str) -> Path:
        if not _KEY.fullmatch(key):
            raise ValueError("a picture's key must be 64 hexadecimal digits")
        return self._folder / kind / key[:2] / key


def _marked(path: Path) -> Path:
    return path.with_name(path.name + _MARK)


def key_prefixes(keys: Iterable[str]) -> Prefixes:
    """The first digits of keys, in order: 8 bytes for each, where the keys would take 100.

    Two keys that begin alike keep each other's file, which costs one file.

    Args:
        keys: 64 hexadecimal digits each.
    """
    digits = bytes.fromhex("".join(key[:_PREFIX_DIGITS] for key in keys))
    return np.frombuffer(digits, ">u8").astype(np.uint64)


def _swept(folder: Path, needed: Prefixes, now: float, keep_s: float) -> int:
    """Does what is due in one folder; how many files were removed.

    Nearly all of its files are needed and not marked: these are neither looked at nor touched.
    """
    names = [entry.name for entry in os.scandir(folder)]
    keys = [name for name in names if _KEY.fullmatch(name.removesuffix(_MARK))]
    is_needed = dict(zip(keys, np.isin(key_prefixes(keys), needed).tolist(), strict=True))
    removed = 0
    for name in names:
        if is_needed.get(name, False) and not name.endswith(_MARK):
            continue
        with contextlib.suppress(FileNotFoundError):  # another process was faster
            path = folder / name
            age_s = now - path.stat().st_mtime
            removed += _judged(path, is_needed.get(name, False), age_s, keep_s)
    return removed


def _judged(path: Path, is_needed: bool, age_s: float, keep_s: float) -> int:
    """Does what is due with one file; how many were removed."""
    is_marked = path.name.endswith(_MARK)
    if is_needed:
        if is_marked:
            path.replace(path.with_name(path.name.removesuffix(_MARK)))
    elif not is_marked and _KEY.fullmatch(path.name):
        if age_s > SETTLED_S:
            path.replace(_marked(path))
            os.utime(_marked(path))
    elif age_s > max(keep_s, SETTLED_S):  # a write that was cut off leaves a file of another name
        path.unlink()
        return 1
    return 0
