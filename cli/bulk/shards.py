"""Shards on their way: to workers, again where these are lost, then to the index."""

import asyncio
import time
from collections import Counter
from collections.abc import Collection, Mapping
from dataclasses import dataclass
from typing import Any, Protocol

from cli.bulk.cluster import Cluster, LostError, Size, Worker
from cli.bulk.commits import Commits
from cli.bulk.plan import BulkError, Plan, Stage, named_models

_LOOK_S = 1.0
_REST_SHARE = 3.0
"""Of the time that a commit took, so much passes before the next one begins, while no worker waits
for it. With 100,000 staged rows on two cores a search meanwhile has 2.9 times its p95, without the
rests 7.2 times; it takes 95 s in place of 21."""

_MOST_LOSSES = 6
"""Of one shard: that is the shard, and no accident."""


class Bar(Protocol):
    """Where progress is shown."""

    def advance(self, count: int) -> None:
        """Count rows as embedded."""

    def say(self, line: str) -> None:
        """Print a line."""


@dataclass
class Counts:
    """What a run has done.

    Attributes:
        written: images that were written to the index.
        left: rows whose images others have changed since, or that duplicate one.
        lost: workers that were lost.
        again: shards that were begun again.
    """

    written: int = 0
    left: int = 0
    lost: int = 0
    again: int = 0


class Shards:
    """Takes all shards of a plan through both stages.

    A worker has one shard at a time, so that its loss costs one. No more than two shards for each
    worker wait for their commit: workers wait then.

    Args:
        plan: of the run.
        marks: the shards that have come so far.
        commits: puts them in.
        bar: is told of each row.
        stall_s: after which a worker that does nothing counts as lost.
    """

    def __init__(
        self,
        plan: Plan,
        marks: Mapping[Stage, Collection[int]],
        commits: Commits,
        bar: Bar,
        stall_s: float,
    ) -> None:
        self._plan, self._commits, self._bar, self._stall_s = plan, commits, bar, stall_s
        self._todo: asyncio.PriorityQueue[int] = asyncio.PriorityQueue()
        for shard in set(range(plan.shards)).difference(marks["staged"]):
            self._todo.put_nowait(shard)
        self._left = self._todo.qsize()
        self._ready: asyncio.Queue[int | None] = asyncio.Queue()
        self._early = sorted(set(marks["staged"]).difference(marks["done"]))
        self._changed = asyncio.Event()
        self._losses: Counter[int] = Counter()
        self._never_ready = 0
        self.counts = Counts()

    async def run(self, cluster: Cluster | None, size: Size | None, first: list[Worker]) -> None:
        """Go through all of them.

        Args:
            cluster: of the workers; None where all shards are staged.
            size: of the workers.
            first: those that are there already.

        Raises:
            BulkError: a shard cannot be embedded.
            StoreError: the index takes nothing.
        """
        count = 0 if size is None else size.workers
        self._ready = asyncio.Queue(2 * max(1, count))
        try:
            async with asyncio.TaskGroup() as tasks:
                tasks.create_task(self._commit_all())
                if cluster is not None and size is not None:
                    await self._embed_all(cluster, size, [*first, *[None] * (count - len(first))])
                await self._ready.put(None)
        except BaseExceptionGroup as group:
            raise _first(group) from group

    async def _embed_all(self, cluster: Cluster, size: Size, first: list[Worker | None]) -> None:
        async with asyncio.TaskGroup() as tasks:
            lanes = [tasks.create_task(self._lane(cluster, size, worker)) for worker in first]
            while self._left:
                self._changed.clear()
                await self._changed.wait()
            for lane in lanes:
                lane.cancel()

    async def _lane(self, cluster: Cluster, size: Size, worker: Worker | None) -> None:
        """Embed shards by one worker after the other."""
        shard: int | None = None
        while True:
            worker = worker or cluster.worker(size)
            try:
                self._refuse_other_models(await worker.call("ready"))
                self._never_ready = 0
                while True:
                    shard = await self._todo.get()
                    await self._embed(worker, shard)
                    self._staged()
                    await self._ready.put(shard)
                    shard = None
            except LostError as error:
                self.counts.lost += 1
                self._lost(shard, str(error))
                shard = None
                await worker.end()
                worker = None

    async def _embed(self, worker: Worker, shard: int) -> None:
        """Embed a shard, and see that it goes on."""
        loop, seen = asyncio.get_running_loop(), await worker.call("done")
        task = asyncio.create_task(worker.call("embed", self._plan.to_json(), shard))
        moved, told = loop.time(), 0
        try:
            while not (await asyncio.wait([task], timeout=_LOOK_S))[0]:
                now = await self._seen(worker, seen)
                if now > told:
                    self._bar.advance(now - told)
                    moved, told = loop.time(), now
                else:
                    self._refuse_stalled(loop.time() - moved)
            mark: dict[str, Any] = task.result()
            self._bar.advance(mark["rows"] + len(mark["failures"]) - told)
        except BaseException:
            self._bar.advance(-told)
            raise
        finally:
            task.cancel()

    def _refuse_stalled(self, for_s: float) -> None:
        if for_s > self._stall_s:
            raise LostError(f"it has not moved for {for_s:.0f} s")

    async def _seen(self, worker: Worker, before: int) -> int:
        """Rows of this shard; as many as nothing where it does not say."""
        try:
            async with asyncio.timeout(self._stall_s):
                done: int = await worker.call("done")
        except TimeoutError:
            return 0
        return done - before

    def _refuse_other_models(self, told: Mapping[str, Any]) -> None:
        """A machine may have other files under the same name, or other settings of its own."""
        own = (told["model"], told["detector"])
        if own != (self._plan.model, self._plan.detector):
            raise BulkError(
                f"the worker on {told['host']} has {named_models(own)}, and the run is of"
                f" {named_models((self._plan.model, self._plan.detector))}: give all machines the"
                " same models and settings"
            )

    def _staged(self) -> None:
        self._left -= 1
        self._changed.set()

    def _lost(self, shard: int | None, reason: str) -> None:
        if shard is None:
            self._never_ready += 1
            if self._never_ready >= _MOST_LOSSES:
                raise BulkError(f"no worker gets ready; the last: {reason}")
            return
        self._losses[shard] += 1
        if self._losses[shard] >= _MOST_LOSSES:
            raise BulkError(f"shard {shard} has cost {_MOST_LOSSES} workers; the last: {reason}")
        self.counts.again += 1
        self._todo.put_nowait(shard)
        self._bar.say(f"A worker is lost, and shard {shard} begins again: {reason}")

    async def _commit_all(self) -> None:
        for shard in self._early:
            await self._commit(shard)
        while (ready := await self._ready.get()) is not None:
            await self._commit(ready)

    async def _commit(self, shard: int) -> None:
        began = time.monotonic()
        told = await self._commits.commit(shard)
        self.counts.written += told["written"]
        self.counts.left += told["left"]
        if not self._ready.full():
            await asyncio.sleep(_REST_SHARE * (time.monotonic() - began))


def _first(group: BaseExceptionGroup) -> BaseException:
    """The first of the errors: each of the others came of it, or at the same time."""
    error = group.exceptions[0]
    return _first(error) if isinstance(error, BaseExceptionGroup) else error
