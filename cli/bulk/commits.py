"""Commits of staged shards to the index, beside the service that goes on with it."""

import asyncio
import os
from collections.abc import AsyncIterator, Callable, Sequence
from contextlib import asynccontextmanager
from typing import Any

from api.settings import Settings
from cli.bulk.plan import BulkError, Plan, State
from cli.bulk.planning import read_rows
from cli.bulk.staged import read_staged
from cli.bulk.worker import failure
from store.errors import StoreError, StoreFault, StoreMovedError
from store.index import ImageIndex
from store.schemas import Author, Detector, ModelIdentity, NewKeys, Upserted
from store.transfer.whole_row import WholeRow

BULK = "image-search bulk"
"""What the change log has as the key of a bulk run's changes."""

COMMIT_ROWS = 1000
"""Rows of a commit: fewer commits leave more of the machine to searches."""

_PAUSE_S = 2.0
_MOST_ATTEMPTS = 150


_NICENESS = 10


def give_way() -> None:
    """Let the service beside have the processor first: this thread and those that it starts."""
    os.nice(_NICENESS)


@asynccontextmanager
async def opened_index(
    settings: Settings, model: tuple[str, str, int], detector: tuple[str, str] | None
) -> AsyncIterator[ImageIndex]:
    """The index of the settings, made where there is none.

    Raises:
        StoreError: it cannot be opened, or is of another model or detector.
    """
    store = settings.store.model_copy(update={"store_max_commit_rows": COMMIT_ROWS})
    own = None if detector is None else Detector(*detector)
    index = await ImageIndex.open(store, ModelIdentity(*model), None, own)
    try:
        yield index
    finally:
        await index.close()


class Commits:
    """Puts the staged shards of a run into the index, each at most once.

    A row stays as it is where somebody has added, patched or deleted it since the plan was made. A
    shard whose mark was lost is put in again, which changes nothing: its rows are there, by their
    dates, or others have changed them since.

    Args:
        index: open.
        state: of the run.
        plan: its plan.
        new_keys: of metadata that a shard may bring.
        say: is given lines for the person who waits.
    """

    def __init__(
        self,
        index: ImageIndex,
        state: State,
        plan: Plan,
        new_keys: int,
        say: Callable[[str], None],
    ) -> None:
        self._index, self._state, self._plan = index, state, plan
        self._new_keys, self._say = new_keys, say
        self._by = Author(BULK, None, f"bulk-{plan.id}")

    async def commit(self, shard: int) -> dict[str, Any]:
        """Put a shard's images in, and mark it as done; returns the mark.

        Raises:
            StoreError: the index takes nothing, for minutes by now.
            BulkError: the staged file is damaged.
        """
        staged = await asyncio.to_thread(self._state.mark, shard, "staged")
        if staged is None:
            raise BulkError(f"shard {shard} is not staged")
        path = self._state.staged_file(shard, staged["file"])
        rows = await asyncio.to_thread(lambda: list(read_staged(path)))
        became = await self._put(rows)
        put = [one for one in became if isinstance(one, Upserted)]
        written = sum(not one.skipped for one in put)
        failures = await asyncio.to_thread(self._failures, shard, rows, became)
        told = {"written": written, "left": len(put) - written, "failures": failures}
        await asyncio.to_thread(self._state.set_mark, shard, "done", told)
        path.unlink(missing_ok=True)
        return told

    async def _put(self, rows: Sequence[WholeRow]) -> list[Upserted | StoreError]:
        for attempt in range(_MOST_ATTEMPTS):
            try:
                return await self._index.transfer.put(
                    rows,
                    NewKeys(self._new_keys),
                    self._by,
                    skip=self._plan.skip_duplicates,
                    over_later=False,
                )
            except StoreMovedError:
                raise
            except StoreFault as error:
                if attempt == 0:
                    self._say(f"{error}; trying again")
                last = error
            await asyncio.sleep(_PAUSE_S)
        raise last

    def _failures(
        self, shard: int, rows: Sequence[WholeRow], became: Sequence[Upserted | StoreError]
    ) -> list[dict[str, Any]]:
        refused = {
            row.created_at: error
            for row, error in zip(rows, became, strict=True)
            if isinstance(error, StoreError)
        }
        if not refused:
            return []
        return [
            failure(number, row, error.code, str(error))
            for number, row in read_rows(self._state, shard)
            if (error := refused.get(self._plan.date_of(number))) is not None
        ]
