"""Many clients adding at once: rows per second against one-row commits, and searches meanwhile.

On one table of 10,000 rows of 512 dimensions, in one process, with the store's default settings::

    python -m bench.adding

Exits with 1 if 64 clients do not add 20 times the rows per second of single adds, or if the p50 of
a search during it is more than twice that of the same table at rest.
"""

import argparse
import asyncio
import sys
import tempfile
import time
from collections.abc import Iterator
from itertools import count
from pathlib import Path

import numpy as np

from bench.report import Report
from store.index import ImageIndex
from store.schemas import FloatVector, ModelIdentity, NewImage, SearchQuery
from store.settings import StoreSettings

DIM = 512
ROWS_BEFORE = 10_000
LEAST_SPEEDUP = 20.0
MOST_SLOWDOWN = 2.0
Latencies = list[float]


class Images:
    """New images without end, their vectors drawn beforehand around a few hundred centres."""

    def __init__(self, rows: int) -> None:
        rng = np.random.default_rng(3)
        centres = rng.normal(size=(256, DIM)).astype(np.float32)
        drawn = centres[rng.integers(256, size=rows)]
        drawn += rng.normal(scale=0.7, size=drawn.shape).astype(np.float32)
        self.vectors: FloatVector = drawn / np.linalg.norm(drawn, axis=1, keepdims=True)
        self._numbers = count()

    def new(self) -> NewImage:
        """The next image."""
        n = next(self._numbers)
        metadata = {"shop": f"shop {n % 20}", "price": n % 1000, "new": n % 2 == 0}
        return NewImage(f"https://example.org/{n}.jpg", self.vectors[n], metadata)

    def queries(self) -> Iterator[SearchQuery]:
        """Searches near to vectors that are there."""
        rng = np.random.default_rng(4)
        while True:
            near = self.vectors[rng.integers(ROWS_BEFORE)] + rng.normal(scale=0.02, size=DIM)
            yield SearchQuery(vector=(near / np.linalg.norm(near)).astype(np.float32))


async def add(index: ImageIndex, images: Images, clients: int, rows: int) -> float:
    """Each client adds its share, one after the other.

    Returns:
        Rows per second, counted when acknowledged.
    """

    async def client() -> None:
        for _ in range(rows // clients):
            await index.upsert(images.new())

    began = time.perf_counter()
    await asyncio.gather(*(client() for _ in range(clients)))
    return rows // clients * clients / (time.perf_counter() - began)


async def search(index: ImageIndex, images: Images, enough: asyncio.Event, least: int) -> Latencies:
    """Searches one after the other until it is enough, but for so many times at least.

    Returns:
        What each took, in milliseconds.
    """
    latencies: Latencies = []
    for query in images.queries():
        began = time.perf_counter()
        await index.search(query)
        latencies.append((time.perf_counter() - began) * 1000)
        if enough.is_set() and len(latencies) >= least:
            break
    return latencies


async def quiet(index: ImageIndex, images: Images) -> Latencies:
    """Searches while nothing else happens."""
    enough = asyncio.Event()
    enough.set()
    await search(index, images, enough, 20)
    return await search(index, images, enough, 200)


async def during(
    index: ImageIndex, images: Images, clients: int, rows: int
) -> tuple[float, Latencies]:
    """Adds and searches at the same time."""
    enough = asyncio.Event()
    searching = asyncio.create_task(search(index, images, enough, 1))
    speed = await add(index, images, clients, rows)
    enough.set()
    return speed, await searching


async def measure(folder: Path, clients: int, rows: int, singles: int, report: Report) -> bool:
    """Measures, prints, and tells whether both limits were kept."""
    images = Images(ROWS_BEFORE + 2 * rows + 2 * singles)
    index = await ImageIndex.open(
        StoreSettings(store_uri=str(folder)), ModelIdentity("bench", "drawn", DIM)
    )
    await add(index, images, ROWS_BEFORE // 2, ROWS_BEFORE)
    await index.run_upkeep()
    await add(index, images, 1, singles // 10)
    single = await add(index, images, 1, singles)
    await index.run_upkeep()
    before = await quiet(index, images)
    together, meanwhile = await during(index, images, clients, rows)
    stats = index.stats()
    await index.run_upkeep()
    after = await quiet(index, images)
    state = await index.state()
    await index.close()

    speedup, slowdown = together / single, float(np.median(meanwhile) / np.median(after))
    report.table(
        ["adding", "rows/s"],
        [("one client", single), (f"{clients} clients, with a search under way", together)],
    )
    report.table(
        ["search", "rows", "searches", "p50 ms", "p99 ms"],
        [
            _line("quiet, before", ROWS_BEFORE + singles, before),
            _line(f"while {clients} clients add", None, meanwhile),
            _line("quiet, after", state.rows, after),
        ],
    )
    report.table(
        ["ratio", "is", "limit"],
        [
            ("rows/s to one-row commits", speedup, f"at least {LEAST_SPEEDUP:g}"),
            ("search p50 to the quiet table", slowdown, f"at most {MOST_SLOWDOWN:g}"),
        ],
    )
    report.say(
        f"{stats.commits} commits, {stats.upkeep_runs} rounds of upkeep"
        f" ({stats.upkeep_failures} failed), vector index {state.vector_index}"
    )
    return speedup >= LEAST_SPEEDUP and slowdown <= MOST_SLOWDOWN


def _line(
    name: str, rows: int | None, latencies: Latencies
) -> tuple[str, int | None, int, float, float]:
    p50, p99 = np.percentile(latencies, [50, 99])
    return name, rows, len(latencies), float(p50), float(p99)


def main() -> None:
    """Runs and exits with 1 if a limit was not kept."""
    parser = argparse.ArgumentParser(description=(__doc__ or "").splitlines()[0])
    parser.add_argument("--clients", type=int, default=64)
    parser.add_argument("--rows", type=int, default=12_800, help="that the clients add together")
    parser.add_argument("--singles", type=int, default=150, help="one-row commits to measure")
    parser.add_argument("--json", type=Path)
    wanted = parser.parse_args()
    report = Report(f"{wanted.clients} clients adding through one index")
    with tempfile.TemporaryDirectory() as folder:
        kept = asyncio.run(
            measure(Path(folder), wanted.clients, wanted.rows, wanted.singles, report)
        )
    if wanted.json:
        report.json(wanted.json)
    sys.exit(0 if kept else 1)


if __name__ == "__main__":
    main()
