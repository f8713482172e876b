"""Writers that go on writing through whatever happens, and what they were told meanwhile.

`python -m tests.store.remote.streams --kills 100` kills one of three processes again and again;
`python -m tests.store.remote.streams --outages 1 10 60` takes the store away for so many seconds,
once so that it refuses and once so that it does not answer at all. Then nothing that was
acknowledged may be missing, and no picture be there twice. With `--s3 ceph` the store is Ceph's
gateway, which can only be had not to answer.
"""

import argparse
import asyncio
import hashlib
import os
import random
import signal
import sys
import time
from collections import Counter
from collections.abc import Awaitable, Callable
from contextlib import suppress
from uuid import uuid4

from store.index import ImageIndex
from store.schemas import SearchQuery
from store.settings import StoreSettings
from tests.store.remote.ceph import Ceph
from tests.store.remote.races import OpenWriter, ProcessWriter, in_process
from tests.store.remote.server import BUCKET, S3Server
from tests.store.remote.stores import STORES
from tests.store.support import IDENTITY

WRITERS = 3
PIXELS = 400
"""Different pictures, so that most adds are one that another writer has added, or is adding."""

SHARED = "shared"


class Stream:
    """A writer's process that is replaced when it ends, and what it was told.

    Attributes:
        there: ids that must be there: it was told that it had made them, or whose twin they are.
        patched: the number that its own key of the shared image has at the least.
        answers: how often it got which.
        slowest_s: of its operations.
    """

    def __init__(self, number: int, uri: str) -> None:
        self.there: set[str] = set()
        self.patched, self.sent = 0, 0
        self.answers: Counter[str] = Counter()
        self.slowest_s = 0.0
        self._key, self._uri = f"w{number}", uri
        self._random = random.Random(number)
        self._writer: ProcessWriter | None = None

    def kill(self) -> bool:
        """Kills its process, if there is one that writes; whether there was."""
        if (writer := self._writer) is None:
            return False
        self._writer = None
        writer.kill()
        return True

    async def run(self) -> None:
        """Writes until cancelled."""
        while True:
            async with in_process() as writer:
                with suppress(ConnectionResetError):
                    await self._opened(writer)
                    self._writer = writer
                    while True:
                        await self._write(writer)
            self.answers["ended"] += 1

    async def _opened(self, writer: ProcessWriter) -> None:
        opened = False
        while not opened:
            try:
                opened = await writer.do({"do": "open", "uri": self._uri})
            except RuntimeError:  # the store may be away
                await asyncio.sleep(0.2)

    async def _write(self, writer: ProcessWriter) -> None:
        began = time.monotonic()
        try:
            await (self._patch(writer) if self._random.random() < 0.3 else self._add(writer))
            self.answers["ok"] += 1
        except RuntimeError as error:
            self.answers[str(error).partition(" ")[0]] += 1
        self.slowest_s = max(self.slowest_s, time.monotonic() - began)

    async def _add(self, writer: ProcessWriter) -> None:
        pixels = hashlib.sha256(b"%d" % self._random.randrange(PIXELS)).hexdigest()
        new = {"do": "add", "n": 0, "id": uuid4().hex, "pixels": pixels, "skip": True}
        told = await writer.do(new)
        self.there.add(told["id"])
        if told["created"] == told["skipped"]:
            self.answers["told wrong"] += 1

    async def _patch(self, writer: ProcessWriter) -> None:
        self.sent += 1
        told = await writer.do({"do": "patch", "id": SHARED, "metadata": {self._key: self.sent}})
        if told is None or told.get(self._key) != self.sent:
            self.answers["told wrong"] += 1
        self.patched = self.sent


async def faults_of(uri: str, streams: list[Stream]) -> list[str]:
    """What is not as the writers were told."""
    index = await ImageIndex.open(StoreSettings(store_uri=uri), IDENTITY)
    try:
        snapshot = await index.snapshots.latest()
        rows = snapshot.dataset.to_table(columns=["id", "pixels"]).to_pylist()
        ids = Counter(row["id"] for row in rows)
        pixels = Counter(row["pixels"] for row in rows if row["pixels"])
        missing = set().union(*(each.there for each in streams)) - ids.keys()
        shared = await index.get(SHARED)
        kept = shared.metadata if shared and isinstance(shared.metadata, dict) else {}
        lost = [
            number
            for number, each in enumerate(streams)
            if not each.patched <= int(kept.get(f"w{number}", 0)) <= each.sent
        ]
        report = await index.run_upkeep()
        found = len(await index.search(SearchQuery(filter={}, limit=1000))) if rows else 0
        return [
            *(f"missing: {each}" for each in missing),
            *(f"twice: {each}" for each, number in (ids + pixels).items() if number > 1),
            *(f"patch lost: of writer {each}" for each in lost),
            *("told wrong" for each in streams for _ in range(each.answers["told wrong"])),
            *([] if report is None or report.result == "ok" else [f"upkeep: {report.result}"]),
            *([] if found == min(1000, len(rows)) else [f"{found} found of {len(rows)}"]),
        ]
    finally:
        await index.close()


