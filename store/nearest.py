"""The rows nearest to a vector: exactly, or with the vector index nearly so.

With an index, a search takes candidates from the nearest partitions by their short codes, and ranks
those by their true vectors. How many candidates and partitions is decided here, by how deep the
answer goes: the same number for all answers up to one of the `DEPTHS`, so that pages within it
come from the same candidates and neither repeat nor leave out an image. Rows that the index does
not know yet are always searched, exactly.
"""

import math
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np
import pyarrow as pa

from store.filters import ALWAYS
from store.rows import to_dicts, to_vectors
from store.schemas import FloatVector

if TYPE_CHECKING:
    from lancedb import AsyncTable
    from lancedb.query import AsyncStandardQuery, AsyncVectorQuery

Found = dict[str, Any]
# Up to here, rows at the same distance as the last hit are fetched too, and put in order.
MAX_TIES = 16_384
ALL_PARTITIONS = 1_000_000
# Candidates per hit at the full depth; measured: two give a recall of 0.997 at four bits.
_CANDIDATES = 2
_LEAST_ASKED = 16


@dataclass(frozen=True)
class Depth:
    """How a search goes up to a number of rows.

    Attributes:
        rows: up to which; a power of two.
        partitions: looked into where nothing is filtered out. Deep answers reach beyond a cluster,
            into rows that lie as far off as any: these are in any partition.
    """

    rows: int
    partitions: int


DEPTHS = (
    Depth(64, 40),
    Depth(256, 80),
    Depth(1024, ALL_PARTITIONS),
    Depth(MAX_TIES, ALL_PARTITIONS),
)


async def nearest(
    table: "AsyncTable", vector: FloatVector, count: int, columns: list[str], where: str
) -> list[Found]:
    """The nearest rows by cosine distance, then id.

    Of several rows at the last place's distance LanceDB returns any, so more are asked for until
    it is clear which are the first ones by id.

    Args:
        table: to search.
        vector: float32 [dim], unit length.
        count: how many rows at most.
        columns: to return; ``_distance`` comes with them.
        where: an SQL predicate; applied before the ranking.
    """
    share = await _share(table, where)
    if share == 0:
        return []
    query = table.query().nearest_to(vector).distance_type("cosine")
    query = filtered(query, where).select([*columns, "_distance"])
    asked = max(_LEAST_ASKED, _power_of_two(count + 1))
    while True:
        found = in_order(to_dicts(await _deep(query, asked, share).to_arrow()))
        if len(found) < asked or asked > MAX_TIES:
            break
        if found[-1]["_distance"] > found[count - 1]["_distance"]:
            break
        asked *= 2
    return found[:count]


def filtered(query: "AsyncStandardQuery", where: str) -> "AsyncStandardQuery":
    """The query with its filter, if it has one."""
    return query if where == ALWAYS else query.where(where)


def in_order(found: list[Found]) -> list[Found]:
    """Rows by distance, then id."""
    return sorted(found, key=lambda row: (row["_distance"], row["id"]))


def with_distances(found: pa.Table, vector: FloatVector) -> list[Found]:
    """The rows of a result with their cosine distance to a vector in place of their own vector."""
    vectors = to_vectors(found.select(["id", "vector"]))
    rows = to_dicts(found.drop_columns(["vector"]))
    query = vector.astype(np.float64) / np.linalg.norm(vector.astype(np.float64))
    for row in rows:
        stored = vectors[row["id"]].astype(np.float64)
        row["_distance"] = 1 - float(stored @ query) / float(np.linalg.norm(stored))
    return rows


async def _share(table: "AsyncTable", where: str) -> float:
    """The share of the rows that a filter lets through.

    The fewer, the more partitions have to be looked into to find as many. Leaving the index aside
    for a rare filter is no way: LanceDB then reads every vector of the table, two seconds at a
    million rows, unless a scalar index knows the whole filter.
    """
    if where == ALWAYS:
        return 1.0
    rows = int(await table.count_rows())
    return int(await table.count_rows(where)) / max(1, rows)


def _deep(query: "AsyncVectorQuery", asked: int, share: float) -> "AsyncVectorQuery":
    depth = next((each for each in DEPTHS if asked <= each.rows), DEPTHS[-1])
    refine = max(_CANDIDATES, _CANDIDATES * depth.rows // asked)
    probes = min(ALL_PARTITIONS, math.ceil(depth.partitions / min(1.0, share)))
    # Where there is no index, these two mean nothing.
    return query.refine_factor(refine).nprobes(probes).limit(asked)


def _power_of_two(least: int) -> int:
    return 1 << (least - 1).bit_length()
