"""The processes of `killed`: one that writes and is killed at a named point, one that looks after.

Both are forks of a process that has imported what they need and opened nothing, so that a kill
costs a fraction of a second.
"""

import asyncio
import json
import os
import random
import signal
import threading
import warnings
from collections.abc import Callable
from pathlib import Path
from typing import Any
from unittest.mock import patch

import store.write.commit as committing
from store.index import ImageIndex
from store.objects.sweep import SETTLED_S, unnamed
from store.objects.table import ObjectTable
from store.schemas import (
    NewImage,
    ObjectHit,
    ObjectQuery,
    ObjectTerm,
    SearchQuery,
    UpkeepReport,
    image_id,
)
from store.table.connection import open_dataset
from store.upkeep.objects import ObjectTasks
from store.upkeep.tasks import UpkeepTasks
from tests.store.objects.objects import DETECTOR, objects
from tests.store.support import opened, url_of, vector

SLOTS = 10
OPERATIONS = ("add", "add", "add", "look", "patch", "delete", "restore", "upkeep")
POINTS: dict[str, list[tuple[Any, str]]] = {
    "between the two writes": [(ObjectTable, "append")],
    "in an add": [(ObjectTable, "append")],
    "in a sweep": [(ObjectTasks, "sweep")],
    "in a restore": [(committing, "restore_version")],
    "in upkeep": [
        (ObjectTasks, "join_fragments"),
        (ObjectTasks, "build_indexes"),
        (ObjectTasks, "remove_old_versions"),
        (UpkeepTasks, "remove_old_versions"),
    ],
}
"""What is about to be done, or under way, when the process is killed; and the calls of which."""
LONGEST_S = {"in an add": 0.02, "in a sweep": 0.05, "in a restore": 0.05, "in upkeep": 0.05}

Say = Callable[[dict[str, Any]], None]


def names_of(number: int) -> tuple[str, ...]:
    """The classes in the picture of a number: none to three objects."""
    return ("dog", "cat", "dog")[: number % 4]


def write_until_killed(folder: Path, point: str, seed: int, told: set[int], say: Say) -> None:
    """Changes images, one operation after the other, and is killed at a point.

    Args:
        folder: of the table.
        point: one of `POINTS`.
        seed: of the operations.
        told: versions of which it is known what they hold, to go back to.
        say: takes what is begun and done.
    """
    rng = random.Random(seed)
    owner, name = rng.choice(POINTS[point])
    original = getattr(owner, name)
    left = rng.randint(1, 4)

    async def hit(*given: Any, **named: Any) -> Any:
        nonlocal left
        left -= 1
        if left == 0 and point != "between the two writes":
            threading.Timer(rng.uniform(0, LONGEST_S[point]), _die).start()
        answer = await original(*given, **named)
        if left == 0 and point == "between the two writes":
            _die()
        return answer

    with patch.object(owner, name, hit):
        asyncio.run(_write(folder, rng, told, say))


def _die() -> None:
    os.kill(os.getpid(), signal.SIGKILL)


async def _write(folder: Path, rng: random.Random, told: set[int], say: Say) -> None:
    async with opened(folder, DETECTOR, store_upkeep_every=1000) as index:
        for _ in range(400):
            kind, slot, number = rng.choice(OPERATIONS), rng.randrange(SLOTS), rng.getrandbits(24)
            there = [each.version for each in await index.versions() if each.version in told]
            version = rng.choice(there[:6] or [0])
            if kind == "restore" and not there:
                continue
            say({"do": kind, "slot": slot, "number": number, "version": version})
            await _operation(index, kind, slot, number, version)
            newest = (await index.versions())[0].version
            told.add(newest)
            say({"done": newest})


async def _operation(index: ImageIndex, kind: str, slot: int, number: int, version: int) -> None:
    found = objects(number, *names_of(number))
    match kind:
        case "add":
            metadata = {"n": number}
            new = NewImage(url_of(slot), vector(number), metadata, objects=found)
            await index.upsert(new)
        case "look":
            await index.put_objects(image_id(url_of(slot)), None, found)
        case "patch":
            await index.patch(image_id(url_of(slot)), {"n": number})
        case "delete":
            await index.delete([image_id(url_of(slot))])
        case "restore":
            await index.restore(version=version)
        case _:
            report = await _sweep(index)
            assert report is None or report.result == "ok", report


