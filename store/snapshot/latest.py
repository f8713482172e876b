"""The latest version of the table, and what of it is in memory.

A version differs little from the one before, so a fragment that was read once is kept for as long
as the table has it. Requests wait for what is needed: the fragments that the vector index does not
know, mostly a few rows each. The columns of the others are read in the background, the newest
first, while there is room.
"""

import asyncio
import logging
from collections.abc import Container, Sequence
from typing import TYPE_CHECKING

import pyarrow as pa

from store.snapshot.fragments import HeldFragment, vector_dim
from store.snapshot.mapped_vectors import VectorFiles
from store.snapshot.snapshot import Snapshot, indexed_fragments
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
    """The latest snapshot of a table, made when it is asked for.

    Args:
        table: one whose every read is of the latest version.
        cache_bytes: for the engine's caches.
        held_bytes: of rows in memory at most.
        fill: read what is not needed, too, while there is room.
    """

    def __init__(
        self,
        table: "AsyncTable",
        *,
        cache_bytes: int = 16 << 20,
        held_bytes: int = 64 << 20,
        fill: bool = False,
    ) -> None:
        self._table = table
        self._cache_bytes = cache_bytes
        self._held_bytes = held_bytes
        self._fill = fill
        self._sizes: dict[int, int] = {}
        self._files = VectorFiles()
        self._making = asyncio.Lock()
        self._latest: Snapshot | None = None
        self._filling: asyncio.Task[None] | None = None
        self._added: tuple[int, pa.Table] | None = None

    async def latest(self) -> Snapshot:
        """The table with all commits that were made before, by whichever process."""
        latest, version = self._latest, int(await self._table.version())
        if latest is None or latest.version != version:
            async with self._making:
                if self._latest is not latest:  # others came first; it may be a later version
                    version = int(await self._table.version())
                latest = await self._at(version)
        return latest

    def added(self, version: int, rows: pa.Table) -> None:
        """Says which rows a version has more than the one before, so that nobody reads them."""
        self._added = version, rows

    def close(self) -> None:
        """Ends what goes on in the background."""
        if self._filling is not None:
            self._filling.cancel()

    async def _at(self, version: int) -> Snapshot:
        before = self._latest
        if before is not None and before.version == version:
            return before
        dataset = await self._opened(version) if before is None else before.dataset
        known = [] if before is None else before.held.fragments
        made = await asyncio.to_thread(lambda: self._make(dataset.checkout_version(version), known))
        self._latest, left = made
        if left and self._fill and (self._filling is None or self._filling.done()):
            self._filling = asyncio.create_task(self._filled(left), name="store-snapshots")
        return self._latest

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

    async def _filled(self, left: "Sequence[LanceFragment]") -> None:
        """Reads fragments one by one until there is no more room."""
        try:
            while left:
                read = await asyncio.to_thread(HeldFragment.read, left[0], whole=False)
                async with self._making:
                    left = await self._with(read)
        except BaseException as error:
            if not is_failure(error):
                raise
            # Nobody has asked for these rows: who does is told. The next version tries again.
            logger.warning("rows could not be read into memory: %r", error)

    async def _with(self, read: HeldFragment) -> "Sequence[LanceFragment]":
        """Makes the latest snapshot hold a fragment, too; what else there is room for."""
        latest = self._latest
        if latest is None:
            return []
        known = [*latest.held.fragments, read]
        self._latest, left = await asyncio.to_thread(self._make, latest.dataset, known)
        return left

    def _make(
        self, dataset: "LanceDataset", known: "Sequence[HeldFragment]"
    ) -> tuple[Snapshot, "list[LanceFragment]"]:
        """A snapshot, and the fragments that there is room for as well."""
        fragments, indexed = dataset.get_fragments(), indexed_fragments(dataset)
        by_number = {each.number: each for each in known}
        tail = {each.fragment_id for each in fragments if each.fragment_id not in (indexed or ())}
        held: list[HeldFragment] = []
        left: list[LanceFragment] = []
        for fragment in self._fitting(dataset, fragments, tail):
            whole = fragment.fragment_id in tail
            there = by_number.get(fragment.fragment_id)
            if there is not None:
                held.append(there.brought_up(fragment, whole=whole))
            elif whole:
                held.append(self._whole(dataset, fragment))
            else:
                left.append(fragment)
        numbers = {each.fragment_id for each in fragments}
        self._sizes = {n: size for n, size in self._sizes.items() if n in numbers}
        self._sizes |= {each.number: each.nbytes for each in held}
        self._files.keep(fragments)
        return Snapshot(dataset, held, indexed, self._files), left

    def _whole(self, dataset: "LanceDataset", fragment: "LanceFragment") -> HeldFragment:
        """A fragment with its vectors: read, unless it is what the newest commit has added."""
        version, rows = self._added or (0, [])
        newest = max(each.fragment_id for each in dataset.get_fragments())
        is_added = version == dataset.version and fragment.fragment_id == newest
        if is_added and fragment.physical_rows == len(rows):
            self._added = None
            return HeldFragment.written(fragment, rows)
        return HeldFragment.read(fragment, whole=True)

    def _fitting(
        self, dataset: "LanceDataset", fragments: "Sequence[LanceFragment]", tail: Container[int]
    ) -> "list[LanceFragment]":
        """Which fragments there is room for: those of the tail, or none of it, then the newest."""
        if dataset.has_stable_row_ids:  # rows are found by where their fragment begins
            return []
        vector_bytes = 4 * vector_dim(dataset.schema)
        newest = sorted(fragments, key=lambda each: -each.fragment_id)
        needed = [each for each in newest if each.fragment_id in tail]
        room = self._held_bytes - sum(self._size(each, vector_bytes, whole=True) for each in needed)
        if room < 0:
            needed, room = [], self._held_bytes
        for fragment in newest:
            size = self._size(fragment, vector_bytes, whole=False)
            if fragment.fragment_id not in tail and size <= room:
                needed.append(fragment)
                room -= size
        return needed

    def _size(self, fragment: "LanceFragment", vector_bytes: int, *, whole: bool) -> float:
        """The memory that a fragment takes, or will take so far as one can say."""
        known = self._sizes.get(fragment.fragment_id)
        if known is not None:
            return known
        rows = fragment.physical_rows
        files = sum(each.file_size_bytes or 0 for each in fragment.metadata.files)
        # Vectors do not shrink on the disk. Texts do, but the long ones are still seen there.
        columns = max(rows * COLUMNS_BYTES, files - rows * vector_bytes)
        return float(columns + whole * rows * vector_bytes)
