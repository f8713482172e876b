"""The versions of a table: which there are, going back to one, and which upkeep removes."""

import asyncio
import time
from bisect import bisect_left
from collections import deque
from collections.abc import Sequence
from datetime import UTC, datetime, timedelta
from itertools import groupby, pairwise
from typing import TYPE_CHECKING, Any

from store.errors import VersionError
from store.metadata.values import format_timestamp
from store.schemas import TableVersion
from store.table.connection import open_dataset
from store.table.names import is_building, is_superseded

if TYPE_CHECKING:
    from lance import LanceDataset
    from lancedb import AsyncTable

RECENT = timedelta(minutes=2)
"""Age up to which every version stays: no request reads for that long."""

STEP = timedelta(minutes=1)
"""Two versions stay in each of these."""

AT_ONCE = 200
"""Versions that are removed with the writers waiting."""

_LISTINGS = 5


async def list_versions(table: "AsyncTable") -> list[TableVersion]:
    """All versions of a table, newest first.

    LanceDB lists the files of the versions and then reads each. Where upkeep has removed one in
    between it fails, so it is tried again.
    """
    for left in reversed(range(_LISTINGS)):
        try:
            listed = await table.list_versions()
            break
        except Exception as error:
            if not left or "Not found" not in str(error):
                raise
    return [_version(each) for each in reversed(listed)]


async def restorable(table: "AsyncTable") -> list[TableVersion]:
    """The versions that can be restored, newest first: not those of before it was complete."""
    versions = await list_versions(table)
    uri, options = await table.uri(), await table.latest_storage_options()
    return await asyncio.to_thread(_finished, versions, uri, options)


async def restore_version(table: "AsyncTable", version: int) -> None:
    """Makes a new version of the table that holds what the given one did.

    Through a handle of its own: LanceDB's restores what its handle has checked out, and until then
    every read through that handle would be of the past.

    Raises:
        VersionError: there is no such version, or it is of a table that was not finished.
    """
    uri, options = await table.uri(), await table.latest_storage_options()
    await asyncio.to_thread(_restore, uri, options, version)
    await table.checkout_latest()


def pick_version(
    versions: Sequence[TableVersion], *, version: int | None, before: datetime | None
) -> TableVersion:
    """Chooses the version to restore: by its number, or the last one made before a moment.

    Args:
        versions: newest first.
        version: its number.
        before: with a zone; a version that was committed at this very moment counts.

    Raises:
        VersionError: there is none, or both or neither were given.
    """
    if (version is None) == (before is None):
        raise VersionError("give either a version or a time to go back to, not both")
    for each in versions:
        if each.version == version or (before is not None and each.created_at <= before):
            return each
    missing = f"version {version}" if before is None else "version that old"
    if not versions:
        raise VersionError(f"there is no {missing}, nor any other to restore")
    oldest = f"{versions[-1].version}, of {format_timestamp(versions[-1].created_at)}"
    raise VersionError(f"there is no {missing}; the oldest to restore is {oldest}")


def superfluous(versions: Sequence[TableVersion], now: datetime, age: timedelta) -> list[int]:
    """Chooses the versions to remove; the others can be read by who began before, and restored.

    Under load there are some dozen commits a second. Each one's version for an hour would cost a
    disk full of half-joined fragments, and seconds to look through them in each round of upkeep. So
    the youngest all stay, and of the older ones two of each minute: the last, and the one before
    most rows were deleted. A version's age counts from when it was replaced: until then it was the
    table.

    Args:
        versions: all there are, newest first.
        now: in UTC.
        age: from which on nothing stays but the newest.

    Returns:
        Their numbers.
    """
    old = [  # each with when it was replaced, and how many rows it had more
        (version.version, newer.created_at, (version.rows or 0) - (newer.rows or 0))
        for newer, version in pairwise(versions)
        if now - newer.created_at > RECENT
    ]
    staying = set()
    for _, step in groupby(old, key=lambda each: each[1].timestamp() // STEP.total_seconds()):
        young = [(number, lost) for number, replaced, lost in step if now - replaced <= age]
        most = max((lost for _, lost in young), default=0)
        staying |= {number for number, _ in young[:1]}
        staying |= {number for number, lost in young if lost == most > 0}
    return [number for number, _, _ in old if number not in staying]


class Superfluous:
    """Which versions of a table may go now; in an object store, by one's own watch as well.

    The machines that share one have clocks of their own, and each version the time of the one that
    made it: if that is slow, its newest versions look old.

    Args:
        shared: whether others' clocks count, too.
    """

    def __init__(self, *, shared: bool) -> None:
        self._shared = shared
        self._seen: deque[tuple[float, int]] = deque()

    async def now(self, table: "AsyncTable", age: timedelta) -> list[int]:
        """Their numbers, as `superfluous` has them."""
        versions = await list_versions(table)
        numbers = superfluous(versions, datetime.now(UTC), age)
        if not self._shared:
            return numbers
        newest = self._newest_of_before(versions[0].version)
        return [number for number in numbers if number < newest]

    def _newest_of_before(self, newest: int) -> int:
        """The newest version that was seen `RECENT` ago, given that of now; 0 where none was."""
        now = time.monotonic()
        end = now - RECENT.total_seconds()
        self._seen.append((now, newest))
        while len(self._seen) > 1 and self._seen[1][0] <= end:
            self._seen.popleft()
        at, number = self._seen[0]
        return number if at <= end else 0


def remove_versions(dataset: "LanceDataset", numbers: Sequence[int]) -> int:
    """Removes versions, and the files that no other version needs. Blocks.

    Returns:
        How many there were.
    """
    stats = dataset.cleanup_old_versions(versions=list(numbers), error_if_tagged_old_versions=False)
    return int(stats.old_versions)


def _restore(uri: str, options: dict[str, str] | None, version: int) -> None:
    try:
        past = open_dataset(uri, options, version=version)
    except ValueError as error:
        raise VersionError(f"there is no version {version} (any more)", repr(error)) from error
    if is_building(past.schema) or is_superseded(past.schema):
        raise VersionError(f"version {version} cannot be restored: the table was not in use then")
    past.restore()


def _finished(
    versions: list[TableVersion], uri: str, options: dict[str, str] | None
) -> list[TableVersion]:
    """Those up to the first that was marked as being built: all after that were, too."""

    def unfinished(version: TableVersion) -> bool:
        try:
            return is_building(open_dataset(uri, options, version=version.version).schema)
        except ValueError:  # removed at this moment, as one of the oldest
            return True

    return versions[: bisect_left(versions, True, key=unfinished)]


def _version(listed: dict[str, Any]) -> TableVersion:
    rows = listed["metadata"].get("total_rows")
    # Naive, in the zone of this machine.
    created_at = listed["timestamp"].astimezone(UTC)
    return TableVersion(listed["version"], created_at, None if rows is None else int(rows))
