"""Recall@10, p50 and p99 of searches by index, against exact search and faiss.

`python -m bench.recall [--rows N] [--queries N] [--partition-rows N] [--json FILE]`; some minutes,
most of them faiss's build of HNSW. Recall is against an exact search of the same vectors by numpy.
faiss searches the same vectors with the same queries and filters, in this process and from memory:
exactly, and with HNSW (32 links, an effort of 40 to build, its default, and of 64 to search). One
query at a time. Exits with status 1 where the index finds less than 0.98.
"""

import argparse
import asyncio
import sys
import tempfile
import time
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import faiss
import numpy as np
from numpy.typing import NDArray

from bench.loading import RARE_ROWS, load, metadata_of, number_of
from bench.report import Report, cores
from bench.timing import Timed, each, each_now
from bench.vectors import DIM, SPREAD, Clusters, Matrix, recall
from store.index import ImageIndex
from store.metadata.columns import Registry
from store.schemas import Hit, ModelIdentity, SearchQuery
from store.search import nearest
from store.settings import StoreSettings
from store.table.connection import connect
from store.table.open import open_table
from store.upkeep.indexes import ensure_scalar_indexes
from store.upkeep.recall import estimate_recall
from store.upkeep.vector_index import ensure_vector_index

IDENTITY = ModelIdentity("bench", "seeded", DIM)
REQUIRED = 0.98
TOP = 10
TAIL_SHARE = 0.2
COLUMNS = (
    "case", "rows kept", "recall@10", "p50 ms", "p99 ms",
    "faiss exact p50 ms", "HNSW recall@10", "HNSW p50 ms", "HNSW p99 ms",
)  # fmt: skip


@dataclass(frozen=True)
class Case:
    """A line of the table: which store is asked, with which filter.

    Far: the queries are those near which the filter keeps nothing.
    """

    name: str
    filter: dict[str, Any] | None
    tail: bool = False
    far: bool = False


CASES = (
    Case("no filter", None),
    Case("filter keeps 50 %", {"half": True}),
    Case("filter keeps 1 %", {"percent": 3}),
    Case(f"filter keeps {RARE_ROWS} rows", {"rare": 5}),
    Case("filter keeps 50 %, none near", {"kind": 0}, far=True),
    Case("20 % unindexed tail", None, tail=True),
)


class Peer:
    """faiss over the same vectors: exact search and HNSW."""

    def __init__(self, vectors: Matrix) -> None:
        faiss.omp_set_num_threads(cores())
        self.exact = faiss.IndexFlatIP(DIM)
        self.exact.add(vectors)
        self.hnsw = faiss.IndexHNSWFlat(DIM, 32, faiss.METRIC_INNER_PRODUCT)
        began = time.perf_counter()
        self.hnsw.add(vectors)
        self.build_s = time.perf_counter() - began

    def search(
        self, queries: Matrix, kept: NDArray[np.int64] | None, top: int
    ) -> tuple[Timed[list[int]], Timed[list[int]]]:
        """Exact and HNSW, one query at a time, among the rows kept."""
        flat, graph = faiss.SearchParameters(), _hnsw_parameters()
        if kept is not None:
            flat.sel = graph.sel = faiss.IDSelectorBatch(kept)

        def ask(index: Any, params: Any) -> Timed[list[int]]:
            return each_now(
                lambda query: index.search(query[None], top, params=params)[1][0].tolist(), queries
            )

        return ask(self.exact, flat), ask(self.hnsw, graph)


def _hnsw_parameters() -> Any:
    # faiss's type stubs lack the class.
    return vars(faiss)["SearchParametersHNSW"](efSearch=64)


async def build(settings: StoreSettings) -> float:
    """Builds the indexes that upkeep would build; seconds for the vector index."""
    connection = await connect(settings)
    table = await open_table(connection, IDENTITY)
    rows = int(await table.count_rows())
    began = time.perf_counter()
    await ensure_vector_index(table, rows, settings.store_vector_index_rows)
    seconds = time.perf_counter() - began
    await ensure_scalar_indexes(table, Registry.from_schema(await table.schema()), rows)
    return seconds


