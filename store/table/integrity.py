"""Whether a local table is the one that was acknowledged, and whether its files are whole.

The manifest says how long each file is. That finds what was deleted, cut off or never reached the
disk, in one look at each file. Lance writes no checksums: bytes that were changed are found only by
reading the rows, and only where they no longer decode. An object store looks after its own files.
"""

import asyncio
import logging
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

from store.errors import StoreDamagedError
from store.table.connection import in_dataset
from store.table.disk.location import Location
from store.table.disk.sync import Acknowledged, acknowledged_tables
from store.table.faults import is_failure

if TYPE_CHECKING:
    from lance import LanceDataset
    from lancedb import AsyncConnection, AsyncTable

logger = logging.getLogger(__name__)


@dataclass(frozen=True)
class Damage:
    """What is wrong with a table.

    Attributes:
        files: of rows that are damaged or missing, relative to the store's folder.
        fragments: the parts of the table that need them, by number.
        rows: how many images these hold.
        indexes: names of indexes with damaged or missing files.
    """

    files: list[str]
    fragments: list[int]
    rows: int
    indexes: list[str]


async def refuse_if_lost(connection: "AsyncConnection", table: "AsyncTable") -> None:
    """Refuses a table that lacks its newest versions.

    Raises:
        StoreDamagedError: callers were told of a later version than there is.
    """
    if (folder := Location(connection.uri).folder) is not None:
        acknowledged = Acknowledged(folder, table.name)
        known = await asyncio.to_thread(acknowledged.read)
        acknowledged.refuse_older(int(await table.version()), known)


def refuse_if_missing(uri: str) -> None:
    """Refuses to begin an index anew where there was one.

    Raises:
        StoreDamagedError: callers were told of a table, and there is none.
    """
    if (folder := Location(uri).folder) is not None:
        for name in acknowledged_tables(folder):
            acknowledged = Acknowledged(folder, name)
            acknowledged.refuse_older(0, acknowledged.read())


async def refuse_if_damaged(table: "AsyncTable") -> None:
    """Refuses a table of whose newest version files are missing or cut off.

    Raises:
        StoreDamagedError: it names the first.
    """
    if (folder := Location(await table.uri()).folder) is None:
        return
    damage = await in_dataset(table, lambda dataset: find_damage(dataset, folder.absolute()))
    if damage.files:
        more = f" and {len(damage.files) - 1} more files are" if len(damage.files) > 1 else " is"
        raise StoreDamagedError(
            f"{damage.files[0]}{more} damaged or missing, with {damage.rows} images; put the folder"
            " back from a backup, or go on without these images: `image-search check --repair`",
            "the index is damaged",
        )


async def drop_broken_indexes(table: "AsyncTable") -> None:
    """Drops indexes that have lost files: the rows have all that is in them, upkeep builds them."""
    if (folder := Location(await table.uri()).folder) is None:
        return
    broken = await in_dataset(table, lambda dataset: broken_indexes(dataset, folder.absolute()))
    for name in broken:
        logger.warning("the index %s has lost files: it is made anew", name)
        await table.drop_index(name)


def find_damage(dataset: "LanceDataset", folder: Path, *, read: bool = False) -> Damage:
    """Looks at every file of the dataset's version. Blocks.

    Args:
        dataset: the table, as pylance sees it.
        folder: of the table, ``<name>.lance``.
        read: read every row, too.
    """
    files: list[str] = []
    fragments: list[int] = []
    rows = 0
    for fragment in dataset.get_fragments():
        broken = [str(path) for path, size in _files_of(fragment, folder) if not _has(path, size)]
        if not broken and read and not _is_readable(fragment):
            broken = [str(path) for path, _ in _files_of(fragment, folder)]
        if broken:
            files += [str(Path(path).relative_to(folder.parent)) for path in broken]
            fragments.append(fragment.fragment_id)
            rows += fragment.metadata.num_rows
    return Damage(files, fragments, rows, broken_indexes(dataset, folder))


def broken_indexes(dataset: "LanceDataset", folder: Path) -> list[str]:
    """The names of indexes that are not whole; they can be made anew from the rows."""
    return [
        index.name
        for index in dataset.describe_indices()
        if any(_is_incomplete(segment, folder / "_indices") for segment in index.segments)
    ]


def _files_of(fragment: Any, folder: Path) -> Iterator[tuple[Path, int | None]]:
    """The files of a fragment, each with its length in bytes where that is known."""
    for file in fragment.metadata.files:
        yield folder / "data" / file.path, file.file_size_bytes
    if fragment.metadata.deletion_file is not None:
        yield folder / fragment.metadata.deletion_file.path(fragment.fragment_id), None


def _has(path: Path, size: int | None) -> bool:
    try:
        found = path.stat().st_size
    except OSError:
        return False
    return bool(found > 0 if size is None else found == size)


def _is_incomplete(segment: Any, indexes: Path) -> bool:
    if not segment.size_bytes:  # an empty index, or one of a release that did not write it down
        return False
    folder = indexes / str(segment.uuid)
    files = [file for file in folder.rglob("*") if file.is_file()]
    return bool(sum(file.stat().st_size for file in files) < segment.size_bytes)


def _is_readable(fragment: Any) -> bool:
    try:
        for _ in fragment.to_batches():
            pass
    except BaseException as error:
        if not is_failure(error):
            raise
        return False
    return True
