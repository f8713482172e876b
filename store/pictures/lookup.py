"""Reads the files of an image, whose names stand in its row."""

import asyncio
from collections.abc import Mapping, Sequence

from store.pictures.files import COLUMNS, Kind, PictureFiles
from store.schemas import StoredFile
from store.snapshot.latest import Coalescer, Snapshots
from store.snapshot.snapshot import Snapshot

Names = Mapping[str, str | None]
"""By column, what an image's files are called."""


class PictureReads:
    """Reads the files of images.

    A page needs dozens of thumbnails at once: their rows are looked up by one call.

    Args:
        snapshots: of the table.
        files: of its store.
    """

    def __init__(self, snapshots: Snapshots, files: PictureFiles) -> None:
        self._files = files
        self._names = Coalescer(snapshots, _names)

    async def of(self, image_id: str, kind: Kind) -> StoredFile | None:
        """A file of an image; None where there is none, or no such image."""
        key = (await self._names.answer(image_id)).get(COLUMNS[kind])
        data = None if key is None else await asyncio.to_thread(self._files.read, kind, key)
        return None if key is None or data is None else StoredFile(key, data)


def _names(snapshot: Snapshot, ids: Sequence[str]) -> list[Names]:
    # A version of an earlier release that was restored may lack one of them for a moment.
    columns = [name for name in COLUMNS.values() if name in snapshot.dataset.schema.names]
    rows = snapshot.having("id", set(ids), ["id", *columns]).to_pylist()
    known = {row["id"]: row for row in rows}
    return [known.get(each, {}) for each in ids]
