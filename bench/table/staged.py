"""Does anybody wait while the rows that a bulk run has staged go into a table that is in use?

A table is laid down with its indexes and searched by one client, twenty times a second, first by
itself. Then the rows of a run that has embedded them all are committed by a process of its own, as
`image-search bulk` does it, and searched meanwhile::

    uv run python -m bench staged --rows 1000000
"""

import asyncio
import json
import sys
import tempfile
import time
from argparse import ArgumentParser, Namespace
from dataclasses import replace
from pathlib import Path
from typing import Any

from api.settings import Settings
from bench.report import Limit, Report, percentile, ratio
from bench.service.child import answer_of
from bench.service.models import PREFIX, SIZES, service_settings
from bench.service.table import Clusters, fill, mib_in, row_metadata, service_identity, url_of
from cli.bulk.commits import Commits, give_way, opened_index
from cli.bulk.plan import Plan, State
from cli.bulk.planning import new_id
from cli.bulk.shards import Shards
from cli.bulk.staged import write_staged
from image_search import WholeImage
from store.index import ImageIndex
from store.schemas import SearchQuery, image_id
from store.settings import StoreSettings

SHARD_ROWS = 1000
MOST_SLOWDOWN = 1.5
_EVERY_S = 0.05


def stage(folder: Path, rows: int, first: int) -> None:
    """Write down the shards of a run that has embedded all of its rows."""
    state, model = State(folder), service_identity()
    folder.mkdir()
    name, moment = new_id()
    kind = (model.model, model.pretrained, model.dim)
    plan = Plan(name, {}, kind, None, moment, SHARD_ROWS, rows, -(-rows // SHARD_ROWS))
    state.write_plan(plan)
    parts = (
        part[at : at + SHARD_ROWS]
        for part in Clusters(rows, dim=model.dim).batches(rows, stream=5)
        for at in range(0, len(part), SHARD_ROWS)
    )
    for shard, vectors in enumerate(parts):
        number = shard * SHARD_ROWS
        state.rows_file(shard)  # which makes the folder
        images = (_image(number + n, first, each, plan) for n, each in enumerate(vectors))
        write_staged(state.staged_file(shard, "all"), images, plan)
        state.set_mark(shard, "staged", {"file": "all", "rows": len(vectors), "failures": []})


def _image(number: int, first: int, vector: Any, plan: Plan) -> WholeImage:
    url = url_of(first + number)
    metadata, date = row_metadata(first + number), plan.date_of(number)
    return WholeImage(image_id(url), url, metadata, date, vector.tobytes())


async def commit(folder: Path) -> None:
    """Put all of them into the table."""
    state = State(folder)
    plan = state.plan()
    assert plan is not None  # noqa: S101 - `stage` goes before
    give_way()
    began = time.monotonic()
    async with opened_index(Settings.from_environment(), plan.model, None) as index:
        bar = _Bar()
        commits = Commits(index, state, plan, 32, bar.say)
        shards = Shards(plan, {"staged": state.having("staged"), "done": ()}, commits, bar, 600.0)
        await shards.run(None, None, [])
    took = time.monotonic() - began
    print(json.dumps({"seconds": took, "written": shards.counts.written}))


class _Bar:
    """Shows nothing of the progress."""

    def advance(self, count: int) -> None:
        pass

    def say(self, line: str) -> None:
        print(line, file=sys.stderr)


async def measure(folder: Path, rows: int, seconds: float) -> None:
    """Search before and meanwhile."""
    index = await ImageIndex.open(StoreSettings(), service_identity())
    vectors = Clusters(rows, dim=service_identity().dim).rows(4096, stream=1)
    searches = _Searches(index, vectors)
    await searches.until(asyncio.create_task(asyncio.sleep(seconds / 2)))
    alone = await searches.until(asyncio.create_task(asyncio.sleep(seconds)))
    process = await asyncio.create_subprocess_exec(
        *(sys.executable, "-m", __spec__.name, "commit", str(folder)),
        stdout=asyncio.subprocess.PIPE,
    )
    ended = asyncio.create_task(process.communicate())
    meanwhile = await searches.until(ended)
    told, _ = await ended
    told_rows = await index.count()
    reached = [percentile(ms, share) for ms in (alone, meanwhile) for share in (50, 95, 99)]
    await index.close()
    print(json.dumps({**json.loads(told), "there": told_rows, "took": reached}))


class _Searches:
    """One client, which searches every so often."""

    def __init__(self, index: ImageIndex, vectors: Any) -> None:
        self._index, self._vectors, self._number = index, vectors, 0

    async def until(self, over: "asyncio.Task[Any]") -> list[float]:
        """Milliseconds of each search until something is over."""
        took: list[float] = []
        while not over.done():
            self._number += 1
            query = SearchQuery(vector=self._vectors[self._number % len(self._vectors)])
            if self._number % 2:
                query = replace(query, filter={"percent": self._number % 100})
            began = time.perf_counter()
            await self._index.find(query)
            took.append(1e3 * (time.perf_counter() - began))
            await asyncio.sleep(_EVERY_S)
        return took


def add_options(parser: ArgumentParser) -> None:
    parser.add_argument("--rows", type=int, default=100_000, help="that are staged")
    parser.add_argument("--before", type=int, default=100_000, help="rows that are there already")
    parser.add_argument("--seconds", type=float, default=20, help="of searches before")
    parser.add_argument("--models", choices=SIZES, default="full")


def run(given: Namespace, report: Report) -> list[Limit]:
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        table, state = folder / "index", folder / "state"
        settings = {**service_settings(given.models), f"{PREFIX}STORE_URI": str(table)}
        fill(settings, given.before)
        answer_of(__name__, settings, "stage", str(state), given.rows, given.before)
        report.say(f"staged: {mib_in(state):,.0f} MiB")
        told = answer_of(__name__, settings, "measure", str(state), given.before, given.seconds)
        report.say(
            f"{told['written']:,} rows in {told['seconds']:.0f} s, {mib_in(table):,.0f} MiB then\n"
        )
    columns = ["searches", "p50 ms", "p95 ms", "p99 ms"]
    alone, meanwhile = told["took"][:3], told["took"][3:]
    report.table(columns, [("before", *alone), ("meanwhile", *meanwhile)])
    return [
        Limit("rows that are missing", given.before + given.rows - told["there"], most=0),
        Limit("p95 to before", ratio(meanwhile[1], alone[1]), most=MOST_SLOWDOWN),
    ]


if __name__ == "__main__":
    what, path, *numbers = sys.argv[1:]
    if what == "stage":
        stage(Path(path), int(numbers[0]), int(numbers[1]))
        print(json.dumps({}))
    elif what == "commit":
        asyncio.run(commit(Path(path)))
    else:
        asyncio.run(measure(Path(path), int(numbers[0]), float(numbers[1])))
