"""Measures the store of one checkout in that checkout's own environment, for `versus`.

Run as a script with the checkout's folder and a folder for the table. It imports nothing of `bench`
and of the store only `store.index`, `store.schemas` and `store.settings`, which stay where they are
from commit to commit. Questions come as lines of JSON, and so go the figures.
"""

import asyncio
import json
import os
import resource
import sys
import time
from collections.abc import Awaitable, Callable
from itertools import count, cycle
from typing import Any

sys.path.insert(0, sys.argv[1])
import numpy as np

from store.index import ImageIndex
from store.schemas import FloatVector, ModelIdentity, NewImage, SearchQuery
from store.settings import StoreSettings

DIM = 512
_BATCH, _QUERIES, _SEARCHERS, _FRESH = 10_000, 100, 8, 20_000
_FILTER = {"shop": "shop 3", "price": {"$lt": 600}}
Figures = dict[str, tuple[str, float, float]]
"""By question: the unit, the value, and CPU milliseconds of one call."""


def drawn(seed: int, rows: int) -> FloatVector:
    """Seeded vectors around a few hundred centres: float32 [rows, DIM] of unit length."""
    centres = np.random.default_rng(7).normal(size=(256, DIM)).astype(np.float32)
    rng = np.random.default_rng((7, seed))
    vectors = centres[rng.integers(256, size=rows)]
    vectors += rng.standard_normal(vectors.shape, dtype=np.float32)
    return np.asarray(vectors / np.linalg.norm(vectors, axis=1, keepdims=True), np.float32)


class Worker:
    """One index in a folder, and what is asked of it."""

    def __init__(self, folder: str) -> None:
        self._folder, self._numbers = folder, count()
        self._queries = drawn(1, _QUERIES)

    async def fill(self, rows: int) -> Figures:
        """Add rows without waiting for the disk, build the indexes, open with default settings."""
        began = time.perf_counter()
        index = await self._opened(store_sync=False, store_max_commit_rows=1000)
        for first in range(0, rows, _BATCH):
            images = map(self._image, drawn(2 + first, min(_BATCH, rows - first)))
            await asyncio.gather(*map(index.upsert, images))
        await index.run_upkeep()
        await index.close()
        self._index = await self._opened()
        return {"fill": ("s", time.perf_counter() - began, 0.0)}

    async def measure(self, clients: int, seconds: float) -> Figures:
        """Adds of many clients, then upkeep, then lone searches and searches at once."""
        fresh = map(self._image, cycle(drawn(next(self._numbers), _FRESH)))
        queries = (self._queries[n % _QUERIES] for n in count())

        async def add() -> None:
            await self._index.upsert(next(fresh))

        async def search() -> None:
            await self._index.search(SearchQuery(vector=next(queries)))

        adds = await _rate(add, clients, seconds)
        await self._index.run_upkeep()
        return {
            f"store: adds of {clients} clients": ("adds/s", *adds),
            "store: lone search": ("ms", *await self._lone(None)),
            "store: lone search, filtered": ("ms", *await self._lone(_FILTER)),
            "store: searches at once": (
                "searches/s",
                *await _rate(search, _SEARCHERS, seconds / 2),
            ),
        }

    async def _lone(self, filter: dict[str, Any] | None) -> tuple[float, float]:
        asked = [SearchQuery(vector=query, filter=filter) for query in self._queries]
        for query in asked[:10]:
            await self._index.search(query)
        took, cpu = [], _cpu_s()
        for query in asked:
            began = time.perf_counter()
            await self._index.search(query)
            took.append(time.perf_counter() - began)
        return float(np.median(took)) * 1e3, (_cpu_s() - cpu) / len(asked) * 1e3

    def _image(self, vector: FloatVector) -> NewImage:
        n = next(self._numbers)
        metadata = {"shop": f"shop {n % 20}", "price": n % 1000, "new": n % 2 == 0}
        return NewImage(f"https://example.org/{n}.jpg", vector, metadata)

    async def _opened(self, **more: Any) -> ImageIndex:
        settings = StoreSettings(store_uri=self._folder, **more)
        return await ImageIndex.open(settings, ModelIdentity("bench", "drawn", DIM))


async def _rate(
    call: Callable[[], Awaitable[None]], clients: int, seconds: float
) -> tuple[float, float]:
    """Calls per second of so many clients, each one after the other; CPU milliseconds of a call."""
    done, began, cpu = 0, time.perf_counter(), _cpu_s()

    async def client() -> None:
        nonlocal done
        while time.perf_counter() < began + seconds:
            await call()
            done += 1

    await asyncio.gather(*(client() for _ in range(clients)))
    return done / (time.perf_counter() - began), (_cpu_s() - cpu) / done * 1e3


def _cpu_s() -> float:
    used = resource.getrusage(resource.RUSAGE_SELF)
    return used.ru_utime + used.ru_stime


async def main() -> None:
    answers = os.fdopen(os.dup(1), "w")
    os.dup2(2, 1)  # what libraries print must not come between the answers
    worker = Worker(sys.argv[2])
    for line in iter(sys.stdin.readline, ""):
        question = json.loads(line)
        do = getattr(worker, question.pop("do"))
        print(json.dumps(await do(**question)), file=answers, flush=True)


if __name__ == "__main__":
    asyncio.run(main())
