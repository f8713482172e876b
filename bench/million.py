"""One million rows: load, index, search, add, list and delete, with memory and disk.

`python -m bench.million [--rows 1000000] [--json FILE]`; some ten minutes and 6 GiB of disk. The
rows are loaded in one commit (see `bench.loading`); everything after that goes through
`store.index.ImageIndex`, its upkeep included. Recall is against an exact search by numpy. Times are
of one call after the other, but where "concurrent" is said.
"""

import argparse
import asyncio
import os
import tempfile
import threading
import time
from collections.abc import Awaitable, Callable, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import psutil
from numpy.typing import NDArray

from bench.filled import mib_in
from bench.loading import load, number_of, url_of
from bench.report import Report
from bench.timing import Timed, each
from bench.vectors import DIM, SPREAD, Clusters, recall
from store.index import ImageIndex
from store.schemas import Hit, ModelIdentity, NewImage, SearchQuery, image_id
from store.settings import StoreSettings

IDENTITY = ModelIdentity("bench", "seeded", DIM)
TOP = 10
QUERIES = 100
CLIENTS = 64
ADDS = 1024
Line = tuple[str | int | float | None, ...]


class Memory:
    """The most memory this process has held since it was last asked, sampled."""

    def __init__(self) -> None:
        self._process = psutil.Process(os.getpid())
        self._most = 0
        threading.Thread(target=self._watch, daemon=True).start()

    def peak_mib(self) -> float:
        """Since the last call."""
        most, self._most = max(self._most, self._process.memory_info().rss), 0
        return most / 2**20

    def _watch(self) -> None:
        while True:
            self._most = max(self._most, self._process.memory_info().rss)
            time.sleep(0.05)


