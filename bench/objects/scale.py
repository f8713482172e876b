"""Are the best objects of a large table found, and as soon as the best pictures?

Drawn images with five objects each, laid down by single adds, with the indexes that upkeep builds.
Each answer is compared with a look at every object: without a filter, with some that keep a fifth,
a hundredth and seven of the images, and among the objects of a class that lie elsewhere::

    uv run python -m bench objects-scale --images 100000
"""

import asyncio
import json
import sys
import tempfile
import time
from argparse import ArgumentParser, Namespace
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from bench.report import Limit, Report, percentile, ratio
from bench.service.child import answer_of
from bench.service.models import PREFIX
from bench.service.table import DIM, RARE_ROWS, Clusters, Matrix, mib_in, url_of
from store.index import ImageIndex
from store.schemas import (
    Detector,
    ModelIdentity,
    NewImage,
    NewObjects,
    ObjectBox,
    ObjectQuery,
    ObjectTerm,
    SearchQuery,
)
from store.settings import StoreSettings

EACH = 5
"""Objects of an image."""
TOP, QUERIES = 10, 60
CLASSES = ("even", "odd")
"""Of objects, by their number: those of one lie around other centres than those of the other."""
_AT_ONCE = 4000
_TOLERANCE = 1e-5
_BOX = (0.25, 0.25, 0.5, 0.5)


@dataclass(frozen=True)
class Kind:
    """Searches of one kind: the filter, the class, and which images and objects that leaves."""

    name: str
    filter: dict[str, Any] | None
    only: dict[str, Any] | None
    images: Callable[[NDArray[np.int64]], NDArray[np.bool_]]

    @property
    def query(self) -> dict[str, Any]:
        return {"filter": self.filter, "limit": TOP}


def kinds(count: int) -> list[Kind]:
    rare = max(1, count // RARE_ROWS)
    return [
        Kind("all", None, None, lambda n: n >= 0),
        Kind("a fifth", {"percent": {"$lt": 20}}, None, lambda n: n % 100 < 20),
        Kind("a hundredth", {"percent": 7}, None, lambda n: n % 100 == 7),
        Kind("seven", {"rare": 3}, None, lambda n: n % rare == 3),
        Kind("another class", None, {"class_name": "odd"}, lambda n: n >= 0),
    ]


def _image(number: int, vector: Matrix, objects: Matrix, rare: int) -> NewImage:
    first = EACH * number
    boxes = tuple(ObjectBox(CLASSES[(first + n) % 2], 0.5, _BOX) for n in range(EACH))
    metadata = {"percent": number % 100, "rare": number % rare}
    found = NewObjects((640, 480), boxes, 0, objects)
    return NewImage(url_of(number), vector, metadata, objects=found)


class Table:
    """The index, and all vectors of it in memory."""

    def __init__(self, index: ImageIndex, count: int) -> None:
        self.index, self.count = index, count
        self.vectors = Clusters(count).rows(count, stream=1)
        self.objects = Clusters(EACH * count).rows(EACH * count, stream=2)
        self._numbers = np.arange(count)
        self._is_odd = (np.arange(EACH * count) % 2 == 1).reshape(count, EACH)

    async def fill(self) -> float:
        """Add everything; images a second."""
        began, rare = time.monotonic(), max(1, self.count // RARE_ROWS)
        for first in range(0, self.count, _AT_ONCE):
            numbers = range(first, min(first + _AT_ONCE, self.count))
            await asyncio.gather(
                *(
                    self.index.upsert(
                        _image(n, self.vectors[n], self.objects[EACH * n : EACH * n + EACH], rare)
                    )
                    for n in numbers
                )
            )
        return self.count / (time.monotonic() - began)

    def best(self, query: Matrix, kind: Kind) -> float:
        """The score of the tenth image, or the last if there are fewer, by all objects."""
        scores = (self.objects @ query).reshape(self.count, EACH)
        if kind.only is not None:
            scores = np.where(self._is_odd, scores, -np.inf)
        left = np.sort(scores.max(axis=1)[kind.images(self._numbers)])[::-1]
        return float(left[min(TOP, len(left)) - 1])

    async def measure(self, kind: Kind, queries: Matrix) -> tuple[str, float, float, float]:
        """Recall of the best ten, and the median milliseconds among objects and among images."""
        found = wanted = 0
        took: dict[str, list[float]] = {"objects": [], "images": []}
        possible = min(TOP, int(kind.images(self._numbers).sum()))
        for query in queries:
            of = ObjectQuery((ObjectTerm(query),), kind.only)
            for name, asked in (
                ("images", SearchQuery(vector=query, **kind.query)),
                ("objects", SearchQuery(objects=of, **kind.query)),
            ):
                began = time.perf_counter()
                hits = (await self.index.find(asked)).hits
                took[name].append(1e3 * (time.perf_counter() - began))
            least = self.best(query, kind) - _TOLERANCE
            found += sum(hit.score is not None and hit.score >= least for hit in hits)
            wanted += possible
        of_objects, of_images = (percentile(took[name], 50) for name in ("objects", "images"))
        return kind.name, found / wanted, of_objects, of_images


async def _measure(count: int) -> None:
    identity, settings = ModelIdentity("bench", "drawn", DIM), StoreSettings()
    index = await ImageIndex.open(settings, identity, detector=Detector("bench", "drawn"))
    table = Table(index, count)
    rate = await table.fill()
    began = time.monotonic()
    report = await index.run_upkeep()
    upkeep = time.monotonic() - began
    queries = Clusters(EACH * count).rows(2 * QUERIES, stream=3)[::2]
    for query in queries[:5]:
        await index.find(SearchQuery(objects=ObjectQuery((ObjectTerm(query),))))
    rows = [await table.measure(kind, queries) for kind in kinds(count)]
    did = [] if report is None else [*report.did, report.result]
    await index.close()
    sys.stdout.write(json.dumps({"rows": rows, "rate": rate, "upkeep": upkeep, "did": did}) + "\n")


def add_options(parser: ArgumentParser) -> None:
    parser.add_argument("--images", type=int, default=100_000)


def run(given: Namespace, report: Report) -> list[Limit]:
    with tempfile.TemporaryDirectory() as name:
        told = answer_of(__name__, {f"{PREFIX}STORE_URI": name}, given.images)
        disk = mib_in(Path(name))
    title = f"{given.images:,} images, {EACH} objects each: {disk:,.0f} MiB"
    report.table(["filter", "recall@10", "p50 ms", "p50 ms of images"], told["rows"], title)
    report.say(
        f"{told['rate']:,.0f} images added a second; upkeep {told['upkeep']:.0f} s: "
        f"{'; '.join(told['did'])}\n"
    )
    rows = {row[0]: row for row in told["rows"]}
    whole = rows["all"]
    return [
        *(Limit(f"recall, {name}", row[1], least=0.995) for name, row in rows.items()),
        Limit("p50 by that of whole images", ratio(whole[2], whole[3]), most=2),
    ]


if __name__ == "__main__":
    asyncio.run(_measure(int(sys.argv[1])))
