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
from itertools import count
from typing import Any

sys.path.insert(0, sys.argv[1])
import numpy as np

from store.index import ImageIndex
from store.schemas import FloatVector, ModelIdentity, NewImage, SearchQuery
from store.settings import StoreSettings

DIM = 512
_AT_ONCE = 1000
_QUERIES = 100
_SEARCHERS = 8
Figures = dict[str, tuple[float, float]]
"""By question: the value, and CPU milliseconds of one call."""


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
        self._folder = folder
        self._numbers = count()
        self._queries = drawn(1, _QUERIES)

    async def fill(self, rows: int) -> Figures:
        """Add rows without waiting for the disk, build the indexes, open with default settings."""
        began = time.perf_counter()
        index = await self._opened(store_sync=False, store_max_commit_rows=1000)
        for first in range(0, rows, 10 * _AT_ONCE):
            vectors = drawn(2 + first, min(10 * _AT_ONCE, rows - first))
            images = [self._image(vector) for vector in vectors]
            await asyncio.gather(*(index.upsert(image) for image in images))
        await index.run_upkeep()
        await index.close()
        self._index = await self._opened()
        return {"fill": (time.perf_counter() - began, 0.0)}

    async def measure(self, clients: int, seconds: float) -> Figures:
        """Adds of many clients, lone searches, searches at once; upkeep after the adds."""
        index = self._index
        fresh = iter([self._image(vector) for vector in drawn(next(self._numbers), 20_000)])

        async def add() -> None:
            await index.upsert(next(fresh))

        adds = await _rate(add, clients, seconds)
        await index.run_upkeep()
        lone = await self._lone({})
        filtered = await self._lone({"filter": {"shop": "shop 3", "price": {"$lt": 600}}})
        turn = count()

        async def search() -> None:
            query = self._queries[next(turn) % _QUERIES]
            await index.search(SearchQuery(vector=query))

        searches = await _rate(search, _SEARCHERS, seconds / 2)
        return {
            "store: adds of clients": adds,
            "store: lone search": lone,
            "store: lone search, filtered": filtered,
            "store: searches at once": searches,
        }

    async def _lone(self, more: dict[str, Any]) -> tuple[float, float]:
        asked = [SearchQuery(vector=query, **more) for query in self._queries]
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
    """Answer questions until there are none."""
    answers = os.fdopen(os.dup(1), "w")
    os.dup2(2, 1)  # what libraries print must not come between the answers
    worker = Worker(sys.argv[2])
    for line in iter(sys.stdin.readline, ""):
        question = json.loads(line)
        do = getattr(worker, question.pop("do"))
        print(json.dumps(await do(**question)), file=answers, flush=True)


if __name__ == "__main__":
    asyncio.run(main())
