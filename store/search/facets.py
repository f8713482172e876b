"""What the images' metadata holds, key by key: what filters can be made of.

A key's column is read in batches, and of a text only so many different values are counted: where
there are more, they are no list to choose from.
"""

import asyncio
import time
from collections import Counter
from collections.abc import Iterable
from datetime import UTC

import pyarrow as pa
import pyarrow.compute as pc

from store.metadata.columns import Column
from store.metadata.values import ColumnType, plain
from store.schemas import Facet, MetadataValue
from store.snapshot.latest import Snapshots
from store.snapshot.snapshot import Snapshot

MAX_VALUES = 100
"""Of a key, the most frequent."""

MAX_VALUE_CHARS = 200
"""Longer texts are no choice."""

MAX_COUNTED = 10_000
"""Different values of a key that are counted; of the others is said that there are more."""

BATCH_ROWS = 1024
"""That are read at once: texts may be long."""

STALE = 10
"""An answer serves for so many times as long as it took: a large table is not read all the time."""

_ORDERED = (ColumnType.INTEGER, ColumnType.FLOAT, ColumnType.TIMESTAMP)


class Facets:
    """The facets of a table, read again when it has changed.

    Args:
        snapshots: of the table.
    """

    def __init__(self, snapshots: Snapshots) -> None:
        self._snapshots = snapshots
        self._reading: asyncio.Task[list[Facet]] | None = None
        self._version, self._until = -1, 0.0
        self._facets: list[Facet] = []

    async def latest(self) -> list[Facet]:
        """The facets, of the table as it is or was a moment ago.

        Whoever asks meanwhile gets the same reading, and it goes on to its end when they leave.
        """
        if self._reading is None or self._reading.done():
            self._reading = asyncio.create_task(self._read(), name="store-facets")
        return await asyncio.shield(self._reading)

    async def _read(self) -> list[Facet]:
        snapshot = await self._snapshots.latest()
        if snapshot.version != self._version and time.monotonic() >= self._until:
            began = time.monotonic()
            self._facets = await asyncio.to_thread(facets_of, snapshot)
            ended = time.monotonic()
            self._version, self._until = snapshot.version, ended + STALE * (ended - began)
        return self._facets


def facets_of(snapshot: Snapshot) -> list[Facet]:
    """Reads every metadata column once. Blocks."""
    return [_facet(snapshot, column) for column in snapshot.registry.columns]


def _facet(snapshot: Snapshot, column: Column) -> Facet:
    scanner = snapshot.dataset.scanner(
        columns=[column.name], filter=f"{column.name} IS NOT NULL", batch_size=BATCH_ROWS
    )
    batches = (batch[column.name] for batch in scanner.to_batches() if batch.num_rows)
    kind = column.type.removeprefix("a ").removeprefix("an ")
    if column.type in _ORDERED:
        count, least, greatest = _range(batches)
        return Facet(column.key, kind, count, min=least, max=greatest)
    count, values, more = _counted(batches)
    return Facet(column.key, kind, count, values=values, more=more)


def _range(batches: Iterable[pa.Array]) -> tuple[int, MetadataValue | None, MetadataValue | None]:
    """How many values there are, the least of them and the greatest."""
    count, ends = 0, []
    for batch in batches:
        count += len(batch)
        # Naive: pyarrow looks up "UTC" in the system's time zones, which slim containers lack.
        moments = pa.types.is_timestamp(batch.type)
        found = pc.min_max(batch.cast(pa.timestamp("us")) if moments else batch).as_py()
        ends += [each.replace(tzinfo=UTC) if moments else each for each in found.values()]
    return (count, plain(min(ends)), plain(max(ends))) if ends else (0, None, None)


def _counted(batches: Iterable[pa.Array]) -> tuple[int, list[tuple[str | bool, int]], bool]:
    """How many images there are, the most frequent values, and whether there are others."""
    images, counts, more = 0, Counter[str | bool](), False
    for batch in batches:
        images += len(batch)
        values = batch.flatten() if pa.types.is_list(batch.type) else batch
        for each in pc.value_counts(values).to_pylist():
            value, count = each["values"], each["counts"]
            if value in counts or (len(counts) < MAX_COUNTED and _is_choice(value)):
                counts[value] += count
            else:
                more = True
    frequent = sorted(counts.items(), key=lambda pair: (-pair[1], pair[0]))
    return images, frequent[:MAX_VALUES], more or len(frequent) > MAX_VALUES


def _is_choice(value: str | bool) -> bool:
    return isinstance(value, bool) or len(value) <= MAX_VALUE_CHARS
