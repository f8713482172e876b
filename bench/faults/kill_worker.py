"""Writer process of `kill`: changes its own images without end, and says what it does.

Each line on its output is JSON. Before an operation is sent its line says what the image will be
then (``do``), after it was acknowledged another follows (``done``). So when the process is killed,
it is known of each image what was acknowledged, and which one operation may have come through or
not: a client has one at a time, and nobody else touches its images.
"""

import asyncio
import json
import sys
from itertools import count
from pathlib import Path
from typing import Any

import numpy as np

from store.index import ImageIndex
from store.schemas import FloatVector, ModelIdentity, NewImage, image_id
from store.settings import StoreSettings

DIM = 32
CLIENTS = 6
SLOTS_EACH = 8
FILLERS = 600
"""Images that each process adds first, so that the table is large enough for a vector index."""
State = dict[str, Any] | None
"""An image's metadata; None where there is no such image."""


def settings(folder: Path) -> StoreSettings:
    """Upkeep comes often, and so does all that it does."""
    rows = 2 * FILLERS - 200
    return StoreSettings(store_uri=str(folder), store_upkeep_every=4, store_vector_index_rows=rows)


def identity() -> ModelIdentity:
    return ModelIdentity("killed", "seeded", DIM)


def url_of(owner: str, slot: int) -> str:
    return f"https://example.org/{owner}/{slot}"


def vector_of(sequence: int) -> FloatVector:
    """The vector that an add of this number gives: float32 [dim], unit length."""
    drawn = np.random.default_rng(sequence).normal(size=DIM)
    return (drawn / np.linalg.norm(drawn)).astype(np.float32)


class Worker:
    """The clients of one process; sequence numbers of each life are above all earlier ones."""

    def __init__(self, index: ImageIndex, owner: str, life: int, known: dict[int, State]) -> None:
        self._index, self._owner, self._known = index, owner, known
        self._numbers = count(life * 1_000_000)
        self._rng = np.random.default_rng(life)

    async def fill(self) -> None:
        """Add images that stay as they are."""
        fillers = [
            NewImage(url_of(self._owner, -n), vector_of(-n % 2**32), {"filler": self._owner})
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
        while True:
            slot = number * SLOTS_EACH + int(self._rng.integers(SLOTS_EACH))
            kind = str(self._rng.choice(["upsert", "upsert", "patch", "delete"]))
            before, sequence = self._known.get(slot), next(self._numbers)
            after: State = None
            if kind == "upsert":
                after = {"owner": self._owner, "slot": slot, "sequence": sequence}
            elif kind == "patch" and before is not None:
                after = {**before, "patched": sequence}
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
            image = NewImage(url, vector_of(sequence), after)
            return (await self._index.upsert(image)).created is (before is None)
        if kind == "patch":
            patched = await self._index.patch(image_id(url), {"patched": sequence})
            return (None if patched is None else patched.metadata) == after
        return await self._index.delete([image_id(url)]) == (before is not None)


def say(line: dict[str, Any]) -> None:
    """One write of one line, which a kill cannot tear."""
    sys.stdout.write(json.dumps(line) + "\n")
    sys.stdout.flush()


async def main(folder: Path, owner: str, life: int) -> None:
    given = json.loads(sys.stdin.readline())
    known = {int(slot): state for slot, state in given["known"].items()}
    index = await ImageIndex.open(settings(folder), identity())
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
