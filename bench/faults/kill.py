"""Is anything that was acknowledged lost or doubled when writers are killed with kill -9?

Two processes write to one table at once (adds, patches, deletes, keys that widen, are dropped and
declared, upkeep almost without a pause), and one or both are killed at random moments. After each
kill the table is opened, and every image of the killed process must be what was acknowledged last,
or what the operation under way makes it. Images are added with objects, which must be theirs, and
which nothing is left of once no version names them::

    uv run python -m bench kill --kills 100     # about five minutes
"""

import asyncio
import json
import subprocess
import sys
import tempfile
import threading
import time
from argparse import ArgumentParser, Namespace
from collections import Counter
from pathlib import Path
from typing import IO, Any

import numpy as np

from bench.faults import kill_worker as worker
from bench.faults.kill_worker import State
from bench.report import Limit, Report
from store.index import ImageIndex
from store.objects.sweep import unnamed
from store.schemas import (
    FloatVector,
    Hit,
    ObjectHit,
    ObjectQuery,
    ObjectTerm,
    SearchQuery,
    image_id,
)
from store.table.connection import open_dataset

OWNERS = ("one", "two")
KILLS_PER_TABLE = 20
"""Then a new table is begun, so that its making and the first building of its indexes are hit."""
PATIENCE_S = 120.0
FAILURES = (
    "lost",
    "lost objects",
    "orphans",
    "doubled",
    "failed opens",
    "wrong answers",
    "ended by themselves",
)


class Victim:
    """A process that writes, and what is known of its images; counts are of all processes."""

    def __init__(self, folder: Path, owner: str, counts: Counter[str]) -> None:
        self.owner = owner
        self.known: dict[int, State] = {}
        self.doubtful: dict[int, State] = {}
        self._filled = False
        self._folder, self._counts, self._life = folder, counts, 0

    def start(self) -> None:
        self._life += 1
        self.working = threading.Event()
        self._is_open = self._in_upkeep = False
        command = [sys.executable, "-m", worker.__name__, str(self._folder), self.owner]
        self._process = subprocess.Popen(
            [*command, str(self._life)], stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True
        )
        said, told = self._process.stdout, self._process.stdin
        assert said is not None and told is not None  # noqa: S101, PT018 - for mypy
        self._reading = threading.Thread(target=self._read, args=(said,), daemon=True)
        self._reading.start()
        told.write(json.dumps({"known": self.known, "filled": self._filled}) + "\n")
        told.flush()

    def kill(self) -> None:
        self._counts["ended by themselves"] += self._process.poll() is not None
        self._process.kill()

    def bury(self) -> None:
        """Wait until it is gone and all that it said was read."""
        self._process.wait()
        self._reading.join()
        self._counts["kills"] += 1
        self._counts["kills while opening"] += not self._is_open
        self._counts["kills during upkeep"] += self._in_upkeep

    def _read(self, said: IO[str]) -> None:
        for line in said:
            self._heard(json.loads(line))

    def _heard(self, said: dict[str, Any]) -> None:
        match said:
            case {"do": slot, "state": state}:
                self.doubtful[slot] = state
            case {"done": slot}:
                self.known[slot] = self.doubtful.pop(slot)
                self._counts["acknowledged"] += 1
                self.working.set()
            case {"open": _}:
                self._is_open = True
            case {"filled": _}:
                self._filled = True
            case {"upkeep": "begins"}:
                self._in_upkeep = True
            case {"upkeep": "ended", "did": did}:
                self._in_upkeep = False
                self._counts["rounds of upkeep"] += 1
                self._counts["index builds"] += sum("built" in each for each in did)
            case {"wrong": why}:
                self._counts["wrong answers"] += 1
                complain(f"{self.owner}: {why}")


async def check(folder: Path, dead: list[Victim], counts: Counter[str]) -> None:
    """Open the table and compare the images of the dead processes with what is known of them."""
    try:
        async with asyncio.timeout(PATIENCE_S):
            index = await worker.opening(folder)
    except Exception as error:
        counts["failed opens"] += 1
        complain(f"the table did not open: {error!r} {getattr(error, 'detail', '')}")
        return
    try:
        async with asyncio.timeout(PATIENCE_S):
            for victim in dead:
                await _check_images(index, victim, counts)
            if len(dead) == len(OWNERS):
                await _check_count(index, counts)
                await _check_orphans(index, folder, counts)
    finally:
        await index.close()


async def _check_images(index: ImageIndex, victim: Victim, counts: Counter[str]) -> None:
    hits = await _found(index, victim.owner, counts)
    rows = {int(hit.url.rpartition("/")[2]): hit for hit in hits}
    counts["doubled"] += len(hits) - len(rows)
    vectors = await index.vectors([hit.id for hit in hits])
    types = (await index.state()).columns
    for slot in range(worker.CLIENTS * worker.SLOTS_EACH):
        found: State = dict(rows[slot].metadata) if slot in rows else None  # type: ignore[arg-type]
        known, doubtful = victim.known.get(slot), victim.doubtful.get(slot)
        if slot in victim.doubtful and worker.fits(found, doubtful, types):
            counts["in doubt, had come through"] += 1
            known = doubtful
        elif worker.fits(found, known, types):
            counts["in doubt, had not"] += slot in victim.doubtful
        else:
            counts["lost"] += 1
            complain(
                f"{victim.owner}/{slot} is {found}; acknowledged was {known}, in doubt {doubtful}"
            )
        victim.known[slot] = known
        if found is not None:
            stored = vectors[image_id(worker.url_of(victim.owner, slot))]
            counts["lost"] += not np.array_equal(stored, worker.vector_of(found["sequence"]))
            await _check_objects(index, victim.owner, slot, found["sequence"], counts)
    victim.doubtful.clear()


