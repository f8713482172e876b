"""Does anybody wait, or get a wrong answer, while the keys of a large table widen?

Eight clients add and eight search, of a table that is laid down in one commit with its indexes.
Half of the time has gone when two keys widen: one of integers becomes one of floats, one of times
one of strings. Of every search it is known which of the first rows it has to find::

    uv run python -m bench widening --rows 1000000 --seconds 60
"""

import asyncio
import json
import sys
import tempfile
import time
from argparse import ArgumentParser, Namespace
from collections import defaultdict
from collections.abc import Callable
from datetime import UTC, datetime, timedelta
from itertools import count
from typing import Any

import numpy as np

from bench.report import Limit, Report, percentile, ratio
from bench.service.child import answer_of
from bench.service.models import PREFIX, SIZES, service_settings
from bench.service.table import Clusters, fill, service_identity, url_of
from store.index import ImageIndex
from store.metadata.columns import Registry
from store.metadata.values import ColumnType, format_timestamp
from store.schemas import NewImage, SearchQuery
from store.settings import StoreSettings

CLIENTS = 16
MOST_SLOWDOWN = 2.0
_START = datetime(2024, 1, 1, tzinfo=UTC)
_MADE = "made"
_NULLABLE = "nullif(created_at, to_timestamp_micros(0))"
"""A key of times: each row has the moment of its `created_at`."""


def _moment(number: int) -> str:
    return format_timestamp(_START + timedelta(seconds=number))


def _cases(
    rows: int, rng: np.random.Generator
) -> dict[str, tuple[dict[str, Any], Callable[[int], bool]]]:
    """Filters by name, and which of the first rows each keeps."""
    percent, number = int(rng.integers(1, 90)), int(rng.integers(rows - 5))
    return {
        "integers, two of 100": (
            {"percent": {"$gt": percent - 0.5, "$lte": percent + 1}},
            lambda n: n * 40_503 % 100 in (percent, percent + 1),
        ),
        "a time": ({_MADE: _moment(number)}, lambda n: n == number),
        "five times": (
            {_MADE: {"$gte": _moment(number), "$lt": _moment(number + 5)}},
            lambda n: number <= n < number + 5,
        ),
        "no filter": ({}, lambda _: True),
    }


class Load:
    """Clients on one index; what they saw, before the widening and after it."""

    def __init__(self, index: ImageIndex, rows: int) -> None:
        self.index, self.rows, self.widened = index, rows, False
        self.took: defaultdict[tuple[str, bool], list[float]] = defaultdict(list)
        self.refused, self.wrong = 0, 0
        self._fresh = count(rows)
        self._vectors = Clusters(rows, dim=service_identity().dim).rows(4096, stream=1)

    async def run(self, seconds: float, *, widen: bool) -> None:
        end = time.perf_counter() + seconds
        clients = [self._client(n, end) for n in range(CLIENTS)]
        await asyncio.gather(*clients, *([self._widen(seconds / 2)] if widen else []))

    async def _widen(self, after: float) -> None:
        await asyncio.sleep(after)
        began = time.perf_counter()
        await self.index.upsert(self._image({"percent": 12.5, _MADE: "some time ago"}))
        self.took["the widening add", True].append(1e3 * (time.perf_counter() - began))
        self.widened = True

    async def _client(self, number: int, end: float) -> None:
        rng = np.random.default_rng(number)
        while time.perf_counter() < end:
            name, widened, began = "an add", self.widened, time.perf_counter()
            try:
                if number % 2:
                    added = {"percent": 99.5, _MADE: "now"} if widened else {"percent": 99}
                    await self.index.upsert(self._image(added))
                else:
                    name = await self._search(rng)
            except Exception as error:  # whatever it is, it is counted
                print(f"{name}: {error!r}", file=sys.stderr)
                self.refused += 1
            self.took[name, widened].append(1e3 * (time.perf_counter() - began))

    async def _search(self, rng: np.random.Generator) -> str:
        cases = [*_cases(self.rows, rng).items()]
        name, (filter, keeps) = cases[rng.integers(len(cases))]
        vector = self._vectors[rng.integers(len(self._vectors))]
        query = SearchQuery(vector=vector, filter=filter or None)
        hits = await self.index.search(query)
        numbers = [int(hit.url.rpartition("/")[2].removesuffix(".jpg")) for hit in hits]
        least = 1 if name == "a time" else 5 if name == "five times" else 10
        right = [n for n in numbers if n >= self.rows or keeps(n)]
        self.wrong += len(numbers) < least or len(right) < len(numbers)
        return name

    def _image(self, metadata: dict[str, Any]) -> NewImage:
        number = next(self._fresh)
        return NewImage(url_of(number), self._vectors[number % len(self._vectors)], metadata)


