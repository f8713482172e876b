"""Versions of a table that are kept for who reads one in several steps, as an export does.

Upkeep removes old versions. It leaves those that have a tag of Lance's; each such tag's name says
until when, so that what nobody comes back for goes the next time. All processes see them.
"""

import contextlib
import logging
import re
import time
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from lance import LanceDataset

KEPT_FOR_S = 600
"""After the last step."""

_RENEW_AFTER_S = 60
_TAG = re.compile("export-([0-9]+)-until-([0-9]+)")

logger = logging.getLogger(__name__)


def keep_version(dataset: "LanceDataset") -> None:
    """Keeps the version that is opened. Blocks.

    One that cannot be kept, as on a full disk, can still be read for two minutes at least.
    """
    version, until = int(dataset.version), int(time.time()) + KEPT_FOR_S
    try:
        kept = max((end for _, own, end in _tags(dataset) if own == version), default=0)
        if until - kept > _RENEW_AFTER_S:
            dataset.tags.create(f"export-{version}-until-{until}", version)
    except (ValueError, OSError) as error:
        logger.info("version %d of the table could not be kept: %r", version, error)


def forget_kept(dataset: "LanceDataset") -> None:
    """Lets go of the versions whose time is over. Blocks."""
    for name, _, until in _tags(dataset):
        if until < time.time():
            with contextlib.suppress(ValueError):  # another process was faster
                dataset.tags.delete(name)


def _tags(dataset: "LanceDataset") -> list[tuple[str, int, int]]:
    """The tags of this kind: name, version, and until when (Unix time)."""
    found = filter(None, map(_TAG.fullmatch, dataset.tags.list()))
    return [(each[0], int(each[1]), int(each[2])) for each in found]