class Bench:
    """Measures one step after the other and prints each part when it is done."""

    def __init__(self, report: Report, folder: Path, rows: int) -> None:
        self.report = report
        self.rows = rows
        self.clusters = Clusters(max(1, rows // 500))
        self.queries = self.clusters.rows(QUERIES, stream=1)
        # Upkeep is asked for here, so that it is known what runs when.
        self.settings = StoreSettings(
            store_uri=str(folder), store_upkeep_minutes=1440, store_upkeep_every=1000
        )
        self.memory = Memory()
        self._folder = folder

    async def run(self) -> None:
        """All of it."""
        exact = await asyncio.to_thread(self._exact)
        self.memory.peak_mib()
        index = await ImageIndex.open(self.settings, IDENTITY)  # LanceDB takes seconds to import
        lines = [await self._step("load, one commit", self._load())]
        lines.append(await self._step("upkeep: all indexes, recall", self._keep(index)))
        self.report.table(
            ("step", "s", "rows/s", "peak memory MiB", "on disk MiB", "search p50 ms meanwhile"),
            lines,
            f"{self.rows:,} vectors of {DIM} dimensions in clusters of 500, spread {SPREAD}",
        )
        await self._search(index, exact)
        await self._others(index)
        await self._write(index)
        await index.close()

    def _exact(self) -> NDArray[np.int64]:
        """The nearest rows of the queries, int64 [queries, TOP], a batch at a time."""
        scores, numbers = np.empty((QUERIES, 0), np.float32), np.empty((QUERIES, 0), np.int64)
        first = 0
        for vectors in self.clusters.batches(self.rows):
            scores = np.concatenate([scores, self.queries @ vectors.T], axis=1)
            fresh = np.broadcast_to(np.arange(first, first + len(vectors)), (QUERIES, len(vectors)))
            numbers = np.concatenate([numbers, fresh], axis=1)
            order = np.argsort(-scores, axis=1)[:, :TOP]
            scores = np.take_along_axis(scores, order, axis=1)
            numbers = np.take_along_axis(numbers, order, axis=1)
            first += len(vectors)
        return numbers

    async def _load(self) -> float | None:
        await load(self.settings, IDENTITY, self.clusters.batches(self.rows))
        return None

    async def _keep(self, index: ImageIndex) -> float | None:
        """A round of upkeep, with searches going on; their p50."""
        upkeep = asyncio.create_task(index.run_upkeep())
        seconds: list[float] = []
        while not upkeep.done():
            asked = [SearchQuery(vector=self.queries[len(seconds) % QUERIES])]
            seconds += (await each(index.search, asked)).seconds
        report = await upkeep
        if report is not None:
            self.report.say(f"upkeep: {report.result}, recall {report.recall}; {report.did}")
        return float(np.median(seconds)) * 1e3

    async def _step(self, name: str, work: Awaitable[float | None]) -> Line:
        began = time.perf_counter()
        p50_ms = await work
        seconds = time.perf_counter() - began
        disk = await asyncio.to_thread(mib_in, self._folder)
        return name, seconds, self.rows / seconds, self.memory.peak_mib(), disk, p50_ms

    async def _search(self, index: ImageIndex, exact: NDArray[np.int64]) -> None:
        async def ask(
            name: str, count: int = QUERIES, **more: Any
        ) -> tuple[Timed[list[Hit]], Line]:
            asked = [SearchQuery(vector=query, **more) for query in self.queries[:count]]
            await each(index.search, asked[:3])
            timed = await each(index.search, asked)
            return timed, self._line(name, timed)

        timed, first = await ask("picture, limit 10")
        found = [[number_of(hit.url) for hit in hits] for hits in timed.answers]
        self.report.say(f"recall@10 of these searches: {recall(found, exact):.4f}")
        lines = [first]
        for label, count, more in (
            ("picture, limit 100", QUERIES, {"limit": 100}),
            ("picture, limit 1000", 20, {"limit": 1000}),
            ("picture, offset 10000", 5, {"offset": 10_000}),
            ("picture, filter keeps 50 %", QUERIES, {"filter": {"half": True}}),
            ("picture, filter keeps 1 %", QUERIES, {"filter": {"percent": 3}}),
            ("picture, filter keeps 70 rows", QUERIES, {"filter": {"rare": 5}}),
            ("picture, cutoff auto", QUERIES, {"cutoff": True}),
        ):
            lines.append((await ask(label, count, **more))[1])
        asked = [
            SearchQuery(text=f"word{n} picture", text_vector=query)
            for n, query in enumerate(self.queries[:20])
        ]
        lines.append(self._line("text, fused", await each(index.search, asked)))
        self.report.table(("search", "p50 ms", "p99 ms", "peak memory MiB"), lines)

    async def _others(self, index: ImageIndex) -> None:
        calls: list[tuple[str, Callable[[int], Awaitable[Any]]]] = [
            ("filter alone, newest first, keeps 1 %",
             lambda _: index.search(SearchQuery(filter={"percent": 3}))),
            ("filter alone, keeps 70 rows",
             lambda _: index.search(SearchQuery(filter={"rare": 5}))),
            ("filter alone, keeps 50 %, offset 10000",
             lambda _: index.search(SearchQuery(filter={"half": True}, offset=10_000))),
            ("images(10)", lambda _: index.images(10)),
            ("images(10, half of the way in)", lambda _: index.images(10, self.rows // 2)),
            ("get", lambda n: index.get(image_id(url_of(n * 31)))),
            ("vectors of 10",
             lambda n: index.vectors([image_id(url_of(n + m)) for m in range(10)])),
            ("near_duplicates",
             lambda n: index.near_duplicates(NewImage(url_of(n), self.queries[n]), 0.95)),
            ("count", lambda _: index.count()),
            ("count of a filter", lambda _: index.count({"percent": {"$lt": 10}})),
            ("state", lambda _: index.state()),
        ]  # fmt: skip
        lines = []
        for name, call in calls:
            await call(0)
            lines.append(self._line(name, await each(call, range(10))))
        self.report.table(("read", "p50 ms", "p99 ms", "peak memory MiB"), lines)

    async def _write(self, index: ImageIndex) -> None:
        fresh = self.clusters.rows(ADDS + 20, stream=2)
        images = [
            NewImage(url_of(self.rows + n), vector, {"half": True, "percent": n % 100})
            for n, vector in enumerate(fresh)
        ]
        lines = [self._line("add, one at a time", await each(index.upsert, images[:20]))]
        began = time.perf_counter()
        times = await _concurrently(index.upsert, images[20:])
        self.report.say(
            f"{CLIENTS} concurrent clients: {ADDS / (time.perf_counter() - began):.0f} adds/s"
        )
        lines.append(self._line(f"add, {CLIENTS} concurrent clients", times))
        again = [NewImage(url_of(n * 97), fresh[n], {"half": False}) for n in range(20)]
        lines.append(self._line("add again, one at a time", await each(index.upsert, again)))
        asked = [SearchQuery(vector=query) for query in self.queries]
        lines.append(self._line("search with this tail", await each(index.search, asked)))
        gone = [[image_id(url_of(n * 89))] for n in range(20)]
        lines.append(self._line("delete, one at a time", await each(index.delete, gone)))
        kept = await each(lambda _: index.run_upkeep(), range(1))
        lines.append(self._line("upkeep after that", kept))
        lines.append(self._line("search after upkeep", await each(index.search, asked)))
        self.report.table(("write", "p50 ms", "p99 ms", "peak memory MiB"), lines)

    def _line(self, name: str, timed: Timed[Any]) -> Line:
        return name, timed.ms(50), timed.ms(99), self.memory.peak_mib()


async def _concurrently(
    call: Callable[[NewImage], Awaitable[Any]], images: Sequence[NewImage]
) -> Timed[Any]:
    parts = await asyncio.gather(*(each(call, images[n::CLIENTS]) for n in range(CLIENTS)))
    return Timed([], [second for part in parts for second in part.seconds])


def main() -> None:
    """Measures and prints."""
    parser = argparse.ArgumentParser(description="Measure an index of a million images.")
    parser.add_argument("--rows", type=int, default=1_000_000)
    parser.add_argument("--folder", type=Path, help="where to put the index for the time")
    parser.add_argument("--json", type=Path, help="write the tables to this file, too")
    arguments = parser.parse_args()
    began = time.perf_counter()
    report = Report(f"An index of {arguments.rows:,} images")
    with tempfile.TemporaryDirectory(prefix="bench-million-", dir=arguments.folder) as folder:
        asyncio.run(Bench(report, Path(folder), arguments.rows).run())
    report.say(f"all of it took {(time.perf_counter() - began) / 60:.1f} minutes")
    if arguments.json:
        report.json(arguments.json)


if __name__ == "__main__":
    main()