async def _sweep(index: ImageIndex) -> UpkeepReport | None:
    """A round that removes all objects that nobody names, as nothing is written beside it.

    Rounds in the background, such as the one after a restored version, leave young ones alone.
    """
    tasks = index._upkeep.objects
    assert tasks is not None
    tasks.settled_s = -1
    try:
        return await index.run_upkeep()
    finally:
        tasks.settled_s = SETTLED_S


def look(folder: Path, say: Say) -> None:
    """Says what the table holds, and what is wrong with it."""
    asyncio.run(_look(folder, say))


async def _look(folder: Path, say: Say) -> None:
    async with opened(folder, DETECTOR, store_upkeep_every=1000) as index:
        state: dict[int, Any] = {}
        for sweeps in (False, True):
            if sweeps:
                await _sweep(index)
            state = {slot: await _image(index, slot, say) for slot in range(SLOTS)}
            await _search(index, {slot for slot, held in state.items() if held}, say)
        _orphans(folder, say)
        version = (await index.versions())[0].version
        say({"state": state, "version": version})


async def _image(index: ImageIndex, slot: int, say: Say) -> list[int] | None:
    """What an image was given last: its number, and that of its objects."""
    own = image_id(url_of(slot))
    image, stored = await index.get(own), await index.objects(own)
    if image is None:
        return None
    assert isinstance(image.metadata, dict)
    assert stored is not None
    vectors = [await index.object_vector(own, n) for n in range(len(stored.boxes))]
    if any(each is None for each in vectors):
        say({"wrong": f"image {slot} lacks vectors of {len(vectors)} objects"})
    # Vectors are drawn from numbers, which are looked for among those that were given.
    first = [] if not vectors or vectors[0] is None else vectors[0].tolist()
    say({"image": slot, "first": first, "count": len(vectors)})
    return [int(image.metadata["n"]), len(vectors)]


async def _search(index: ImageIndex, there: set[int], say: Say) -> None:
    """Each hit has an object that its image has, and each image with objects is a hit."""
    asked = ObjectQuery((ObjectTerm(vector(1)),))
    hits = (await index.find(SearchQuery(objects=asked, limit=1000))).hits
    seen = set()
    for hit in hits:
        assert isinstance(hit, ObjectHit)
        stored = await index.objects(hit.id)
        if stored is None or hit.numbers[0] >= len(stored.boxes):
            say({"wrong": f"{hit.url} has no object {hit.numbers}"})
        seen.add(hit.id)
    for slot in there:
        stored = await index.objects(image_id(url_of(slot)))
        if stored is not None and stored.boxes and image_id(url_of(slot)) not in seen:
            say({"wrong": f"image {slot} is not found by its objects"})


def _orphans(folder: Path, say: Say) -> None:
    images, table = (
        open_dataset(str(folder / f"{name}.lance"), None) for name in ("images", "objects")
    )
    versions = [each["version"] for each in images.versions()]
    if left := unnamed(images, versions, table, -1):
        say({"wrong": f"{len(left)} sets of objects that nobody names are left after a sweep"})
    ids = table.to_table(columns=["id"])["id"].to_pylist()
    if len(ids) != len(set(ids)):
        say({"wrong": "an object is there twice"})


def run_in_fork(work: Callable[[Say], None]) -> tuple[list[dict[str, Any]], int]:
    """What a process says until its end, and its status."""
    reading, writing = os.pipe()
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # LanceDB's, of forks: nothing of it has run here
        child = os.fork()
    if child == 0:
        os.close(reading)
        status = 1
        try:
            work(lambda line: _say(writing, line))
            status = 0
        except BaseException as error:
            _say(writing, {"wrong": f"ended by {error!r}"})
        finally:
            os._exit(status)
    os.close(writing)
    with os.fdopen(reading) as said:
        lines = [json.loads(line) for line in said if line.endswith("\n")]
    return lines, os.waitstatus_to_exitcode(os.waitpid(child, 0)[1])


def _say(fd: int, line: dict[str, Any]) -> None:
    os.write(fd, (json.dumps(line) + "\n").encode())
