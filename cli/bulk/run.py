"""A bulk run: the plan, the workers, the commits, and what came of it."""

import asyncio
import json
import os
from collections.abc import Iterable, Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

import click
from rich.console import Console

from api.settings import Settings
from cli.bulk.cluster import Cluster, LostError, Size, Worker, answer_alone
from cli.bulk.commits import Commits, give_way, opened_index
from cli.bulk.plan import BulkError, Models, Plan, Stage, State, named_models
from cli.bulk.planning import make_plan, new_id, with_retries
from cli.bulk.shards import Counts, Shards
from image_search.cli.index.sources import Reading, has_csv, opened
from image_search.cli.progress import FailureFile, WorkBar
from store.index import ImageIndex


@dataclass(frozen=True)
class BulkOptions:
    """The command's options, by the names that `cli.bulk.command` gives them."""

    ray: str
    state: Path
    shard_rows: int
    workers: int | None
    worker_cpus: float | None
    worker_gpus: float | None
    on_duplicate: str
    exif: bool
    failures: Path | None
    retry_failed: bool
    start_over: bool
    stall: float
    as_json: bool


async def run_bulk(sources: Sequence[str], reading: Reading, options: BulkOptions) -> int:
    """Index all sources; returns the exit status.

    Raises:
        BulkError: it cannot go on.
        SourceError: a source cannot be read.
        SettingsError: a variable has an invalid value.
        StoreError: the index cannot be used.
        OSError: a file cannot be read or written.
    """
    settings = Settings.from_environment()
    os.umask(settings.store.umask)
    state = State(options.state.absolute())
    with state.locked(), WorkBar(Console(stderr=True), "bulk") as bar:
        run = _Run(settings, state, options, bar)
        with answer_alone():
            await run.go(sources, reading)
    return run.told(options)