async def through(uri: str, happens: Callable[[list[Stream]], Awaitable[None]]) -> int:
    """Has writers write while something happens; prints what they were told, and faults."""
    first = await ImageIndex.open(StoreSettings(store_uri=uri), IDENTITY)

    await OpenWriter(first).do({"do": "add", "n": 1, "id": SHARED, "metadata": {"k": "v"}})
    await first.close()
    streams = [Stream(number, uri) for number in range(WRITERS)]
    async with asyncio.TaskGroup() as tasks:
        writing = [tasks.create_task(each.run()) for each in streams]
        await happens(streams)
        for each in writing:
            each.cancel()
    faults = await faults_of(uri, streams)
    total = sum((each.answers for each in streams), Counter[str]())
    slowest = max(each.slowest_s for each in streams)
    print(f"answers: {dict(total)}; the slowest took {slowest:.1f} s; faults: {len(faults)}")
    for fault in faults[:20]:
        print(fault)
    return len(faults)


async def kills(uri: str, number: int) -> int:
    """Kills a writer again and again, each time another moment after the last one."""
    drawn = random.Random(0)

    async def happens(streams: list[Stream]) -> None:
        killed = 0
        while killed < number:
            await asyncio.sleep(drawn.uniform(0.05, 1.0))
            killed += drawn.choice(streams).kill()
        await asyncio.sleep(2)

    faults = await through(uri, happens)
    print(f"{number} kills: {faults} faults")
    return faults


async def outages(server: S3Server | Ceph, uri: str, lengths: list[float]) -> int:
    """Takes the store away, for so many seconds each time, and has it refuse or stand still."""
    faults, kinds = 0, ("refuses", "stands still")[isinstance(server, Ceph) :]
    for at, seconds in enumerate(lengths):
        for kind in kinds:

            async def happens(streams: list[Stream], kind: str = kind, s: float = seconds) -> None:
                await _until_all_write(streams)
                if kind == "refuses" and isinstance(server, S3Server):
                    await asyncio.to_thread(server.break_down, seconds=s)
                    await asyncio.sleep(s)
                else:
                    server.process.send_signal(signal.SIGSTOP)
                    await asyncio.sleep(s)
                    server.process.send_signal(signal.SIGCONT)
                back = time.monotonic()
                await _until_all_write(streams)
                print(f"{s:g} s, {kind}: all write again after {time.monotonic() - back:.1f} s")

            faults += await through(f"{uri}-{at}-{kind[:5]}", happens)
    print(f"{len(kinds) * len(lengths)} outages: {faults} faults")
    return faults


async def _until_all_write(streams: list[Stream]) -> None:
    before = [each.answers["ok"] for each in streams]
    while any(each.answers["ok"] < n + 2 for each, n in zip(streams, before, strict=True)):  # noqa: ASYNC110
        await asyncio.sleep(0.05)


def main() -> int:
    """The slow commands."""
    parser = argparse.ArgumentParser(description=(__doc__ or "").splitlines()[0])
    parser.add_argument("--kills", type=int, default=0)
    parser.add_argument("--outages", type=float, nargs="*", default=[], metavar="SECONDS")
    parser.add_argument("--s3", choices=STORES, default="moto", help="the object store")
    options = parser.parse_args()
    faults = 0
    with STORES[options.s3]() as server:
        os.environ.update(server.environment)
        if options.kills:
            faults += asyncio.run(kills(f"s3://{BUCKET}/kills", options.kills))
        if options.outages:
            faults += asyncio.run(outages(server, f"s3://{BUCKET}/outages", options.outages))
    return 1 if faults else 0


if __name__ == "__main__":
    sys.exit(main())
