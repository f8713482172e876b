"""Searches of a filled table by the store alone, in a process of its own, with recall and memory.

Recall is against an exact search of the same vectors by numpy. With faiss, the same queries and
filters are put to it in the same process, from memory: exactly, and with HNSW (32 links, its
default effort of 40 to build, 64 to search). The store reads from disk, metadata of hits included.
"""

import asyncio
import json
import os
import subprocess
import sys
import time
from collections.abc import Awaitable, Callable, Iterable, Mapping, Sequence
from pathlib import Path
from typing import Any, TypeVar

import numpy as np
import psutil

from bench.report import cores, percentile
from bench.service.table import (
    Clusters,
    Matrix,
    mib_in,
    number_of,
    row_metadata,
    service_identity,
    url_of,
)
from store.index import ImageIndex
from store.schemas import NewImage, SearchQuery, image_id
from store.settings import StoreSettings

TOP = 10
ADDS, CLIENTS, SINGLES = 1024, 64, 20
CASES: Mapping[str, dict[str, Any]] = {
    "no filter": {},
    "filter keeps 50 %": {"half": True},
    "filter keeps 1 %": {"percent": 3},
    "filter keeps 7 of 100,000": {"rare": 5},
    "filter keeps 50 %, none near": {"kind": 0},
}
_WARM_UP = 10
_In = TypeVar("_In")
Found = dict[str, Any]


def searches(settings: Mapping[str, str], rows: int, runs: int, *, faiss: bool) -> Found:
    """Measure the table of these settings in a child process.

    Raises:
        subprocess.CalledProcessError: it failed; what it said is on standard error.
    """
    command = [sys.executable, "-m", __name__, str(rows), str(runs), str(int(faiss))]
    environment = {**os.environ, **settings}
    done = subprocess.run(command, env=environment, check=True, stdout=subprocess.PIPE)
    found: Found = json.loads(done.stdout.splitlines()[-1])
    return found


async def timed(call: Callable[[_In], Awaitable[Any]], inputs: Iterable[_In]) -> list[float]:
    """Milliseconds of calls, one after the other."""
    took = []
    for given in inputs:
        began = time.perf_counter()
        await call(given)
        took.append((time.perf_counter() - began) * 1e3)
    return took


def queries_of(case: str, queries: Matrix) -> Matrix:
    """The queries of a case: where nothing near is kept, those around the other centres."""
    return queries[1::2] if case.endswith("none near") else queries


def recall(found: Sequence[Sequence[int]], exact: Sequence[Sequence[int]]) -> float:
    """Mean share of each exact answer that was found."""
    pairs = zip(found, exact, strict=True)
    return float(np.mean([len(set(got) & set(right)) / len(right) for got, right in pairs]))


def exact_answers(clusters: Clusters, rows: int, queries: Matrix) -> dict[str, list[list[int]]]:
    """Numbers of the nearest rows of each query by case, a batch of rows at a time."""
    best: dict[str, list[list[tuple[float, int]]]] = {
        case: [[] for _ in queries_of(case, queries)] for case in CASES
    }
    first = 0
    for vectors in clusters.batches(rows):
        metadata = [row_metadata(first + n) for n in range(len(vectors))]
        for case, filter in CASES.items():
            kept = np.array([n for n, row in enumerate(metadata) if filter.items() <= row.items()])
            if not len(kept):
                continue
            scores = queries_of(case, queries) @ vectors[kept].T
            order = np.argsort(-scores, axis=1)[:, :TOP]
            for near, row, numbers in zip(best[case], scores, order, strict=True):
                near += [(float(row[n]), first + int(kept[n])) for n in numbers]
                near.sort(reverse=True)
                del near[TOP:]
        first += len(vectors)
    return {case: [[n for _, n in near] for near in each] for case, each in best.items()}


