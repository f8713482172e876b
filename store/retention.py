"""Which old versions of the table stay, to be read by who began before and to be restored.

Under load there are some dozen commits a second. To keep each one's version for an hour would cost
a disk full of half-joined fragments, and seconds to look through them in each round of upkeep. So
the youngest all stay, and of the older ones the last of each minute, up to the age that is set.
"""

from collections.abc import Sequence
from datetime import datetime, timedelta
from typing import TYPE_CHECKING

from store.schemas import TableVersion

if TYPE_CHECKING:
    from lance import LanceDataset

RECENT = timedelta(minutes=2)
"""Age up to which every version stays: no request reads for that long."""

STEP = timedelta(minutes=1)
"""One version stays in each of these."""


def superfluous(versions: Sequence[TableVersion], now: datetime, keep: timedelta) -> list[int]:
    """Chooses the versions to remove.

    Args:
        versions: all there are, newest first.
        now: in UTC.
        keep: age from which on nothing stays but the newest.

    Returns:
        Their numbers.
    """
    dropped: list[int] = []
    step: float | None = None
    for version in versions[1:]:
        age = now - version.created_at
        if age <= RECENT:
            continue
        previous, step = step, version.created_at.timestamp() // STEP.total_seconds()
        if age > keep or step == previous:
            dropped.append(version.version)
    return dropped


def remove_versions(dataset: "LanceDataset", numbers: Sequence[int]) -> str:
    """Removes versions, and the files that no other version needs. Blocks.

    Returns:
        What was done.
    """
    stats = dataset.cleanup_old_versions(versions=list(numbers), error_if_tagged_old_versions=False)
    return f"removed {stats.old_versions} versions"