async def _check_objects(
    index: ImageIndex, owner: str, slot: int, sequence: int, counts: Counter[str]
) -> None:
    """An image has the objects that it was added with, each with its vector, and no other."""
    own, right = image_id(worker.url_of(owner, slot)), worker.objects_of(sequence)
    stored = await index.objects(own)
    told = None if stored is None else (stored.size, stored.boxes, stored.left_out)
    if told != (right.size, right.boxes, right.left_out):
        counts["lost objects"] += 1
        complain(f"{owner}/{slot} of {sequence} has {told}")
    vectors = [await index.object_vector(own, n) for n in range(len(right.boxes) + 1)]
    expected = [*right.vectors, None]
    pairs = enumerate(zip(vectors, expected, strict=True))
    wrong = [n for n, (one, other) in pairs if not _are_same(one, other)]
    counts["objects checked"] += len(right.boxes)
    if wrong:
        counts["lost objects"] += 1
        complain(f"{owner}/{slot} of {sequence} lacks the vectors of {wrong}")


def _are_same(one: FloatVector | None, other: FloatVector | None) -> bool:
    if one is None or other is None:
        return one is other
    return bool(np.array_equal(one, other))


async def _check_orphans(index: ImageIndex, folder: Path, counts: Counter[str]) -> None:
    """With nobody writing, a sweep leaves no objects that no kept version names, and finds hit
    what their images have.
    """
    worker.sweep_often(index, settled_s=-1)
    await index.run_upkeep()
    images, objects = (
        open_dataset(str(folder / f"{n}.lance"), None) for n in ("images", "objects")
    )
    versions = [each["version"] for each in images.versions()]
    counts["orphans"] += len(unnamed(images, versions, objects, -1))
    term = ObjectTerm(worker.object_vector_of(1, 0))
    found = await index.find(SearchQuery(objects=ObjectQuery((term,)), limit=1000))
    for hit in found.hits:
        own = await index.objects(hit.id)
        assert isinstance(hit, ObjectHit)  # noqa: S101 - for mypy
        counts["wrong answers"] += own is None or hit.numbers[0] >= len(own.boxes)


async def _found(index: ImageIndex, owner: str, counts: Counter[str]) -> list[Hit]:
    known = (await index.state()).columns
    if "filler" in known:
        counts["doubled"] += max(0, await index.count({"filler": owner}) - worker.FILLERS)
    if "owner" not in known:
        return []
    return await index.search(SearchQuery(filter={"owner": owner}, limit=1000))


async def _check_count(index: ImageIndex, counts: Counter[str]) -> None:
    """With nobody writing, paging through everything meets each id once."""
    ids: list[str] = []
    while page := (await index.images(1000, len(ids))).images:
        ids += [image.id for image in page]
    counts["doubled"] += len(ids) - len(set(ids))
    if len(ids) != await index.count():
        counts["wrong answers"] += 1
        complain(f"{len(ids)} images are listed, {await index.count()} counted")


def one_table(kills: int, rng: np.random.Generator, counts: Counter[str]) -> None:
    """Kill so many processes over one table."""
    with tempfile.TemporaryDirectory(ignore_cleanup_errors=True) as name:
        victims = [Victim(Path(name), owner, counts) for owner in OWNERS]
        target = counts["kills"] + kills
        try:
            for victim in victims:
                victim.start()
            while counts["kills"] < target and not failed(counts):
                dead = _kill_some(victims, rng)
                asyncio.run(check(Path(name), dead, counts))
                for victim in dead:
                    victim.start()
        finally:
            for victim in victims:
                victim.kill()


def _kill_some(victims: list[Victim], rng: np.random.Generator) -> list[Victim]:
    """Wait for a random moment and kill one or both, some while they open the table."""
    chosen = [[victims[0]], [victims[1]], victims][rng.integers(3)]
    if rng.random() < 0.8:
        for victim in chosen:
            victim.working.wait(PATIENCE_S)
    time.sleep(float(rng.uniform(0, 1.5)))
    for victim in chosen:
        victim.kill()
    for victim in chosen:
        victim.bury()
    return chosen


def failed(counts: Counter[str]) -> bool:
    return any(counts[name] for name in FAILURES)


def complain(line: str) -> None:
    print(f"! {line}", file=sys.stderr, flush=True)


def add_options(parser: ArgumentParser) -> None:
    parser.add_argument("--kills", type=int, default=100)
    parser.add_argument("--seed", type=int, default=int(time.time()))


def run(given: Namespace, report: Report) -> list[Limit]:
    report.say(f"seed {given.seed}")
    counts: Counter[str] = Counter(dict.fromkeys(FAILURES, 0))
    rng, began = np.random.default_rng(given.seed), time.monotonic()
    while counts["kills"] < given.kills and not failed(counts):
        one_table(min(KILLS_PER_TABLE, given.kills - counts["kills"]), rng, counts)
        report.say(f"{counts['kills']} kills, {counts['acknowledged']} operations acknowledged")
    counts["seconds"] = int(time.monotonic() - began)
    report.table(["", "count"], sorted(counts.items()))
    return [Limit(name, counts[name], most=0) for name in FAILURES]
