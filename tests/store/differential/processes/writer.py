"""A process that writes random values of every type into few keys, and says what was answered.

Each line that it reads is a number of operations to do, several at once; it answers a line for each
and an empty one at the end.
"""

import asyncio
import json
import sys
import time
from itertools import count
from pathlib import Path
from random import Random
from typing import Any

from store.errors import StoreError, StoreFault
from store.index import ImageIndex
from store.schemas import Author, NewImage, image_id
from tests.store.differential.machine.writes import TYPES
from tests.store.differential.strategies import any_value, nested, sent
from tests.store.support import opened, url_of, vector

CLIENTS = 4
ROWS = 12
MIXED = ["_rowid", "gps.lat", "gps.at", "\u202ertl", "s'hop\"`"]


def operation(rng: Random) -> dict[str, Any]:
    """A random operation, as JSON says it."""
    drawn, row = rng.random(), rng.randrange(ROWS)
    if drawn < 0.03:
        return {"do": "drop", "key": rng.choice(MIXED)}
    if drawn < 0.06:
        return {"do": "declare", "key": rng.choice(MIXED), "type": rng.choice(list(TYPES))}
    if drawn < 0.12:
        return {"do": "delete", "row": row}
    keys = rng.sample(MIXED, rng.randint(1, 2))
    values = {key: any_value(rng) if rng.random() < 0.2 else sent(rng, key) for key in keys}
    kind = "patch" if drawn < 0.4 else "upsert"
    return {"do": kind, "row": row, "metadata": nested(rng, values)}


async def do(index: ImageIndex, told: dict[str, Any], by: Author) -> Any:
    """Does an operation; answers in the way of the model."""
    match told["do"]:
        case "drop":
            return await index.drop_column(told["key"], by)
        case "declare":
            return await index.declare_column(told["key"], TYPES[told["type"]], by)
        case "delete":
            return await index.delete([image_id(url_of(told["row"]))], by)
        case "patch":
            image = await index.patch(image_id(url_of(told["row"])), told["metadata"], by)
            return None if image is None else {"metadata": image.metadata}
    return (await index.upsert(image_of(told), by)).created


def image_of(told: dict[str, Any]) -> NewImage:
    """The image of an upsert."""
    return NewImage(url_of(told["row"]), vector(told["row"]), told["metadata"])


async def client(index: ImageIndex, rng: Random, numbers: "count[int]", owner: str, n: int) -> None:
    """Does so many operations, one after the other."""
    for _ in range(n):
        told = operation(rng) | {"id": f"{owner}-{next(numbers)}", "began": time.time()}
        try:
            told["answer"] = await do(index, told, Author(owner, request_id=told["id"]))
        except StoreFault:
            raise
        except StoreError as error:
            told["refused"] = type(error).__name__
        say(json.dumps(told | {"ended": time.time()}))


def say(line: str) -> None:
    sys.stdout.write(line + "\n")
    sys.stdout.flush()


async def main(folder: Path, owner: str, seed: int) -> None:
    rng, numbers = Random(seed), count()
    async with opened(folder, store_upkeep_every=7) as index:
        say("")
        while line := await asyncio.to_thread(sys.stdin.readline):
            each = int(line) // CLIENTS
            await asyncio.gather(
                *(client(index, Random(rng.random()), numbers, owner, each) for _ in range(CLIENTS))
            )
            say("")


if __name__ == "__main__":
    asyncio.run(main(Path(sys.argv[1]), sys.argv[2], int(sys.argv[3])))
