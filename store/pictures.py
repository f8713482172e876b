"""Files of pictures beside the table: thumbnails, and the originals that are to be kept.

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
from store.space import has_room

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

    def keep(self, kind: Kind, key: str, data: bytes) -> None:
        """Keeps a file; the same one twice is kept once.

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
            os.utime(path)  # it counts as young again, and is not marked
            return
        if not has_room(self._store):
            raise StoreFullError("what is free is kept for deletes")
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
    """The first digits of keys, sorted: 8 bytes for each image, where the keys would take 100.

    Two keys that begin alike keep each other's file, which costs one file.
    """
    numbers = (int(key[:_PREFIX_DIGITS], 16) for key in keys if _KEY.fullmatch(key))
    return np.unique(np.fromiter(numbers, np.uint64))


def _swept(folder: Path, needed: Prefixes, now: float, keep_s: float) -> int:
    removed = 0
    for entry in list(os.scandir(folder)):
        path = Path(entry.path)
        with contextlib.suppress(FileNotFoundError):  # another process was faster
            age_s = now - entry.stat().st_mtime
            if age_s < SETTLED_S and not entry.name.endswith(_MARK):
                continue
            removed += _judged(path, _is_needed(entry.name, needed), age_s, keep_s)
    return removed


def _judged(path: Path, is_needed: bool, age_s: float, keep_s: float) -> int:
    """Does to one file what is due; how many were removed."""
    is_marked = path.name.endswith(_MARK)
    if is_needed:
        if is_marked:
            path.replace(path.with_name(path.name.removesuffix(_MARK)))
        return 0
    if not is_marked and _KEY.fullmatch(path.name):
        path.replace(_marked(path))
        os.utime(_marked(path))
        return 0
    if age_s > max(keep_s, SETTLED_S):  # a write that was cut off leaves a file of another name
        path.unlink()
        return 1
    return 0


def _is_needed(name: str, needed: Prefixes) -> bool:
    key = name.removesuffix(_MARK)
    if not _KEY.fullmatch(key):
        return False
    prefix = np.uint64(int(key[:_PREFIX_DIGITS], 16))
    place = int(np.searchsorted(needed, prefix))
    return place < len(needed) and bool(needed[place] == prefix)
