"""How much faster do 64 clients add at the store than one, and what does a search notice?

On one table of 10,000 rows of 512 dimensions, in one process, with the store's default settings.
64 clients must add 20 times the rows per second of a client that waits for each commit, and the p50
of a search meanwhile may be twice that of the same table at rest::

    uv run python -m bench adding               # about a minute
"""

import asyncio
import tempfile
import time
from argparse import ArgumentParser, Namespace
from collections.abc import Iterator
from itertools import count
from pathlib import Path

import numpy as np

from bench.report import Limit, Report, median, percentile, ratio
from bench.service.table import DIM, Clusters
from store.index import ImageIndex
from store.schemas import ModelIdentity, NewImage, SearchQuery
from store.settings import StoreSettings

ROWS_BEFORE = 10_000
LEAST_SPEEDUP, MOST_SLOWDOWN = 20.0, 2.0


class Images:
    """New images without end, their vectors drawn beforehand, and searches for them."""

    def __init__(self, rows: int) -> None:
        self._vectors = Clusters(rows, of=100).rows(rows)
        self._numbers = count()

    def new(self) -> NewImage:
        """The next image."""
        n = next(self._numbers)
        metadata = {"shop": f"shop {n % 20}", "price": n % 1000, "new": n % 2 == 0}
        return NewImage(f"https://example.org/{n}.jpg", self._vectors[n], metadata)

    def queries(self) -> Iterator[SearchQuery]:
        """Searches near vectors that are in the table."""
        rng = np.random.default_rng(4)
        while True:
            near = self._vectors[rng.integers(ROWS_BEFORE)] + rng.normal(scale=0.02, size=DIM)
            yield SearchQuery(vector=(near / np.linalg.norm(near)).astype(np.float32))


async def add(index: ImageIndex, images: Images, clients: int, rows: int) -> float:
    """Rows per second, counted when acknowledged; each client adds its share one by one."""

    async def client() -> None:
        for _ in range(rows // clients):
            await index.upsert(images.new())

    began = time.perf_counter()
    await asyncio.gather(*(client() for _ in range(clients)))
    return rows // clients * clients / (time.perf_counter() - began)


async def search(
    index: ImageIndex, images: Images, enough: asyncio.Event, least: int
) -> list[float]:
    """Milliseconds of searches one after the other, until it is enough and so many at least."""
    took: list[float] = []
    for query in images.queries():
        began = time.perf_counter()
        await index.search(query)
        took.append((time.perf_counter() - began) * 1000)
        if enough.is_set() and len(took) >= least:
            break
    return took


async def at_rest(index: ImageIndex, images: Images) -> list[float]:
    """Searches while nothing else happens."""
    enough = asyncio.Event()
    enough.set()
    await search(index, images, enough, 20)
    return await search(index, images, enough, 200)


async def measure(folder: Path, given: Namespace, report: Report) -> list[Limit]:
    """Measure and print."""
    clients, rows, singles = given.clients, given.rows, given.singles
    images = Images(ROWS_BEFORE + 2 * rows + 2 * singles)
    settings = StoreSettings(store_uri=str(folder))
    index = await ImageIndex.open(settings, ModelIdentity("bench", "drawn", DIM))
    await add(index, images, ROWS_BEFORE // 2, ROWS_BEFORE)
    await index.run_upkeep()
    await add(index, images, 1, singles // 10)
    single = await add(index, images, 1, singles)
    await index.run_upkeep()
    before = await at_rest(index, images)
    enough = asyncio.Event()
    searching = asyncio.create_task(search(index, images, enough, 1))
    many = await add(index, images, clients, rows)
    enough.set()
    meanwhile = await searching
    await index.run_upkeep()
    after = await at_rest(index, images)
    await index.close()
    report.table(
        ["adding", "rows/s"],
        [("one client", single), (f"{clients} clients, with a search under way", many)],
    )
    searches = {"at rest, before": before, f"while {clients} add": meanwhile, "after": after}
    report.table(
        ["search", "searches", "p50 ms", "p99 ms"],
        [(name, len(ms), median(ms), percentile(ms, 99)) for name, ms in searches.items()],
    )
    slowdown = ratio(median(meanwhile), median(after))
    return [
        Limit("rows/s to one-row commits", ratio(many, single), least=LEAST_SPEEDUP),
        Limit("search p50 while adding to at rest", slowdown, most=MOST_SLOWDOWN),
    ]


def add_options(parser: ArgumentParser) -> None:
    """Clients and rows."""
    parser.add_argument("--clients", type=int, default=64)
    parser.add_argument("--rows", type=int, default=12_800, help="that the clients add")
    parser.add_argument("--singles", type=int, default=150, help="one-row commits to measure")


def run(given: Namespace, report: Report) -> list[Limit]:
    """Measure and print."""
    with tempfile.TemporaryDirectory() as folder:
        return asyncio.run(measure(Path(folder), given, report))
