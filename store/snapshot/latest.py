"""The latest snapshot of a table: the one that a search is to read now.

A version differs little from the one before, so a fragment that was read once is cached for as long
as the table has it. Requests wait for what is needed: the fragments that the vector index does not
know, mostly a few rows each. The metadata of the others is read in the background, the newest
first, while there is room.
"""

import asyncio
import logging
from collections.abc import Container, Sequence
from operator import attrgetter
from typing import TYPE_CHECKING

import pyarrow as pa

from store.metadata.columns import Registry
from store.metadata.objects import FIRST, Finding
from store.snapshot.columns import Fields, indexed_fragments
from store.snapshot.fragments import CachedFragment
from store.snapshot.known import KnownFiles
from store.snapshot.snapshot import Snapshot
from store.table.connection import open_dataset
from store.table.faults import is_failure

if TYPE_CHECKING:
    from lance import LanceDataset
    from lance.fragment import LanceFragment
    from lancedb import AsyncTable


COLUMNS_BYTES = 256
"""Of a row at least, but for its vector; until it was read."""

logger = logging.getLogger(__name__)


class Snapshots:
    """The latest snapshot of a table, made when it is needed.

    Args:
        table: one whose every read is of the latest version.
        cache_bytes: for the engine's caches.
        memory_bytes: of the fragment cache at most.
        fill: cache what no request waits for, too, while there is room.
        finding: whose objects in the images are sought.
    """

    def __init__(
        self,
        table: "AsyncTable",
        *,
        cache_bytes: int = 16 << 20,
        memory_bytes: int = 64 << 20,
        fill: bool = False,
        finding: Finding = FIRST,
    ) -> None:
        self.finding = finding
        self._table = table
        self._cache_bytes = cache_bytes
        self._memory_bytes = memory_bytes
        self._fill = fill
        self._sizes: dict[int, int] = {}
        self._known = KnownFiles()
        self._making = asyncio.Lock()
        self._latest: Snapshot | None = None
        self._filling: asyncio.Task[None] | None = None
        self._added: tuple[int, pa.Table] | None = None
        self._committed: LanceDataset | None = None

    async def latest(self) -> Snapshot:
        """The table with all commits that were made before, by whichever process."""
        latest, version = self._latest, int(await self._table.version())
        if latest is None or latest.version != version:
            async with self._making:
                if self._latest is not latest:  # others came first; it may be a later version
                    version = int(await self._table.version())
                latest = await self._at(version)
        return latest

    def added(self, version: int, rows: pa.Table, dataset: "LanceDataset | None" = None) -> None:
        """Says which rows a version has more than the one before, so that nobody reads them.

        Args:
            version: that was made.
            rows: all of its newest fragment.
            dataset: the table at this version, where it is open.
        """
        self._added, self._committed = (version, rows), dataset

    def close(self) -> None:
        """Ends what goes on in the background."""
        if self._filling is not None:
            self._filling.cancel()

    async def _at(self, version: int) -> Snapshot:
        before = self._latest
        if before is not None and before.version == version:
            return before
        dataset = await self._opened(version) if before is None else before.dataset
        committed, self._committed = self._committed, None
        made, left = await asyncio.to_thread(
            lambda: self._make(_at_version(version, committed, dataset), before)
        )
        self._latest = made
        if left and self._fill and (self._filling is None or self._filling.done()):
            filled = self._filled(left, made.fields)
            self._filling = asyncio.create_task(filled, name="store-snapshots")
        return made

    async def _opened(self, version: int) -> "LanceDataset":
        uri, options = await self._table.uri(), await self._table.latest_storage_options()
        return await asyncio.to_thread(
            lambda: open_dataset(
                uri,
                options,
                version=version,
                cache_bytes=self._cache_bytes,
                metadata_bytes=self._cache_bytes // 16,
            )
        )

    async def _filled(self, left: "Sequence[LanceFragment]", fields: Fields) -> None:
        """Caches fragments one by one until there is no more room, or the columns are others."""
        try:
            while left:
                read = await asyncio.to_thread(CachedFragment.read, left[0], whole=False)
                async with self._making:
                    latest = self._latest
                    if latest is None or latest.fields != fields:
                        return
                    self._latest, left = await asyncio.to_thread(
                        self._make, latest.dataset, latest, read
                    )
        except BaseException as error:
            if not is_failure(error):
                raise
            # No request waits for these rows: one that does is told. The next version tries again.
            logger.warning("rows could not be read into memory: %r", error)

    def _make(
        self, dataset: "LanceDataset", before: Snapshot | None, read: CachedFragment | None = None
    ) -> tuple[Snapshot, "list[LanceFragment]"]:
        """A snapshot, and the fragments that there is room for as well. Blocks.

        Args:
            dataset: at its version.
            before: the snapshot whose cached fragments are used again.
            read: one more of that version.
        """
        cached = [] if before is None else before.holding_the_same(dataset)
        cached += [] if read is None else [read]
        fragments, indexed = dataset.get_fragments(), indexed_fragments(dataset)
        fragments.sort(key=attrgetter("fragment_id"), reverse=True)
        tail = {each.fragment_id for each in fragments} - (indexed or set())
        known = {each.number: each for each in cached}
        reused: list[CachedFragment] = []
        left: list[LanceFragment] = []
        for fragment in self._fitting(dataset, fragments, tail):
            whole, there = fragment.fragment_id in tail, known.get(fragment.fragment_id)
            if there is None and not whole:
                left.append(fragment)
            elif there is None:
                reused.append(self._whole(dataset, fragment, is_newest=fragment is fragments[0]))
            elif there.whole == whole and there.metadata == fragment.metadata:
                reused.append(there)
            else:
                reused.append(there.brought_up(fragment, whole=whole))
        numbers = {each.fragment_id for each in fragments}
        self._sizes = {n: size for n, size in self._sizes.items() if n in numbers}
        self._sizes |= {each.number: each.nbytes for each in reused}
        registry = self._registry(dataset.schema)
        return Snapshot(dataset, reused, indexed, self._known, registry), left

    def _registry(self, schema: pa.Schema) -> Registry:
        before = self._latest
        if before is not None and before.dataset.schema.equals(schema, check_metadata=True):
            return before.registry
        return Registry.from_schema(schema, self.finding)

    def _whole(
        self, dataset: "LanceDataset", fragment: "LanceFragment", *, is_newest: bool
    ) -> CachedFragment:
        """A fragment with its vectors: read, unless it is what the newest commit has added."""
        version, rows = self._added or (0, [])
        if is_newest and version == dataset.version and fragment.physical_rows == len(rows):
            self._added = None
            return CachedFragment.written(fragment, rows)
        return CachedFragment.read(fragment, whole=True)

    def _fitting(
        self, dataset: "LanceDataset", fragments: "Sequence[LanceFragment]", tail: Container[int]
    ) -> "list[LanceFragment]":
        """Which fragments there is room for: those of the tail, or none of it, then the newest.

        Args:
            dataset: that they are of.
            fragments: the newest first.
            tail: the numbers of those that the vector index does not know.
        """
        if dataset.has_stable_row_ids:  # rows are found by where their fragment begins
            return []
        vector_bytes = 4 * dataset.schema.field("vector").type.list_size
        needed: list[tuple[LanceFragment, int]] = []
        others: list[tuple[LanceFragment, int]] = []
        for fragment in fragments:
            whole, size = fragment.fragment_id in tail, self._sizes.get(fragment.fragment_id)
            if size is None:
                rows = fragment.physical_rows
                files = sum(each.file_size_bytes or 0 for each in fragment.metadata.files)
                # Vectors do not shrink on the disk. Texts do, but long ones are still seen there.
                columns = max(rows * COLUMNS_BYTES, files - rows * vector_bytes)
                size = columns + whole * rows * vector_bytes
            (needed if whole else others).append((fragment, size))
        room = self._memory_bytes - sum(size for _, size in needed)
        if room < 0:
            needed, room = [], self._memory_bytes
        for fragment, size in others:
            if size <= room:
                needed.append((fragment, size))
                room -= size
        return [fragment for fragment, _ in needed]


def _at_version(
    version: int, committed: "LanceDataset | None", dataset: "LanceDataset"
) -> "LanceDataset":
    """The table at a version: as a commit has left it open, or opened now. Blocks."""
    if committed is not None and committed.version == version:
        return committed
    return dataset.checkout_version(version)