async def _prepare(settings: StoreSettings) -> None:
    """Give the rows a key of times, with its index."""
    index = await ImageIndex.open(settings, service_identity())
    registry = Registry.from_schema(await index.opened.table.schema())
    [column] = registry.declare(_MADE, ColumnType.TIMESTAMP).columns[len(registry.columns) :]
    await index.opened.table.add_columns({column.name: _NULLABLE})
    metadata = {key.decode(): of.decode() for key, of in column.field().metadata.items()}
    await index.opened.table.update_field_metadata({"path": column.name, "metadata": metadata})
    await index.run_upkeep()
    await index.close()


async def _measure(rows: int, seconds: float) -> None:
    settings = StoreSettings()
    await _prepare(settings)
    index = await ImageIndex.open(settings, service_identity())
    load = Load(index, rows)
    await load.run(seconds / 4, widen=False)  # until what the searches need is in memory
    load.took.clear()
    await load.run(seconds, widen=True)
    await index.run_upkeep()
    after = Load(index, rows)
    after.widened = True
    for n in range(100):
        await after._search(np.random.default_rng(n))
    took = [
        (name, widened, percentile(ms, 50), percentile(ms, 99), len(ms))
        for (name, widened), ms in load.took.items()
    ]
    types = (await index.state()).columns
    await index.close()
    told = {"refused": load.refused, "wrong": load.wrong + after.wrong, "took": took}
    print(json.dumps({**told, "types": [types["percent"], types[_MADE]]}))


def add_options(parser: ArgumentParser) -> None:
    parser.add_argument("--rows", type=int, default=100_000)
    parser.add_argument("--seconds", type=float, default=60)
    parser.add_argument("--models", choices=SIZES, default="demo")


def run(given: Namespace, report: Report) -> list[Limit]:
    with tempfile.TemporaryDirectory() as name:
        settings = {**service_settings(given.models), f"{PREFIX}STORE_URI": name}
        fill(settings, given.rows)
        found = answer_of(__name__, settings, given.rows, given.seconds)
    by_case: dict[str, dict[bool, list[float]]] = defaultdict(dict)
    for name, widened, *numbers in found["took"]:
        by_case[name][widened] = numbers
    report.table(
        ["request", "p50 ms before", "p50 after", "p99 before", "p99 after", "before", "after"],
        [
            (name, *(of.get(wide, [0, 0, 0])[n] for n in range(3) for wide in (False, True)))
            for name, of in by_case.items()
        ],
        f"{CLIENTS} clients, {given.rows:,} rows; columns: {', '.join(found['types'])}",
    )
    limits = [
        Limit("requests refused", found["refused"], most=0),
        Limit("wrong answers", found["wrong"], most=0),
    ]
    for name, of in by_case.items():
        if len(of) == 2:
            slower = ratio(of[True][1], of[False][1])
            limits.append(Limit(f"p99 after to before, {name}", slower, most=MOST_SLOWDOWN))
    return limits


if __name__ == "__main__":
    asyncio.run(_measure(int(sys.argv[1]), float(sys.argv[2])))
