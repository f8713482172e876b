"""Compaction of the table, between commits.

Each commit leaves a small fragment and a version behind; a search over hundreds of fragments takes
many times as long as over one. So after a number of commits the table is compacted, its text index
takes in the rows added since, and old versions are removed. The writer runs this while it does not
write, because the two would refuse each other's commits; reads go on.
"""

import logging
from datetime import timedelta
from typing import TYPE_CHECKING

from store.settings import StoreSettings

if TYPE_CHECKING:
    from lancedb import AsyncTable

logger = logging.getLogger(__name__)


class Upkeep:
    """Decides when to compact, does it, and counts how it went."""

    def __init__(self, table: "AsyncTable", settings: StoreSettings) -> None:
        self._table = table
        self._every = settings.store_compact_every
        self._keep = timedelta(minutes=settings.store_keep_versions_minutes)
        self.commits_since = 0
        self.runs = 0
        self.failures = 0

    async def run_if_due(self, waiting: int) -> None:
        """Compacts after enough commits; while callers wait, only after twice as many.

        A failure is logged and counted, and tried again after as many commits.
        """
        if self.commits_since < (2 * self._every if waiting else self._every):
            return
        self.commits_since = 0
        try:
            await self._table.checkout_latest()
            await self._table.optimize(cleanup_older_than=self._keep)
        except Exception:
            self.failures += 1
            logger.exception("compaction of the index failed")
        else:
            self.runs += 1
