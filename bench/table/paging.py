"""Does who pages through a large table see each of its images once while others add and delete?

One reads the table page by page, each from the cursor of the page before, to its end: newest first,
then sorted by a key. Meanwhile sixteen clients add images, and delete what they have added and one
in ten of those that were there. The others were there all the time::

    uv run python -m bench paging --rows 1000000
"""

import asyncio
import json
import sys
import tempfile
import time
from argparse import ArgumentParser, Namespace
from collections import Counter
from itertools import count

from bench.report import Limit, Report, percentile
from bench.service.child import answer_of
from bench.service.models import PREFIX, SIZES, service_settings
from bench.service.table import Clusters, fill, service_identity, url_of
from store.index import ImageIndex
from store.schemas import NewImage, SearchQuery, image_id
from store.settings import StoreSettings

CLIENTS = 16
_MAY_GO = 10
"""One in so many of the rows that are there is deleted at some time."""
_ORDERS = ((), ("percent",))
_LIMIT = 1000


class Writers:
    """Clients that add and delete until they are told to end."""

    def __init__(self, index: ImageIndex, rows: int) -> None:
        self._index, self._rows = index, rows
        self._fresh, self._doomed = count(rows), iter(range(0, rows, _MAY_GO))
        self._vectors = Clusters(rows, dim=service_identity().dim).rows(4096, stream=1)
        self.done: Counter[str] = Counter()
        self.ended = False

    async def run(self) -> None:
        await asyncio.gather(*(self._write() for _ in range(CLIENTS)))

    async def _write(self) -> None:
        while not self.ended:
            number = next(self._fresh)
            vector = self._vectors[number % len(self._vectors)]
            added = NewImage(url_of(number), vector, {"percent": number % 100})
            await self._index.upsert(added)
            self.done["added"] += 1
            gone = next(self._doomed, number)
            urls = {url_of(gone), url_of(number - number % 2)}
            deleted = await self._index.delete_urls(urls)
            self.done["deleted"] += deleted


async def _paged(index: ImageIndex, sort: tuple[str, ...]) -> tuple[Counter[str], list[float]]:
    """How often each id was on a page, and milliseconds of each page."""
    seen: Counter[str] = Counter()
    took: list[float] = []
    cursor = None
    while True:
        began = time.perf_counter()
        found = await index.find(SearchQuery(limit=_LIMIT, cursor=cursor, sort=sort))
        took.append(1e3 * (time.perf_counter() - began))
        seen.update(hit.id for hit in found.hits)
        cursor = found.next
        if cursor is None:
            return seen, took


async def _measure(rows: int) -> None:
    told = []
    index = await ImageIndex.open(StoreSettings(), service_identity())
    there = {image_id(url_of(number)) for number in range(rows) if number % _MAY_GO}
    writers = Writers(index, rows)
    writing = asyncio.create_task(writers.run())
    for sort in _ORDERS:
        before = Counter(writers.done)
        seen, took = await _paged(index, sort)
        meanwhile = writers.done - before
        missed = len(there - seen.keys())
        doubled = sum(number > 1 for number in seen.values())
        times = percentile(took, 50), percentile(took, 99)
        name = ", ".join(sort) or "newest first"
        told.append(
            (name, len(took), *times, meanwhile["added"], meanwhile["deleted"], missed, doubled)
        )
    writers.ended = True
    await writing
    await index.close()
    print(json.dumps(told))


def add_options(parser: ArgumentParser) -> None:
    parser.add_argument("--rows", type=int, default=100_000)
    parser.add_argument("--models", choices=SIZES, default="demo")


def run(given: Namespace, report: Report) -> list[Limit]:
    with tempfile.TemporaryDirectory() as name:
        settings = {**service_settings(given.models), f"{PREFIX}STORE_URI": name}
        fill(settings, given.rows)
        rows = answer_of(__name__, settings, given.rows)
    head = ["order", "pages", "p50 ms", "p99 ms", "added", "deleted", "missed", "twice"]
    report.table(head, rows, f"pages of {_LIMIT}, {CLIENTS} clients, {given.rows:,} rows")
    return [
        Limit("images missed", sum(row[-2] for row in rows), most=0),
        Limit("images twice", sum(row[-1] for row in rows), most=0),
    ]


if __name__ == "__main__":
    asyncio.run(_measure(int(sys.argv[1])))
