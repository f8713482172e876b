"""Which old versions of the table stay, to be read by who began before and to be restored.

Under load there are some dozen commits a second. To keep each one's version for an hour would cost
a disk full of half-joined fragments, and seconds to look through them in each round of upkeep. So
the youngest all stay, and of the older ones two of each minute: the last, and the one before most
rows were deleted. A version's age counts from when it was replaced: until then it was the table.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from itertools import groupby, pairwise
from typing import TYPE_CHECKING

from store.schemas import TableVersion

if TYPE_CHECKING:
    from lance import LanceDataset

RECENT = timedelta(minutes=2)
"""Age up to which every version stays: no request reads for that long."""

STEP = timedelta(minutes=1)
"""Two versions stay in each of these."""

AT_ONCE = 200
"""Versions that are removed with the writers waiting."""


def superfluous(versions: Sequence[TableVersion], now: datetime, keep: timedelta) -> list[int]:
    """Chooses the versions to remove.

    Args:
        versions: all there are, newest first.
        now: in UTC.
        keep: age from which on nothing stays but the newest.

    Returns:
        Their numbers.
    """
    old: list[_Replaced] = []
    for newer, version in pairwise(versions):
        if now - newer.created_at > RECENT:
            lost = (version.rows or 0) - (newer.rows or 0)
            old.append(_Replaced(version.version, newer.created_at, max(0, lost)))
    kept = set()
    for _, group in groupby(old, key=lambda each: each.at.timestamp() // STEP.total_seconds()):
        step = [each for each in group if now - each.at <= keep]
        kept |= {each.version for each in step[:1]}
        kept |= {each.version for each in step if each.lost and each.lost == _most_lost(step)}
    return [each.version for each in old if each.version not in kept]


@dataclass(frozen=True)
class _Replaced:
    """A version that is not the newest: when it was replaced, and the rows it had more."""

    version: int
    at: datetime
    lost: int


def _most_lost(versions: Sequence[_Replaced]) -> int:
    return max(each.lost for each in versions)


def remove_versions(dataset: "LanceDataset", numbers: Sequence[int]) -> int:
    """Removes versions, and the files that no other version needs. Blocks.

    Returns:
        How many there were.
    """
    stats = dataset.cleanup_old_versions(versions=list(numbers), error_if_tagged_old_versions=False)
    return int(stats.old_versions)