class Faiss:
    """faiss over the same vectors: exact search and HNSW, one query at a time."""

    def __init__(self, vectors: Matrix) -> None:
        import faiss  # noqa: PLC0415 - of a dependency group

        self._faiss = faiss
        faiss.omp_set_num_threads(cores())
        self._exact = faiss.IndexFlatIP(vectors.shape[1])
        self._exact.add(vectors)
        self._graph = faiss.IndexHNSWFlat(vectors.shape[1], 32, faiss.METRIC_INNER_PRODUCT)
        began = time.perf_counter()
        self._graph.add(vectors)
        self.build_s = time.perf_counter() - began
        numbers = range(len(vectors))
        self._metadata = [row_metadata(n) for n in numbers]

    def ask(self, case: str, queries: Matrix, exact: list[list[int]]) -> Found:
        """Recall and latencies among the rows that the case keeps."""
        filter = CASES[case]
        kept = [n for n, row in enumerate(self._metadata) if filter.items() <= row.items()]
        flat = self._faiss.SearchParameters()
        graph = vars(self._faiss)["SearchParametersHNSW"](efSearch=64)  # not in its type stubs
        if filter:
            flat.sel = graph.sel = self._faiss.IDSelectorBatch(np.array(kept, np.int64))
        found: Found = {}
        for name, index, parameters in (("flat", self._exact, flat), ("hnsw", self._graph, graph)):
            answers, took = [], []
            for query in queries:
                began = time.perf_counter()
                numbers = index.search(query[None], TOP, params=parameters)[1][0]
                took.append((time.perf_counter() - began) * 1e3)
                answers.append(numbers.tolist())
            found[name] = {"recall": recall(answers, exact), "p50": percentile(took, 50)}
        return found


class Measurement:
    """One open index, and what is asked of it."""

    def __init__(self, index: ImageIndex, settings: StoreSettings, rows: int, runs: int) -> None:
        self._index, self._settings, self._rows = index, settings, rows
        self._clusters = Clusters(rows, dim=service_identity().dim)
        self._queries = self._clusters.rows(runs, stream=1)

    async def all(self, *, faiss: bool) -> Found:
        """Searches by case, adds with their tail, memory and disk."""
        answers: dict[str, list[list[int]]] = {}
        cases: dict[str, Found] = {}
        for case in CASES:
            answers[case], took = await self._asked(case)
            cases[case] = {"p50": percentile(took, 50), "p99": percentile(took, 99)}
        text = [
            SearchQuery(text=f"word{n} picture", text_vector=query)
            for n, query in enumerate(self._queries[:20])
        ]
        took = await timed(self._index.search, text)
        rss = psutil.Process().memory_info().rss / 2**20
        exact = exact_answers(self._clusters, self._rows, self._queries)
        for case, each in cases.items():
            each["recall"] = recall(answers[case], exact[case])
        found: Found = {"cases": cases, "text": percentile(took, 50), "rss": rss}
        found["disk"] = await asyncio.to_thread(mib_in, Path(self._settings.store_uri))
        if faiss:
            peer = Faiss(self._clusters.rows(self._rows))
            found["hnsw build s"] = peer.build_s
            for case, each in cases.items():
                each.update(peer.ask(case, queries_of(case, self._queries), exact[case]))
        return {**found, **await self._writes()}

    async def _asked(self, case: str) -> tuple[list[list[int]], list[float]]:
        queries = queries_of(case, self._queries)
        asked = [SearchQuery(vector=q, filter=CASES[case] or None, limit=TOP) for q in queries]
        await timed(self._index.search, asked[:_WARM_UP])
        answers: list[list[int]] = []

        async def search(query: SearchQuery) -> None:
            answers.append([number_of(hit.url) for hit in await self._index.search(query)])

        took = await timed(search, asked)
        return answers, took

    async def _writes(self) -> Found:
        fresh = self._clusters.rows(ADDS + SINGLES, stream=2)
        images = [
            NewImage(url_of(self._rows + n), vector, {"half": True, "percent": n % 100})
            for n, vector in enumerate(fresh)
        ]
        one = await timed(self._index.upsert, images[:SINGLES])
        began, many = time.perf_counter(), images[SINGLES:]
        parts = (timed(self._index.upsert, many[n::CLIENTS]) for n in range(CLIENTS))
        await asyncio.gather(*parts)
        rate = ADDS / (time.perf_counter() - began)
        _, tail = await self._asked("no filter")
        gone = [[image_id(url_of(n * 89))] for n in range(SINGLES)]
        deletes = await timed(self._index.delete, gone)
        began = time.perf_counter()
        await self._index.run_upkeep()
        return {
            "add p50": percentile(one, 50),
            "adds/s": rate,
            "search with tail p50": percentile(tail, 50),
            "delete p50": percentile(deletes, 50),
            "upkeep s": time.perf_counter() - began,
        }


async def _measured(rows: int, runs: int, *, faiss: bool) -> Found:
    # No upkeep on its own, so that it is known what runs when.
    settings = StoreSettings(store_upkeep_minutes=1440, store_upkeep_every=1000)
    index = await ImageIndex.open(settings, service_identity())
    try:
        return await Measurement(index, settings, rows, runs).all(faiss=faiss)
    finally:
        await index.close()


if __name__ == "__main__":
    _rows, _runs, _faiss = (int(each) for each in sys.argv[1:])
    print(json.dumps(asyncio.run(_measured(_rows, _runs, faiss=bool(_faiss)))))
