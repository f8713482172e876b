"""The rows nearest to a vector: exactly, or with the vector index nearly so.

With an index, a search takes candidates from the nearest partitions by their short codes, and ranks
those by their true vectors. How many candidates and partitions is decided here, by how deep the
answer goes: the same number for all answers up to one of the `DEPTHS`, so that pages within it
come from the same candidates and neither repeat nor leave out an image. Rows that the index does
not know yet are always searched, exactly.

Of several rows at the last place's distance LanceDB returns any, so more are asked for until it is
clear which are the first ones by id. One picture may be there thousands of times, under as many
urls: rows stay in Arrow here, and what takes long is done in a thread, off the event loop.
"""

import asyncio
import math
from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np
import pyarrow as pa

from store.fetching import fetched
from store.filters import ALWAYS
from store.rows import as_matrix
from store.schemas import FloatVector
from store.vector_index import partitions_for

if TYPE_CHECKING:
    from lancedb import AsyncTable
    from lancedb.query import AsyncStandardQuery, AsyncVectorQuery

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
) -> pa.Table:
    """The nearest rows by cosine distance, then id.

    Args:
        table: to search.
        vector: float32 [dim], unit length.
        count: how many rows at most.
        columns: to return, the id among them; ``_distance`` comes with them.
        where: an SQL predicate; applied before the ranking.
    """
    asking = _Asking(table, vector, where)
    asked = _enough(count)
    found = await asking.ask(asked, columns)
    if _is_settled(found, asked, count):
        return await asyncio.to_thread(_first, found, count)
    while not _is_settled(found, asked, count):
        # As many as come from the same candidates, then as many as from the next more.
        asked = next(depth.rows for depth in DEPTHS if depth.rows > asked)
        found = await asking.ask(asked, ["id"])
    first = await asyncio.to_thread(_first, found, count)
    return first if columns == ["id"] else await _with_columns(table, first, columns)


async def any_nearest(
    table: "AsyncTable", vector: FloatVector, count: int, columns: list[str], where: str
) -> pa.Table:
    """The same with any of the rows at the last place's distance, which saves asking for all."""
    found = await _Asking(table, vector, where).ask(_enough(count), columns)
    return await asyncio.to_thread(_first, found, count)


def filtered(query: "AsyncStandardQuery", where: str) -> "AsyncStandardQuery":
    """The query with its filter, if it has one."""
    return query if where == ALWAYS else query.where(where)


def with_distances(found: pa.Table, vector: FloatVector) -> pa.Table:
    """A result with the rows' cosine distance to a vector in place of their own vector."""
    vectors = as_matrix(found["vector"]).astype(np.float64)
    query = vector.astype(np.float64)
    if len(vectors):
        lengths = np.linalg.norm(vectors, axis=1) * np.linalg.norm(query)
        distances = 1 - (vectors @ query) / lengths
    else:
        distances = np.empty(0)
    return found.drop_columns(["vector"]).append_column("_distance", pa.array(distances))


def _is_settled(found: pa.Table, asked: int, count: int) -> bool:
    """Whether a row further off than the last place shows that none of its distance is missing."""
    if len(found) < asked or asked >= MAX_TIES:
        return True
    distances = found["_distance"].to_numpy()
    return bool(distances.max() > np.partition(distances, count - 1)[count - 1])


def _first(found: pa.Table, count: int) -> pa.Table:
    return found.sort_by([("_distance", "ascending"), ("id", "ascending")]).slice(0, count)


async def _with_columns(table: "AsyncTable", first: pa.Table, columns: list[str]) -> pa.Table:
    ids = first["id"].to_pylist()
    rows = await fetched(table, ids, columns)
    # A row may have gone since.
    left = set(rows["id"].to_pylist())
    kept = first.filter(pa.array([each in left for each in ids], pa.bool_()))
    return rows.append_column("_distance", kept["_distance"])


@dataclass(frozen=True, eq=False)
class _Asking:
    table: "AsyncTable"
    vector: FloatVector
    where: str

    async def ask(self, asked: int, columns: list[str]) -> pa.Table:
        depth = next((each for each in DEPTHS if asked <= each.rows), DEPTHS[-1])
        probes = await self._probes(depth)
        found = await self._look_into(probes, depth, asked, columns)
        if len(found) == asked or probes >= ALL_PARTITIONS:
            return found
        if self.where == ALWAYS and len(found) >= await self.table.count_rows():
            return found
        # The partitions that were looked into hold too few, as after deletes.
        return await self._look_into(ALL_PARTITIONS, depth, asked, columns)

    async def _look_into(
        self, probes: int, depth: Depth, asked: int, columns: list[str]
    ) -> pa.Table:
        refine = max(_CANDIDATES, _CANDIDATES * depth.rows // asked)
        # Where there is no index, these two mean nothing.
        query = self._nearest().refine_factor(refine).nprobes(probes).limit(asked)
        rows = filtered(query, self.where).select([*columns, "_distance"])
        return await rows.to_arrow()

    async def _probes(self, depth: Depth) -> int:
        """How many partitions to look into: as many times more as a filter leaves fewer rows.

        What counts is its share of the rows near the vector: of pictures of cats, "shoes" leaves
        none, and its nearest matches lie as far off as any, in any partition. LanceDB's own way,
        ``maximum_nprobes(0)``, takes no less time than all partitions (measured with 0.40).
        Leaving the index aside for a rare filter is no way: LanceDB then reads every vector of
        the table, two seconds at a million rows, unless a scalar index knows the whole filter.
        """
        if self.where == ALWAYS:
            return depth.partitions
        rows = int(await self.table.count_rows())
        # Below this share, all partitions are needed.
        least = depth.partitions / partitions_for(rows)
        if least >= 1:
            return ALL_PARTITIONS
        share = int(await self.table.count_rows(self.where)) / rows
        if share > least:
            share = min(share, await self._share_nearby(depth))
        return math.ceil(depth.partitions / share) if share > least else ALL_PARTITIONS

    async def _share_nearby(self, depth: Depth) -> float:
        """The share of the nearest rows that the filter lets through."""
        query = self._nearest().nprobes(depth.partitions).limit(depth.rows)
        left = query.where(self.where).postfilter().select(["id", "_distance"])
        return len(await left.to_arrow()) / depth.rows

    def _nearest(self) -> "AsyncVectorQuery":
        return self.table.query().nearest_to(self.vector).distance_type("cosine")


def _enough(count: int) -> int:
    return max(_LEAST_ASKED, _power_of_two(count + 1))


def _power_of_two(least: int) -> int:
    return 1 << (least - 1).bit_length()
