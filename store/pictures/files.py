"""Files of pictures beside the table: thumbnails and originals.

Not columns of the table: there they would be written anew whenever fragments are joined, and read
past by every search. A file is called by what is in it, so one picture under ten urls is one file,
a version of the table that is restored finds its own pictures again, and nothing is ever changed.

What no image of the table needs any more is marked (its name gets an ending) and removed only once
no version can bring it back (`store.pictures.sweep`). A mark takes nothing away: marked files are
still read.
"""

import asyncio
import contextlib
import os
import re
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Literal, Protocol
from uuid import uuid4

from store.errors import StoreFullError
from store.schemas import StoredFile
from store.snapshot.coalescer import Coalescer
from store.snapshot.latest import Snapshots
from store.snapshot.snapshot import Snapshot
from store.table.disk.sync import has_space

Kind = Literal["thumbnails", "originals"]
COLUMNS: Mapping[Kind, str] = {"thumbnails": "pixels", "originals": "file"}
"""The column of the table that says what an image's file is called."""

FOLDER = "pictures"
KEY = re.compile("[0-9a-f]{64}")
MARK = ".unused"
"""The ending of a file that no image needs."""


class Pictures(Protocol):
    """The files of pictures of one store, wherever that is. All of it blocks."""

    def write(self, kind: Kind, key: str, data: bytes) -> None:
        """Stores a file; the same one twice is stored once."""

    def read(self, kind: Kind, key: str) -> bytes | None:
        """The content of a file, or None."""

    def keeps(self, kind: Kind, key: str) -> bool:
        """Whether there is a file of this name, which stays then for a row that is to name it."""


class PictureFiles:
    """The files in a store's folder. All of it blocks; many threads and processes may use it."""

    def __init__(self, folder: Path) -> None:
        self._store = folder

    def write(self, kind: Kind, key: str, data: bytes) -> None:
        """Stores a file; the same one twice is stored once.

        It is on the disk when the store's file system was synced.

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
        if not KEY.fullmatch(key):
            return None
        path = self._path(kind, key)
        marked = path.with_name(key + MARK)
        for each in (path, marked, path):  # it may be marked, or found again, meanwhile
            with contextlib.suppress(FileNotFoundError):
                return each.read_bytes()
        return None

    def keeps(self, kind: Kind, key: str) -> bool:
        """Whether there is a file of this name, which stays then for a row that is to name it.

        Raises:
            OSError: it cannot be looked for.
        """
        path = self._path(kind, key)
        for each in (path, path.with_name(key + MARK), path):
            with contextlib.suppress(FileNotFoundError):
                os.utime(each)  # it counts as young again
                return True
        return False

    def _path(self, kind: Kind, key: str) -> Path:
        if not KEY.fullmatch(key):
            raise ValueError("a picture's key must be 64 hexadecimal digits")
        return self._store / FOLDER / kind / key[:2] / key


class PictureLookup:
    """Reads the files of images.

    A page needs dozens of thumbnails at once: their rows are looked up by one call.
    """

    def __init__(self, snapshots: Snapshots, files: Pictures) -> None:
        self._files = files
        self._names = Coalescer(snapshots, _names)

    async def of(self, image_id: str, kind: Kind) -> StoredFile | None:
        """A file of an image; None where there is none, or no such image."""
        key = (await self._names.answer(image_id)).get(COLUMNS[kind])
        data = None if key is None else await asyncio.to_thread(self._files.read, kind, key)
        return None if key is None or data is None else StoredFile(key, data)


def _names(snapshot: Snapshot, ids: Sequence[str]) -> list[Mapping[str, str | None]]:
    """What each image's files are called, by column."""
    # A version of an earlier release that was restored may lack one of them for a moment.
    columns = [name for name in COLUMNS.values() if name in snapshot.dataset.schema.names]
    rows = snapshot.having("id", set(ids), ["id", *columns]).to_pylist()
    known = {row["id"]: row for row in rows}
    return [known.get(each, {}) for each in ids]
