"""The indexes of a table: of its vectors with their recall, and of columns that filters go by.

An index knows the rows that there were when it was made; newer ones are searched one by one beside
it, which is exact and, while they are few, quick.
"""

import asyncio
import os
from collections.abc import Iterable
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np

from store.metadata.columns import Column, Registry
from store.metadata.objects import KEY, TERMS, has_objects
from store.metadata.predicates import ALWAYS
from store.metadata.rows import as_matrix
from store.metadata.values import ColumnType
from store.search.vectors.nearest import nearest, partitions_for
from store.snapshot.known import sampled
from store.snapshot.latest import Snapshots
from store.snapshot.snapshot import Snapshot
from store.table.connection import in_dataset

if TYPE_CHECKING:
    from lance import LanceDataset
    from lancedb import AsyncTable

NAME = "vector_idx"
BITS = 4
# Sampled per partition to train on: bounds the memory that k-means takes, 512 MiB at a million
# rows of 512 dimensions.
SAMPLE_RATE = 256
# Rows added later go into the partitions there are. They grow with the table, and the time of a
# search with them, until it has become this many times as large; then they are made anew.
RETRAIN_GROWTH = 2
# Of pylance's own caches, beside LanceDB's; its default bounds are 6 GiB and 1 GiB.
_CACHE_BYTES = 1 << 20

RECALL_ROWS = 50
TOP = 10
_BATCH_ROWS = 8192
# Two float32 similarities of one pair differ by as much.
_TOLERANCE = 1e-5

MIN_ROWS = 10_000
# A bitmap takes room per value: worth it for a shop's name, not for a product's.
FEW_VALUES = 100
SAMPLE_ROWS = 5_000
LEAST_STALE_ROWS = 1_000
STALE_SHARE = 0.05
"""Rows that an index may lack, as a share of those that it has."""

_BASE = ("id", "url", "created_at", "pixels")


@dataclass(frozen=True)
class VectorIndex:
    """The vector index of a table.

    IVF_RQ: the vectors are put into partitions by k-means, and stored in RaBitQ codes (Gao et al.,
    SIGMOD 2025, https://arxiv.org/abs/2409.09913) of a few bits per dimension, from which a search
    takes candidates that it then ranks by their true vectors. Of LanceDB's indexes it is the
    quickest to build, and at four bits it lost nothing on clusters whose rows one bit cannot tell
    apart: recall@10 of 1.0 where one bit had 0.5 to 0.9 (100k rows, five candidates per hit).

    Attributes:
        kind: such as ``IVF_RQ``.
        indexed_rows: rows that it holds.
        partitions: into which it was trained.
    """

    kind: str
    indexed_rows: int
    partitions: int


def is_outgrown(partitions: int, rows: int) -> bool:
    """Whether a table has grown so much that its partitions should be made anew."""
    return partitions_for(rows) >= RETRAIN_GROWTH * partitions


async def vector_index_of(table: "AsyncTable") -> VectorIndex | None:
    """The table's vector index, None if it has none."""
    for index in await table.list_indices():
        if index.columns == ["vector"]:
            stats = await table.index_stats(index.name)
            if stats is not None:
                partitions = await _partitions(table, index.name)
                return VectorIndex(stats.index_type, int(stats.num_indexed_rows), partitions)
    return None


async def text_index_of(table: "AsyncTable") -> str | None:
    """The name of the free text's own index, which a table has until all rows have their words."""
    names = (each.name for each in await table.list_indices() if each.columns == ["text"])
    return next(names, None)


async def ensure_vector_index(table: "AsyncTable", rows: int, min_rows: int) -> str | None:
    """Builds the index if the table is large enough for one, or has outgrown the one it has.

    Searches go on with the old index, or exactly, until the new one is committed; it then knows
    all rows that there were at the start. Rows added since are for `update_indexes`.

    Args:
        table: at its latest version.
        rows: that it has.
        min_rows: from how many on there is to be an index. One that is there stays.

    Returns:
        What was done, None if nothing.
    """
    if rows < min_rows:
        return None
    index = await vector_index_of(table)
    if index is not None and not is_outgrown(index.partitions, rows):
        return None
    from lancedb.index import IvfRq  # noqa: PLC0415 - see store.table.open

    partitions = partitions_for(rows)
    config = IvfRq(
        distance_type="cosine", num_partitions=partitions, num_bits=BITS, sample_rate=SAMPLE_RATE
    )
    await table.create_index("vector", config=config, replace=True, name=NAME)
    done = "built" if index is None else "rebuilt"
    return f"{done} the vector index over {rows} rows in {partitions} partitions"


async def _partitions(table: "AsyncTable", name: str) -> int:
    """Only pylance tells how many there are."""
    # Else the statistics hold all centroids, and Lance warns that they do.
    os.environ.setdefault("LANCE_INCLUDE_VECTOR_CENTROIDS", "false")
    said: dict[str, Any] = await in_dataset(
        table,
        lambda dataset: dataset.stats.index_stats(name),
        version=await table.version(),
        cache_bytes=_CACHE_BYTES,
        metadata_bytes=_CACHE_BYTES,
    )
    # An index has a segment per fold; all have the partitions of the first.
    segments = said.get("segments") or said.get("indices") or []
    return max((int(each.get("num_partitions", 1)) for each in segments), default=1)


