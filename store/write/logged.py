"""The table with its change log: a change is written down, committed, and its version noted."""

import asyncio
import contextlib
from collections.abc import AsyncIterator, Sequence
from typing import TYPE_CHECKING

import pyarrow as pa

from store.changes.change import Draft
from store.changes.log import Begun, ChangeLog
from store.schemas import Author, StoredImage, Upserted
from store.write.operations import Put, Upsert
from store.write.plan import PutAnswer

if TYPE_CHECKING:
    from lancedb import AsyncTable


class LoggedTable:
    """A table that is changed inside of `change` blocks alone.

    Args:
        table: the table.
        log: of its changes.

    Attributes:
        table: the table.
        version: its version, after what was done here last.
    """

    def __init__(self, table: "AsyncTable", log: ChangeLog) -> None:
        self.table = table
        self.version = 0
        self._log = log
        self._made: list[tuple[Begun, int | None]] = []

    @contextlib.asynccontextmanager
    async def change(self, drafts: Sequence[Draft]) -> AsyncIterator[None]:
        """Writes down what the block commits, before it; `settle` then notes the version.

        Raises:
            OSError: it could not be written down, and nothing was committed.
        """
        before = self.version
        begun = await asyncio.to_thread(self._log.begin, drafts, before)
        try:
            yield
        except Exception:
            with contextlib.suppress(Exception):
                if int(await self.table.version()) == before:
                    await asyncio.to_thread(self._log.settle, [(begun, None)])
            raise
        self._made.append((begun, self.version))

    async def delete(self, where: str) -> None:
        """Deletes the rows that a predicate lets through."""
        self.version = int((await self.table.delete(where)).version)

    async def merge(self, rows: pa.Table, *, by_index: bool) -> None:
        """Adds rows, and replaces those of the same ids; by the index on the id, if told so."""
        merge = self.table.merge_insert("id").when_matched_update_all()
        merge = merge.when_not_matched_insert_all().use_index(by_index)
        self.version = int((await merge.execute(rows)).version)

    def settle(self) -> None:
        """Writes down the versions that the changes since the last call made. Blocks."""
        made, self._made = self._made, []
        self._log.settle(made)


def drafts_of(answered: Sequence[tuple[Put, PutAnswer]]) -> list[Draft]:
    """What puts with their answers change: one draft for each author and action, in their order."""
    drafts: list[Draft] = []
    open_ids: dict[tuple[Author, str, bool], list[str]] = {}
    seen: set[str] = set()
    for put, answer in answered:
        if (action := _action(answer)) is None:
            continue
        if put.id in seen:  # what comes now comes after what was before
            open_ids, seen = {}, set()
        seen.add(put.id)
        imported = isinstance(put, Upsert) and put.image.created_at is not None
        if (of := (put.by, action, imported)) not in open_ids:
            open_ids[of] = []
            more = {"imported": True} if imported else {}
            drafts.append(Draft(put.by, action, open_ids[of], more))
        open_ids[of].append(put.id)
    return drafts


def _action(answer: PutAnswer) -> str | None:
    match answer:
        case Upserted(skipped=False, created=created):
            return "add" if created else "replace"
        case StoredImage():
            return "patch"
    return None
