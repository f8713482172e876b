"""What the images' metadata holds, key by key: what filters can be made of.

A key's column is read in batches, and of a text only so many different values are counted: where
there are more, they are no list to choose from.
"""

from collections import Counter
from collections.abc import Iterable, Sequence
from datetime import UTC

import pyarrow as pa
import pyarrow.compute as pc

from store.errors import UnknownKeyError
from store.metadata.columns import Key, Registry
from store.metadata.objects import KEY, TERMS, class_of, has_objects
from store.metadata.predicates import ALWAYS, missing, value_of
from store.metadata.values import ColumnType, format_timestamp
from store.schemas import OBJECTS_KEY, Facet, MetadataValue
from store.snapshot.lagging import Lagging
from store.snapshot.latest import Snapshots
from store.snapshot.snapshot import Snapshot

MAX_VALUES = 100
"""Of a key, the most frequent."""

MAX_VALUE_CHARS = 200
"""Longer texts are no choice."""

MAX_COUNTED = 10_000
"""Different values of a key that are counted; of the others is said that there are more."""

BATCH_ROWS, BATCH_BYTES = 8192, 4 << 20
"""That are read at once: few rows take longer (of a million 22 ms more at 1024), and texts may be
long."""

_VALUE = "value"
_ORDERED = (ColumnType.INTEGER, ColumnType.FLOAT, ColumnType.TIMESTAMP)


class Facets:
    """The facets of a table, read again when it has changed."""

    def __init__(self, snapshots: Snapshots) -> None:
        self._facets = Lagging(snapshots, facets_of)

    async def latest(self) -> list[Facet]:
        """The facets, of the table as it is or was a moment ago; concurrent calls share them."""
        facets, snapshot = await self._facets.latest()
        types = {key: of.type.label for key, of in snapshot.registry.by_key.items()}
        return [each for each in facets if types.get(each.key) == each.type]


def facets_of(snapshot: Snapshot) -> list[Facet]:
    """Reads every metadata column once. Blocks."""
    return [_facet(snapshot, key, ALWAYS) for key in snapshot.registry.by_key.values()]


def check_facets(keys: Sequence[str], registry: Registry) -> None:
    """Checks that there are these keys; `$objects` always is one.

    Raises:
        UnknownKeyError: no image has had one of them.
    """
    for name in keys:
        if name not in registry.by_key and name != OBJECTS_KEY:
            raise UnknownKeyError(name, registry.by_key)


def facets_under(snapshot: Snapshot, keys: Sequence[str], where: str) -> list[Facet]:
    """The facets of some keys, of the rows that a predicate lets through. Blocks.

    Raises:
        UnknownKeyError: no image has had one of the keys.
    """
    check_facets(keys, snapshot.registry)
    known = snapshot.registry.by_key
    return [
        _classes(snapshot, where) if name == OBJECTS_KEY else _facet(snapshot, known[name], where)
        for name in keys
    ]


def _classes(snapshot: Snapshot, where: str) -> Facet:
    """How many of the images that a predicate lets through have an object of each class."""
    images, counts = 0, Counter[str | bool]()
    if has_objects(snapshot.dataset.schema):
        scanner = snapshot.dataset.scanner(
            columns=[TERMS], filter=f"({where}) AND {KEY} IS NOT NULL", batch_size=BATCH_ROWS
        )
        for batch in scanner.to_batches():
            images += int(pc.sum(pc.greater(pc.list_value_length(batch[TERMS]), 0)).as_py() or 0)
            for each in pc.value_counts(batch[TERMS].flatten()).to_pylist():
                name, number = class_of(each["values"])
                counts[name] += each["counts"] if number == 1 else 0
    values, more = _frequent(counts)
    return Facet(OBJECTS_KEY, ColumnType.STRINGS.label, images, values=values, more=more)


def _facet(snapshot: Snapshot, key: Key, where: str) -> Facet:
    there = f"NOT ({missing(key)})"
    scanner = snapshot.dataset.scanner(
        columns={_VALUE: value_of(key)},
        filter=there if where == ALWAYS else f"({where}) AND {there}",
        batch_size=BATCH_ROWS,
        batch_size_bytes=BATCH_BYTES,
    )
    batches = (batch[_VALUE] for batch in scanner.to_batches() if batch.num_rows)
    if key.type in _ORDERED:
        count, least, greatest = _range(batches)
        return Facet(key.key, key.type.label, count, min=least, max=greatest)
    count, values, more = _counted(batches)
    return Facet(key.key, key.type.label, count, values=values, more=more)


def _range(batches: Iterable[pa.Array]) -> tuple[int, MetadataValue | None, MetadataValue | None]:
    """How many values there are, the least of them and the greatest."""
    count, ends, moments = 0, [], False
    for batch in batches:
        count += len(batch)
        # Naive: pyarrow looks up "UTC" in the system's time zones, which slim containers lack.
        moments = pa.types.is_timestamp(batch.type)
        found = pc.min_max(batch.cast(pa.timestamp("us")) if moments else batch)
        ends += found.as_py().values()
    if not ends:
        return 0, None, None
    least, greatest = min(ends), max(ends)
    if moments:
        least, greatest = (format_timestamp(each.replace(tzinfo=UTC)) for each in (least, greatest))
    return count, least, greatest


def _counted(batches: Iterable[pa.Array]) -> tuple[int, list[tuple[str | bool, int]], bool]:
    """How many images there are, the most frequent values, and whether there are others."""
    images, counts, more = 0, Counter[str | bool](), False
    for batch in batches:
        images += len(batch)
        values = batch.flatten() if pa.types.is_list(batch.type) else batch
        found, times = (each.to_pylist() for each in pc.value_counts(values).flatten())
        for value, count in zip(found, times, strict=True):
            if value in counts or (len(counts) < MAX_COUNTED and _is_choice(value)):
                counts[value] += count
            else:
                more = True
    values, others = _frequent(counts)
    return images, values, more or others


def _frequent(counts: Counter[str | bool]) -> tuple[list[tuple[str | bool, int]], bool]:
    """The most frequent values, and whether there are others."""
    frequent = sorted(counts.items(), key=lambda pair: (-pair[1], pair[0]))
    return frequent[:MAX_VALUES], len(frequent) > MAX_VALUES


def _is_choice(value: str | bool) -> bool:
    return isinstance(value, bool) or len(value) <= MAX_VALUE_CHARS
