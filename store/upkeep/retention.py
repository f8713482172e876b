"""Which old versions of the table stay, to be read by who began before and to be restored.

Under load there are some dozen commits a second. Each one's version for an hour would cost
a disk full of half-joined fragments, and seconds to look through them in each round of upkeep. So
the youngest all stay, and of the older ones two of each minute: the last, and the one before most
rows were deleted. A version's age counts from when it was replaced: until then it was the table.
"""

from collections.abc import Sequence
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


def superfluous(versions: Sequence[TableVersion], now: datetime, age: timedelta) -> list[int]:
    """Chooses the versions to remove.

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


def remove_versions(dataset: "LanceDataset", numbers: Sequence[int]) -> int:
    """Removes versions, and the files that no other version needs. Blocks.

    Returns:
        How many there were.
    """
    stats = dataset.cleanup_old_versions(versions=list(numbers), error_if_tagged_old_versions=False)
    return int(stats.old_versions)
