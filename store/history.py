"""History of the index: its versions and changes, restored and undone."""

import asyncio
from dataclasses import replace
from datetime import datetime

from store.changes.change import Change, LogQuery, Undone
from store.changes.reading import listed
from store.changes.story import Span
from store.editor import Editor
from store.errors import NoChangeLogError
from store.schemas import NOBODY, Author, TableVersion
from store.table.versions import pick_version, restorable
from store.write.operations import Restore, Undo


class History(Editor):
    """What the table was, who changed it, and the ways back."""

    async def versions(self) -> list[TableVersion]:
        """The versions that can be restored, newest first."""
        with self.opened.reading():
            return await restorable(self.opened.table)

    async def restore(
        self,
        *,
        version: int | None = None,
        before: datetime | None = None,
        by: Author = NOBODY,
    ) -> TableVersion:
        """Makes the table as it was: at a version, or at the last one committed before a moment.

        The old content becomes a new version, so that this can be undone too.

        Returns:
            The version that was restored.

        Raises:
            VersionError: there is no such version (any more), or both or neither were given.
        """
        chosen = pick_version(await self.versions(), version=version, before=before)
        await self._writer.write(Restore(chosen.version, by))
        self._upkeep.hurry()
        return chosen

    async def changes(self, query: LogQuery) -> tuple[list[Change], bool]:
        """The changes of the table that a query takes, newest first, and whether there are more.

        Raises:
            NoChangeLogError: the index is on an object store.
        """
        folder = self.opened.location.folder
        if folder is None:
            raise NoChangeLogError
        with self.opened.reading():
            return await asyncio.to_thread(listed, folder, query)

    async def undo(self, span: Span, *, dry_run: bool = False, by: Author = NOBODY) -> Undone:
        """Undoes the changes that a key has made: `store.changes.undo` says what of them.

        A second time changes nothing more. What it does are changes, too: a restore takes it back.

        Args:
            span: whose changes, and of which time.
            dry_run: tell what would be done, and do nothing.
            by: who undoes it.

        Raises:
            NoChangeLogError: the index is on an object store.
        """
        removed = restored = 0
        while True:
            part: Undone = await self._writer.write(Undo(span, dry_run, by))
            removed += part.removed
            restored += part.restored
            if not part.more:
                self._upkeep.hurry()
                return replace(part, removed=removed, restored=restored)
