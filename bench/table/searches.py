"""Searches of a filled table by the store alone, in a process of its own, with recall and memory.

Recall is against an exact search of the same vectors by numpy. The store reads from disk, metadata
of hits included.
"""

import asyncio
import json
import sys
import time
from collections.abc import Awaitable, Callable, Iterable, Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import psutil

from bench.report import median, percentile
from bench.service.child import answer_of
from bench.service.processes import resident_mib
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
from store.schemas import NewImage, SearchQuery
from store.settings import StoreSettings

TOP = 10
ADDS, CLIENTS, SINGLES = 6400, 64, 100
CASES: Mapping[str, dict[str, Any]] = {
    "no filter": {},
    "filter keeps 50 %": {"half": True},
    "filter keeps 1 %": {"percent": 3},
    "filter keeps 7 of 100,000": {"rare": 5},
    "filter keeps 50 %, none near": {"kind": 0},
}
_WARM_UP = 10
_MEANWHILE = 100
"""Searches while the clients add, fewer than the adds take."""
Found = dict[str, Any]


def searches(settings: Mapping[str, str], rows: int, runs: int) -> Found:
    """Measure the table of these settings in a child process."""
    found: Found = answer_of(__name__, settings, rows, runs)
    return found


async def timed(call: Callable[[Any], Awaitable[Any]], inputs: Iterable[Any]) -> list[float]:
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


def kept_by(case: str, numbers: range) -> list[int]:
    """Numbers of the rows that a case's filter keeps."""
    return [n for n in numbers if CASES[case].items() <= row_metadata(n).items()]


def exact_answers(clusters: Clusters, rows: int, queries: Matrix) -> dict[str, list[list[int]]]:
    """Numbers of the nearest rows of each query by case, a batch of rows at a time."""
    best: dict[str, list[list[tuple[float, int]]]] = {
        case: [[] for _ in queries_of(case, queries)] for case in CASES
    }
    first = 0
    for vectors in clusters.batches(rows):
        for case in CASES:
            kept = np.array(kept_by(case, range(first, first + len(vectors))), np.int64)
            scores = queries_of(case, queries) @ vectors[kept - first].T
            order = np.argsort(-scores, axis=1)[:, :TOP]
            for near, row, numbers in zip(best[case], scores, order, strict=True):
                near += [(float(row[n]), int(kept[n])) for n in numbers]
                near.sort(reverse=True)
                del near[TOP:]
        first += len(vectors)
    return {case: [[n for _, n in near] for near in each] for case, each in best.items()}


async def measure(index: ImageIndex, rows: int, runs: int) -> Found:
    """Searches by case, then adds with their tail and upkeep; memory and disk."""
    clusters = Clusters(rows, dim=service_identity().dim)
    queries, cases = clusters.rows(runs, stream=1), {}
    answers = {}
    for case in CASES:
        answers[case], ms = await _asked(index, case, queries)
        cases[case] = {"p50": median(ms), "p99": percentile(ms, 99)}
    found: Found = {"cases": cases, "RSS MiB": resident_mib(psutil.Process())}
    exact = exact_answers(clusters, rows, queries)
    for case, each in cases.items():
        each["recall"] = recall(answers[case], exact[case])
    fresh = enumerate(clusters.rows(ADDS + SINGLES, stream=2))
    images = [NewImage(url_of(rows + n), vector, {"percent": n % 100}) for n, vector in fresh]
    found["add p50 ms"] = median(await timed(index.upsert, images[:SINGLES]))
    many = images[SINGLES:]
    adding = [timed(index.upsert, many[n::CLIENTS]) for n in range(CLIENTS)]
    searching = _asked(index, "no filter", queries[:_MEANWHILE])
    took, (_, meanwhile) = await asyncio.gather(asyncio.gather(*adding), searching)
    found["adds/s of 64 clients"] = 1e3 * CLIENTS / median([ms for each in took for ms in each])
    found["search meanwhile p50 ms"] = median(meanwhile)
    found["search with that tail p50 ms"] = median((await _asked(index, "no filter", queries))[1])
    [upkeep_ms] = await timed(lambda _: index.run_upkeep(), [None])
    found["upkeep after that, s"] = upkeep_ms / 1e3
    return found


async def _asked(
    index: ImageIndex, case: str, queries: Matrix
) -> tuple[list[list[int]], list[float]]:
    asked = [SearchQuery(vector=q, filter=CASES[case] or None) for q in queries_of(case, queries)]
    await timed(index.search, asked[:_WARM_UP])
    answers: list[list[int]] = []

    async def search(query: SearchQuery) -> None:
        answers.append([number_of(hit.url) for hit in await index.search(query)])

    took = await timed(search, asked)
    return answers, took


async def main(rows: int, runs: int) -> None:
    # No upkeep on its own, so that it is known what runs when.
    settings = StoreSettings(store_upkeep_minutes=1440, store_upkeep_every=1000)
    index = await ImageIndex.open(settings, service_identity())
    found = await measure(index, rows, runs)
    await index.close()
    print(json.dumps({**found, "on disk MiB": mib_in(Path(settings.store_uri))}))


if __name__ == "__main__":
    asyncio.run(main(*(int(each) for each in sys.argv[1:])))
