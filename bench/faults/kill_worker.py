"""Writer process of `kill`: changes its own images without end, and says what it does.

Each line on its output is JSON. Before an operation is sent its line says what the image will be
then (``do``), after it was acknowledged another follows (``done``). So when the process is killed,
it is known of each image what was acknowledged, and which one operation may have come through or
not: a client has one at a time, and nobody else touches its images. Each life has keys whose types
widen, in nested objects too; each client drops a key of its own and makes it anew, of another type.
"""

import asyncio
import json
import sys
from collections.abc import Coroutine
from itertools import count
from pathlib import Path
from typing import Any

import numpy as np

from store.index import ImageIndex
from store.metadata.values import ColumnType
from store.schemas import (
    Detector,
    FloatVector,
    ModelIdentity,
    NewImage,
    NewObjects,
    ObjectBox,
    image_id,
)
from store.settings import StoreSettings

DIM = 32
CLIENTS = 6
SLOTS_EACH = 8
FILLERS = 600
"""Images that each process adds first, so that the table is large enough for a vector index."""
DETECTOR = Detector("killed.pt", "seeded")
CLASSES = ("dog", "cat", "car")
SETTLED_S = 30.0
"""Longer than a commit takes, and shorter than a table is written to."""
State = dict[str, Any] | None
"""An image's metadata; None where there is no such image."""
TYPES = {each.label: each for each in ColumnType}
LIVES_APART = 12
"""Lives that have keys of their own; later ones take those of earlier ones."""
NUMBERS = ([7, 8.0, 12.5], [0.5, 0.4, 0.1])
TIMES = (["2024-05-01", "2024:05:01 10:00:00", "soon"], [0.5, 0.4, 0.1])
AS_MOMENTS = {
    "2024-05-01": "2024-05-01T00:00:00Z",
    "2024:05:01 10:00:00": "2024-05-01T10:00:00Z",
}
KINDS: dict[str, list[Any]] = {
    "string": ["2024-05-01", "x"],
    "float": [1, 1.5],
    "boolean": [True, False],
    "list of strings": [["x"], ["y", "z"]],
}


def settings(folder: Path) -> StoreSettings:
    """Upkeep comes often, and so does all that it does."""
    rows = 2 * FILLERS - 200
    return StoreSettings(store_uri=str(folder), store_upkeep_every=4, store_vector_index_rows=rows)


def opening(folder: Path) -> Coroutine[Any, Any, ImageIndex]:
    """The index, opened as all processes of a table do."""
    return ImageIndex.open(settings(folder), identity(), detector=DETECTOR)


def identity() -> ModelIdentity:
    return ModelIdentity("killed", "seeded", DIM)


def url_of(owner: str, slot: int) -> str:
    return f"https://example.org/{owner}/{slot}"


def vector_of(sequence: int) -> FloatVector:
    """The vector that an add of this number gives: float32 [dim], unit length."""
    drawn = np.random.default_rng(sequence).normal(size=DIM)
    return (drawn / np.linalg.norm(drawn)).astype(np.float32)


def objects_of(sequence: int) -> NewObjects:
    """The objects of the image that an add of this number gives: none to three."""
    count = sequence % 4
    boxes = tuple(
        ObjectBox(CLASSES[(sequence + n) % len(CLASSES)], 0.5, (n / 4, 0.25, (n + 1) / 4, 0.75))
        for n in range(count)
    )
    vectors = [object_vector_of(sequence, n) for n in range(count)]
    stacked = np.stack(vectors) if vectors else np.empty((0, DIM), np.float32)
    return NewObjects((100 + count, 100), boxes, sequence % 3, stacked)


def object_vector_of(sequence: int, n: int) -> FloatVector:
    """The vector of the nth of these objects."""
    return vector_of(10_000_000_000 + 10 * sequence + n)


def fits(found: State, state: State, types: dict[str, str] | None = None) -> bool:
    """Whether an image's metadata is what it should be.

    Args:
        found: as it was read.
        state: as it was sent.
        types: of the keys, by which times are text or moments; None where that is not known.
    """
    if found is None or state is None or found.keys() != state.keys():
        return found == state
    return all(found[key] in _as_read(key, sent, types) for key, sent in state.items())


def _as_read(key: str, sent: Any, types: dict[str, str] | None) -> list[Any]:
    """What may be read of a value."""
    if not key.startswith("t "):
        return [sent]
    moment = AS_MOMENTS.get(sent, sent)
    return [sent, moment] if types is None else [moment if types.get(key) == "timestamp" else sent]