class _Run:
    """One call of the command on a state's folder."""

    def __init__(
        self, settings: Settings, state: State, options: BulkOptions, bar: WorkBar
    ) -> None:
        self._settings, self._state, self._options, self._bar = settings, state, options, bar
        self._cluster: Cluster | None = None
        self._size: Size | None = None
        self._first: list[Worker] = []
        self._counts = Counts()
        self._skips = options.on_duplicate == "skip"
        self._plan: Plan

    async def go(self, sources: Sequence[str], reading: Reading) -> None:
        how = _told_of(sources, reading)
        plan = None if self._options.start_over else self._state.plan()
        if plan is not None and not self._is_of(plan, how):
            raise BulkError(
                f"{self._state.folder} is of other sources or options: name another --state, or"
                " --start-over"
            )
        try:
            await self._through(plan, how, sources, reading)
        finally:
            if self._cluster is not None:
                self._cluster.close()

    async def _through(
        self, plan: Plan | None, how: Any, sources: Sequence[str], reading: Reading
    ) -> None:
        """Plan what is not planned, embed what is not embedded, commit what is not committed."""
        if plan is None:
            self._begin_anew()
        elif self._options.retry_failed:
            plan = self._with_retries(plan)
        staged, done = self._state.having("staged"), self._state.having("done")
        models = None if plan is None else (plan.model, plan.detector)
        if plan is None or len(staged) < plan.shards:
            models = await self._start(plan)
        elif len(done) == plan.shards:
            self._plan = plan
            return
        assert models is not None  # noqa: S101 - for mypy
        give_way()
        async with opened_index(self._settings, *models) as index:
            self._plan = plan or await self._planned(index, models, how, sources, reading)
            await self._work(index, staged, done)

    def _is_of(self, plan: Plan, how: Any) -> bool:
        """Whether a plan is of this call's sources, and makes the same of them."""
        own = (how, self._skips, self._options.exif)
        return own == (plan.source, plan.skip_duplicates, plan.exif)

    def _with_retries(self, plan: Plan) -> Plan:
        if not self._state.is_done(plan):
            self._bar.say(
                "The run before has not come to its end, and goes on now: call it with"
                " --retry-failed once more after that."
            )
        return with_retries(self._state, plan)

    async def _work(self, index: ImageIndex, staged: set[int], done: set[int]) -> None:
        plan, new_keys = self._plan, self._settings.api.max_new_keys
        before = min(plan.rows, len(staged) * plan.shard_rows)
        self._bar.begin(None if plan.retried else plan.rows, before)
        commits = Commits(index, self._state, plan, new_keys, self._bar.say)
        marks: dict[Stage, set[int]] = {"staged": staged, "done": done}
        shards = Shards(plan, marks, commits, self._bar, self._options.stall)
        self._counts = shards.counts
        await shards.run(self._cluster, self._size, self._first)

    def _begin_anew(self) -> None:
        """Let nothing of an earlier run look as if it were of this one."""
        (self._state.folder / "plan.json").unlink(missing_ok=True)
        for stage in ("staged", "done"):
            for shard in self._state.having(stage):
                self._state.forget(shard, stage)

    async def _start(self, plan: Plan | None) -> Models:
        """Join the cluster, start the workers, and ask the first that is ready what its models are.

        Raises:
            BulkError: they are others than those of the plan.
        """
        options = self._options
        self._bar.say("Starting the workers; each loads its models.")
        self._cluster = cluster = Cluster(options.ray, self._state, self._settings)
        self._size = size = cluster.sized(options.workers, options.worker_cpus, options.worker_gpus)
        if size.workers > 1:
            cluster.share_hosts()
        self._first = [cluster.worker(size) for _ in range(size.workers)]
        ready = [asyncio.create_task(worker.call("ready")) for worker in self._first]
        for task in ready:
            task.add_done_callback(lambda one: one.cancelled() or one.exception())
        models = _models(await _first_ready(ready))
        if plan is not None and models != (plan.model, plan.detector):
            before = named_models((plan.model, plan.detector))
            raise BulkError(
                f"the run was begun with {before}, and the settings now name"
                f" {named_models(models)}: use those of before, or --start-over"
            )
        return models

    async def _planned(
        self,
        index: ImageIndex,
        models: Models,
        how: Any,
        sources: Sequence[str],
        reading: Reading,
    ) -> Plan:
        known: dict[str, str] = {}
        if has_csv(sources):
            known = {facet.key: facet.type for facet in await index.facets()}
        own, moment = new_id()
        options = self._options
        made: dict[str, Any] = {"skip_duplicates": self._skips, "exif": options.exif}
        begin = Plan(own, how, *models, moment, options.shard_rows, **made)
        self._bar.say("Reading the sources, and writing their rows down.")
        return await asyncio.to_thread(self._read, sources, reading, known, begin)

    def _read(
        self, sources: Sequence[str], reading: Reading, known: dict[str, str], begin: Plan
    ) -> Plan:
        source = opened(sources, reading, known)
        self._bar.begin(source.total, 0)
        return make_plan(self._state, source, begin, self._bar.advance)

    def told(self, options: BulkOptions) -> int:
        """Print what came of it, and list what failed; the exit status."""
        failed = 0
        with FailureFile(options.failures) as failures:
            for one in self._state.failures(self._plan):
                failures.add(one["failure"])
                failed += 1
        numbers = {**asdict(self._counts), "rows": self._plan.rows, "failed": failed}
        numbers |= {"shards": self._plan.shards}
        click.echo(json.dumps(numbers) if options.as_json else _summary(numbers, options))
        return int(failed > 0 or not self._plan.rows)


async def _first_ready(ready: Iterable[asyncio.Task[Any]]) -> dict[str, Any]:
    """What the first worker that is ready tells.

    Raises:
        BulkError: one cannot load its models, or all were lost before.
    """
    for task in asyncio.as_completed(ready):
        try:
            told: dict[str, Any] = await task
        except LostError as error:
            lost = error
        else:
            return told
    raise BulkError(f"no worker gets ready; the last: {lost}")


def _told_of(sources: Sequence[str], reading: Reading) -> Any:
    """What a plan tells of its sources, and how they are read."""
    paths = [os.path.abspath(one) if os.path.lexists(one) else one for one in sources]  # noqa: PTH100
    return {"sources": paths, "reading": json.loads(json.dumps(asdict(reading), default=list))}


def _models(told: dict[str, Any]) -> Models:
    name, pretrained, dim = told["model"]
    found = told["detector"]
    return (name, pretrained, dim), None if found is None else (found[0], found[1])


def _summary(numbers: dict[str, int], options: BulkOptions) -> str:
    parts = [f"{numbers['rows']:,} rows, {numbers['written']:,} images written now"]
    if numbers["left"]:
        parts.append(f"{numbers['left']:,} left as they are, changed by others or duplicates")
    if numbers["lost"]:
        parts.append(f"{numbers['lost']:,} workers lost, {numbers['again']:,} shards again")
    if numbers["failed"]:
        where = f"see {options.failures}" if options.failures else "--failures FILE lists them"
        parts.append(f"{numbers['failed']:,} failed ({where}; --retry-failed tries them again)")
    return "; ".join(parts) + "."