async def estimate_recall(table: "AsyncTable") -> float | None:
    """Recall@10 of searches by index, against exact search.

    The queries are stored vectors, the same ones for the same table. Each of them finds itself,
    which is no merit, so it is taken out of both answers. A hit counts that is as near as the
    tenth exact one, so that equal rows may stand for each other. All queries are compared with the
    table in one pass over its vectors, a batch in memory at a time.

    Returns:
        The mean share, 0 to 1; 1.0 without an index, None where the table is too small to tell.
    """
    return await asyncio.to_thread(_recall, await Snapshots(table).latest())


def _recall(snapshot: Snapshot) -> float | None:
    if not snapshot.indexed:
        return 1.0
    if snapshot.rows <= TOP + 1:
        return None
    places = sampled(snapshot.rows, RECALL_ROWS).tolist()
    rows = snapshot.dataset.take(places, columns=["id", "vector"])
    queries = as_matrix(rows["vector"])
    best = np.full((len(queries), TOP + 1), -np.inf, np.float32)
    scanner = snapshot.dataset.scanner(columns=["vector"], batch_size=_BATCH_ROWS)
    for batch in scanner.to_batches():
        scores = np.concatenate([best, queries @ as_matrix(batch["vector"]).T], axis=1)
        best = np.partition(scores, -(TOP + 1), axis=1)[:, -(TOP + 1) :]
    # The nearest is the query itself, so the least of these is the tenth of the others.
    least, found = best.min(axis=1) - _TOLERANCE, 0
    for own, query, score in zip(rows["id"].to_pylist(), queries, least, strict=True):
        row_ids, far = nearest(snapshot, query.copy(), slice(0, TOP + 1), ALWAYS)
        ids = snapshot.take(row_ids, ["id"])["id"].to_numpy()
        found += int((1 - far[ids != own][:TOP] >= score).sum())
    return found / (TOP * len(queries))


async def ensure_scalar_indexes(table: "AsyncTable", registry: Registry, rows: int) -> list[str]:
    """Makes the scalar indexes that a table of so many rows should have and lacks; says which.

    A small table is scanned as fast as a scalar index is read, and each index costs a file per
    update, so they are made once a table has grown.
    """
    if rows < MIN_ROWS:
        return []
    from lancedb.index import LabelList  # noqa: PLC0415 - see store.table.open

    indexed = {name for index in await table.list_indices() for name in index.columns}
    done = []
    knows_objects = has_objects(await table.schema())
    for name in (*_BASE, *((KEY,) if knows_objects else ())):
        if name not in indexed:
            done.append(await _create(table, name, _btree()))
    if knows_objects and TERMS not in indexed:
        done.append(await _create(table, TERMS, LabelList()))
    for key in registry.by_key.values():
        # The texts of times are asked for once they are the key's values.
        for column in key.all_columns if key.type is ColumnType.STRING else key.columns:
            if column.name not in indexed:
                done.append(await _create(table, column.name, await _kind(table, column), key.key))
    return done


async def ensure_object_indexes(table: "AsyncTable", rows: int) -> list[str]:
    """Makes the scalar indexes that a table of objects of so many rows should have and lacks."""
    if rows < MIN_ROWS:
        return []
    from lancedb.index import Bitmap  # noqa: PLC0415 - see store.table.open

    indexed = {name for index in await table.list_indices() for name in index.columns}
    wanted = {
        "id": _btree(),
        KEY: _btree(),
        "class_name": Bitmap(),
        "confidence": _btree(),
        "area": _btree(),
    }
    return [
        await _create(table, name, config) for name, config in wanted.items() if name not in indexed
    ]


async def stale_indexes(table: "AsyncTable", *, everything: bool) -> list[str]:
    """The names of the indexes that lack more rows than they should, or any at all."""
    stale = []
    for index in await table.list_indices():
        least = max(LEAST_STALE_ROWS, STALE_SHARE * (index.num_indexed_rows or 0))
        if (index.num_unindexed_rows or 0) > (0 if everything else least):
            stale.append(index.name)
    return stale


def update_indexes(dataset: "LanceDataset", names: Iterable[str]) -> str:
    """Takes the missing rows into these indexes, and says so. Blocks."""
    named = list(names)
    optimizer: Any = dataset.optimize
    optimizer.optimize_indices(index_names=named)
    return f"took new rows into {len(named)} indexes"


async def _create(table: "AsyncTable", name: str, config: Any, key: str | None = None) -> str:
    await table.create_index(name, config=config, replace=False)
    return f"indexed {name if key is None else f'metadata key {key!r}'}"


async def _kind(table: "AsyncTable", column: Column) -> Any:
    from lancedb.index import Bitmap, LabelList  # noqa: PLC0415 - see store.table.open

    if column.type is ColumnType.STRINGS:
        return LabelList()
    if column.type is ColumnType.BOOLEAN:
        return Bitmap()
    if column.type is ColumnType.STRING and await _has_few_values(table, column.name):
        return Bitmap()
    return _btree()


async def _has_few_values(table: "AsyncTable", name: str) -> bool:
    present = table.query().where(f"{name} IS NOT NULL").select([name]).limit(SAMPLE_ROWS)
    return len((await present.to_arrow())[name].unique()) <= FEW_VALUES


def _btree() -> Any:
    from lancedb.index import BTree  # noqa: PLC0415 - see store.table.open

    return BTree()
