"""The vector index: whether a table should have one, how large, and building it.

IVF_RQ: the vectors are put into partitions by k-means, and stored in RaBitQ codes (Gao et al.,
SIGMOD 2025, https://arxiv.org/abs/2409.09913) of a few bits per dimension, from which a search
takes candidates that it then ranks by their true vectors. Of LanceDB's indexes it is the quickest
to build, and at four bits it lost nothing on clusters whose rows one bit cannot tell apart:
recall@10 of 1.0 where one bit had 0.5 to 0.9 (100k rows, five candidates per hit).
"""

import asyncio
import os
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from store.search.nearest import partitions_for
from store.table.connection import open_dataset

if TYPE_CHECKING:
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


@dataclass(frozen=True)
class VectorIndex:
    """The vector index of a table.

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


async def ensure_vector_index(table: "AsyncTable", rows: int, min_rows: int) -> str | None:
    """Builds the index if the table is large enough for one, or has outgrown the one it has.

    Searches go on with the old index, or exactly, until the new one is committed; it then knows
    all rows that there were at the start. Rows added since are for `store.upkeep.indexes`.

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
        distance_type="cosine",
        num_partitions=partitions,
        num_bits=BITS,
        sample_rate=SAMPLE_RATE,
    )
    await table.create_index("vector", config=config, replace=True, name=NAME)
    done = "built" if index is None else "rebuilt"
    return f"{done} the vector index over {rows} rows in {partitions} partitions"


async def _partitions(table: "AsyncTable", name: str) -> int:
    """Only pylance tells how many there are."""
    # Else the statistics hold all centroids, and Lance warns that they do.
    os.environ.setdefault("LANCE_INCLUDE_VECTOR_CENTROIDS", "false")
    uri, options = await table.uri(), await table.latest_storage_options()
    version = await table.version()

    def read() -> Any:
        dataset = open_dataset(
            uri, options, version=version, cache_bytes=_CACHE_BYTES, metadata_bytes=_CACHE_BYTES
        )
        return dataset.stats.index_stats(name)

    said = await asyncio.to_thread(read)
    # An index has a segment per fold; all have the partitions of the first.
    segments = said.get("segments") or said.get("indices") or []
    return max((int(each.get("num_partitions", 1)) for each in segments), default=1)
