"""Are the best objects of a large table found, and as soon as the best pictures?

Drawn images with five objects each, laid down by single adds, with the indexes that upkeep builds.
Each answer is compared with a look at every object: without a filter, with some that keep a fifth,
a hundredth and seven of the images, and among the objects of a class that lie elsewhere. A million
images are laid down by fewer commits, as single adds would take too long::

    uv run python -m bench objects-scale --images 100000
    uv run python -m bench objects-scale --images 1000000 --at-once --folder /data/five-million

What `--folder` names is kept, and searched again where it is there already.
"""

import asyncio
import json
import resource
import sys
import tempfile
import time
from argparse import ArgumentParser, Namespace
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import numpy as np

from bench.objects.drawn import EACH, TOP, Kind, kinds, lay_down, least_scores, opened, queries
from bench.report import Limit, Report, percentile, ratio
from bench.service.child import answer_of
from bench.service.models import PREFIX
from bench.service.table import Matrix, mib_in
from store.index import ImageIndex
from store.schemas import ObjectQuery, ObjectTerm, SearchQuery

_TOLERANCE = 1e-5
_WARM_UP = 5
MANY = 5_000_000
"""Objects from which the limits of a very large table hold."""
MOST_DISK_GB, MOST_MS = 13, 60


async def _searched(
    index: ImageIndex, kind: Kind, vectors: Matrix, least: Matrix, possible: int
) -> list[Any]:
    """Recall of the best ten, and the median milliseconds among objects and among images.

    Args:
        index: to search.
        kind: of search.
        vectors: to search by, float32 [queries, dim].
        least: the score of each query's tenth image.
        possible: images that an answer can have.
    """
    scores, took = [], dict[str, list[float]](objects=[], images=[])
    for query in vectors:
        of = ObjectQuery((ObjectTerm(query),), kind.only)
        for name, asked in (
            ("images", SearchQuery(vector=query, **kind.query)),
            ("objects", SearchQuery(objects=of, **kind.query)),
        ):
            began = time.perf_counter()
            hits = (await index.find(asked)).hits
            took[name].append(1e3 * (time.perf_counter() - began))
        scores.append([hit.score for hit in hits if hit.score is not None])
    found = sum(
        score >= tenth - _TOLERANCE
        for own, tenth in zip(scores, least.tolist(), strict=True)
        for score in own
    )
    wanted = possible * len(vectors)
    return [kind.name, found / wanted, *(percentile(took[of], 50) for of in ("objects", "images"))]


async def _measure(count: int, some: int) -> dict[str, Any]:
    index = await opened()
    began = time.monotonic()
    report = await index.run_upkeep()
    upkeep, peak = time.monotonic() - began, _peak_mib()
    vectors = queries(count, some)
    for query in vectors[:_WARM_UP]:
        await index.find(SearchQuery(objects=ObjectQuery((ObjectTerm(query),))))
        await index.find(SearchQuery(vector=query))
    least = least_scores(count, vectors)
    rows = []
    for kind in kinds(count):
        possible = min(TOP, int(kind.images(np.arange(count)).sum()))
        rows.append(await _searched(index, kind, vectors, least[kind.name], possible))
    did = [] if report is None else [*report.did, report.result]
    await index.close()
    return {"rows": rows, "upkeep": upkeep, "did": did, "peak": peak}


def _peak_mib() -> float:
    """What the process had in memory at most, so far."""
    return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 2**10


def add_options(parser: ArgumentParser) -> None:
    parser.add_argument("--images", type=int, default=100_000)
    parser.add_argument("--queries", type=int, default=60, help="of each kind")
    parser.add_argument("--at-once", action="store_true", help="a commit for 20,000 images")
    parser.add_argument("--folder", type=Path, help="of the table, which is kept")


def run(given: Namespace, report: Report) -> list[Limit]:
    with tempfile.TemporaryDirectory() as name:
        folder = given.folder or Path(name)
        settings = {f"{PREFIX}STORE_URI": str(folder)}
        if not (folder.is_dir() and any(folder.iterdir())):
            rate = answer_of(__name__, settings, "lay", given.images, int(given.at_once))
            report.say(f"{rate:,.0f} images added a second, {mib_in(folder):,.0f} MiB then")
        told = answer_of(__name__, settings, "measure", given.images, given.queries)
        disk = mib_in(folder)
    title = f"{given.images:,} images, {EACH} objects each: {disk:,.0f} MiB"
    columns = ["filter", "recall@10", "p50 ms", "p50 ms of images"]
    report.table(columns, told["rows"], title)
    report.say(
        f"upkeep took {told['upkeep']:.0f} s and {told['peak']:,.0f} MiB of memory: "
        f"{'; '.join(told['did'])}\n"
    )
    return _limits(told, given.images, disk)


def _limits(told: Mapping[str, Any], images: int, disk: float) -> list[Limit]:
    rows = {row[0]: row for row in told["rows"]}
    limits = [
        *(Limit(f"recall, {name}", row[1], least=0.995) for name, row in rows.items()),
        *(
            Limit(f"p50 by that of whole images, {name}", ratio(row[2], row[3]), most=2)
            for name, row in rows.items()
        ),
    ]
    if EACH * images >= MANY:
        limits += [
            Limit("GB on disk", disk * 2**20 / 1e9, most=MOST_DISK_GB),
            Limit("p50 ms without a filter", rows["all"][2], most=MOST_MS),
        ]
    return limits


async def _main(what: str, *numbers: int) -> None:
    if what == "lay":
        told: Any = await lay_down(numbers[0], at_once=bool(numbers[1]))
    else:
        told = await _measure(*numbers)
    sys.stdout.write(json.dumps(told) + "\n")


if __name__ == "__main__":
    asyncio.run(_main(sys.argv[1], *map(int, sys.argv[2:])))