async def ask(settings: StoreSettings, queries: Matrix, case: Case) -> Timed[list[Hit]]:
    """Asks the index, once for warmth and then timed."""
    index = await ImageIndex.open(settings, IDENTITY)
    asked = [SearchQuery(vector=query, filter=case.filter, limit=TOP) for query in queries]
    await each(index.search, asked[:20])
    timed = await each(index.search, asked)
    await index.close()
    return timed


def exact_among(
    vectors: Matrix, queries: Matrix, kept: NDArray[np.int64] | None
) -> NDArray[np.int64]:
    """The numbers of the nearest rows of each query, int64 [queries, up to TOP]."""
    among = np.arange(len(vectors)) if kept is None else kept
    scores = queries @ vectors[among].T
    return np.asarray(among[np.argsort(-scores, axis=1)[:, :TOP]])


def kept_by(case: Case, rows: int) -> NDArray[np.int64] | None:
    """The numbers of the rows that the filter keeps, None for all."""
    if case.filter is None:
        return None
    [(key, value)] = case.filter.items()
    return np.array([n for n in range(rows) if metadata_of(n)[key] == value], np.int64)


async def measure(report: Report, folder: Path, rows: int, queries_count: int) -> bool:
    """Prints the tables; whether every recall is as required."""
    clusters = Clusters(rows // 100)
    vectors = clusters.rows(rows)
    queries = clusters.rows(queries_count, stream=1)
    whole, tailed = (_settings(folder / name) for name in ("whole", "tailed"))
    indexed = rows - int(rows * TAIL_SHARE)
    await load(whole, IDENTITY, [vectors])
    await load(tailed, IDENTITY, [vectors[:indexed]])
    build_s, _ = await build(whole), await build(tailed)
    await load(tailed, IDENTITY, [vectors[indexed:]])
    peer = Peer(vectors)
    report.table(
        ("index", "build s"),
        [("IVF_RQ of the store, on disk", build_s), ("faiss HNSW32, in memory", peer.build_s)],
        f"{rows:,} vectors of {DIM} dimensions, clusters of 100, spread {SPREAD}",
    )
    lines = []
    for case in CASES:
        kept = kept_by(case, rows)
        asked = queries[1::2] if case.far else queries
        timed = await ask(tailed if case.tail else whole, asked, case)
        exact = exact_among(vectors, asked, kept)
        flat, graph = peer.search(asked, kept, exact.shape[1])
        found = [[number_of(hit.url) for hit in hits] for hits in timed.answers]
        lines.append(
            (case.name, rows if kept is None else len(kept), recall(found, exact),
             timed.ms(50), timed.ms(99), flat.ms(50),
             recall(graph.answers, exact), graph.ms(50), graph.ms(99))
        )  # fmt: skip
    report.table(COLUMNS, lines, f"{queries_count} queries, one at a time")
    estimate = await _estimate(whole)
    report.say(f"the store's own estimate of its recall, as upkeep makes it: {estimate}")
    return all(line[2] >= REQUIRED for line in lines)


async def _estimate(settings: StoreSettings) -> float | None:
    table = await open_table(await connect(settings), IDENTITY)
    return await estimate_recall(table)


def _settings(folder: Path) -> StoreSettings:
    # Upkeep is done by hand here.
    return StoreSettings(store_uri=str(folder), store_upkeep_minutes=1440)


def main() -> None:
    """Measures, prints, and exits with 1 where the index finds too little."""
    parser = argparse.ArgumentParser(description="Measure the recall of searches by index.")
    parser.add_argument("--rows", type=int, default=100_000)
    parser.add_argument("--queries", type=int, default=200)
    parser.add_argument(
        "--partition-rows",
        type=int,
        default=nearest.PARTITION_ROWS,
        help="400 gives 100,000 rows the partitions of a million",
    )
    parser.add_argument("--json", type=Path, help="write the tables to this file, too")
    arguments = parser.parse_args()
    nearest.PARTITION_ROWS = arguments.partition_rows
    report = Report("Recall of the vector index")
    with tempfile.TemporaryDirectory(prefix="bench-recall-") as folder:
        passed = asyncio.run(measure(report, Path(folder), arguments.rows, arguments.queries))
    if arguments.json:
        report.json(arguments.json)
    report.say(f"recall of {REQUIRED} or more in every case: {'yes' if passed else 'NO'}")
    sys.exit(0 if passed else 1)


if __name__ == "__main__":
    main()