class Worker:
    """The clients of one process; sequence numbers of each life are above all earlier ones."""

    def __init__(self, index: ImageIndex, owner: str, life: int, known: dict[int, State]) -> None:
        self._index, self._owner, self._known = index, owner, known
        self._apart = f"{owner}{life % LIVES_APART}"
        self._kinds: dict[int, str] = {}
        self._numbers = count(life * 1_000_000)
        self._rng = np.random.default_rng(life)

    async def fill(self) -> None:
        """Add images that stay as they are."""
        fillers = [
            NewImage(
                url_of(self._owner, -n),
                vector_of(-n % 2**32),
                {"filler": self._owner},
                objects=objects_of(n),
            )
            for n in range(1, FILLERS + 1)
        ]
        await asyncio.gather(*map(self._index.upsert, fillers))
        say({"filled": True})

    async def upkeep(self) -> None:
        """Do upkeep nearly all the time."""
        while True:
            say({"upkeep": "begins"})
            report = await self._index.run_upkeep()
            say({"upkeep": "ended", "did": [] if report is None else report.did})
            if report is not None and report.result != "ok":
                say({"wrong": f"upkeep {report.result}"})
            await asyncio.sleep(float(self._rng.uniform(0, 0.05)))

    async def client(self, number: int) -> None:
        """Add, patch and delete its images, one operation after the other."""
        columns = (await self._index.state()).columns
        self._kinds[number] = columns.get(self._own(number), "")
        while True:
            slot = number * SLOTS_EACH + int(self._rng.integers(SLOTS_EACH))
            kind = str(self._rng.choice(["upsert", "upsert", "patch", "delete"]))
            if self._rng.random() < 0.03:
                await self._drop(number)
            before, sequence = self._known.get(slot), next(self._numbers)
            after: State = None
            if kind == "upsert":
                after = {"owner": self._owner, "slot": slot, "sequence": sequence}
                after |= self._values(number)
            elif kind == "patch" and before is not None:
                after = {**before, "patched": sequence, **self._values(number)}
            say({"do": slot, "state": after})
            right = await self._operate(kind, url_of(self._owner, slot), after, sequence, before)
            say({"done": slot})
            if not right:
                say({"wrong": f"{kind} of an image that was {before}"})
            self._known[slot] = after

    async def _operate(
        self, kind: str, url: str, after: State, sequence: int, before: State
    ) -> bool:
        """Do the operation; whether the answer fits what was there before."""
        if kind == "upsert":
            image = NewImage(url, vector_of(sequence), after, objects=objects_of(sequence))
            return (await self._index.upsert(image)).created is (before is None)
        if kind == "patch":
            new = {k: v for k, v in (after or {}).items() if k not in ("owner", "slot", "sequence")}
            patched = await self._index.patch(image_id(url), new)
            found = patched.metadata if patched is not None else None
            return not isinstance(found, str) and fits(found, after)
        return await self._index.delete([image_id(url)]) == (before is not None)

    def _values(self, number: int) -> dict[str, Any]:
        """Values of keys that may have to widen, in an object and not, and of the client's own."""
        count, at = (self._rng.choice(len(p), p=p) for _, p in (NUMBERS, TIMES))
        values: dict[str, Any] = {
            f"w {self._apart}": {"n": NUMBERS[0][count]},
            f"t {self._apart}": TIMES[0][at],
            "$text": "beside",
        }
        if kind := self._kinds[number]:
            values[self._own(number)] = KINDS[kind][int(self._rng.integers(2))]
        return values

    async def _drop(self, number: int) -> None:
        """Drop the client's own key, and declare it to be of another type."""
        key, kind = self._own(number), str(self._rng.choice(list(KINDS)))
        if self._kinds[number]:
            slots = range(number * SLOTS_EACH, (number + 1) * SLOTS_EACH)
            states = {slot: _without(self._known.get(slot), key) for slot in slots}
            for slot, state in states.items():
                say({"do": slot, "state": state})
            had = await self._index.drop_column(key)
            for slot in slots:
                say({"done": slot})
            if had != sum(key in (self._known.get(slot) or ()) for slot in slots):
                say({"wrong": f"{had} images had {key}"})
            self._known |= states
        if not await self._index.declare_column(key, TYPES[kind]):
            say({"wrong": f"{key} was there before it was declared"})
        self._kinds[number] = kind

    def _own(self, number: int) -> str:
        return f"own {self._owner} {number}"


def _without(state: State, key: str) -> State:
    return None if state is None else {name: v for name, v in state.items() if name != key}


def sweep_often(index: ImageIndex, settled_s: float = SETTLED_S) -> None:
    """Have upkeep remove objects that no image names when they are so old."""
    tasks = index._upkeep.objects
    assert tasks is not None  # noqa: S101 - it was opened with a detector
    tasks.settled_s = settled_s


def say(line: dict[str, Any]) -> None:
    """One write of one line, which a kill cannot tear."""
    sys.stdout.write(json.dumps(line) + "\n")
    sys.stdout.flush()


async def main(folder: Path, owner: str, life: int) -> None:
    given = json.loads(sys.stdin.readline())
    known = {int(slot): state for slot, state in given["known"].items()}
    index = await opening(folder)
    sweep_often(index)
    say({"open": True})
    worker = Worker(index, owner, life, known)
    async with asyncio.TaskGroup() as tasks:
        if not given["filled"]:
            tasks.create_task(worker.fill())
        tasks.create_task(worker.upkeep())
        for number in range(CLIENTS):
            tasks.create_task(worker.client(number))


if __name__ == "__main__":
    asyncio.run(main(Path(sys.argv[1]), sys.argv[2], int(sys.argv[3])))
