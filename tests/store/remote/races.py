"""Races of several writers for one table, and what must be true after each.

`python -m tests.store.remote.races --rounds 1000` has them run by processes of their own, two to
four in each round, some with upkeep at the same time; with `--s3 ceph` at Ceph's gateway.
"""

import argparse
import asyncio
import json
import os
import random
import sys
import time
from collections import Counter
from collections.abc import AsyncIterator, Awaitable, Callable, Sequence
from contextlib import AsyncExitStack, asynccontextmanager
from dataclasses import asdict, replace
from typing import Any, Protocol

from store.index import ImageIndex
from store.settings import StoreSettings
from tests.store.remote.server import BUCKET
from tests.store.remote.stores import STORES
from tests.store.support import IDENTITY, image

URI = f"s3://{BUCKET}/index"
A_TABLE = 50
"""Races for one table, before the next: moto looks through all keys of a bucket for each list."""

WITH_UPKEEP = 7
"""Of so many races one goes with a round of upkeep."""

Operation = dict[str, Any]


class Writer(Protocol):
    """Something that writes to the table by itself: an open index, or a process that has one."""

    async def do(self, operation: Operation) -> Any:
        """Does an operation; its answer, as JSON has it."""


class OpenWriter:
    """An open index."""

    def __init__(self, index: ImageIndex) -> None:
        self._index = index

    async def do(self, operation: Operation) -> Any:
        """Does an operation."""
        index = self._index
        match operation["do"]:
            case "add":
                new = image(operation["n"], operation.get("metadata"))
                new = replace(
                    new,
                    own_id=operation.get("id"),
                    pixels=operation.get("pixels"),
                    skip_duplicate=bool(operation.get("skip")),
                )
                return asdict(await index.upsert(new))
            case "patch":
                patched = await index.patch(operation["id"], operation["metadata"])
                return None if patched is None else patched.metadata
            case "delete":
                return await index.delete([operation["id"]])
            case "get":
                found = await index.get(operation["id"])
                return None if found is None else {"metadata": found.metadata}
            case "count":
                return await index.count(operation.get("filter"))
            case "upkeep":
                report = await index.run_upkeep()
                return None if report is None else report.result


class ProcessWriter:
    """A process with an open index."""

    def __init__(self, process: asyncio.subprocess.Process) -> None:
        self._process = process

    def kill(self) -> None:
        """Ends the process, whatever it does, as `kill -9` does."""
        self._process.kill()

    async def do(self, operation: Operation) -> Any:
        """Does an operation."""
        assert self._process.stdin is not None
        assert self._process.stdout is not None
        self._process.stdin.write(json.dumps(operation).encode() + b"\n")
        line = await self._process.stdout.readline()
        if not line:
            raise ConnectionResetError("the writer's process has ended")
        answer = json.loads(line)
        if isinstance(answer, dict) and "error" in answer:
            raise RuntimeError(answer["error"])
        return answer


async def at_once(*doing: Awaitable[Any]) -> list[Any]:
    """What all of these answer, once all have ended.

    Raises:
        BaseException: the first error of one.
    """
    ended = await asyncio.gather(*doing, return_exceptions=True)
    for each in ended:
        if isinstance(each, BaseException):
            raise each
    return ended


@asynccontextmanager
async def in_process() -> AsyncIterator[ProcessWriter]:
    """A writer in a process of its own, which finds the server by its environment."""
    process = await asyncio.create_subprocess_exec(
        *(sys.executable, "-m", "tests.store.remote.races", "--writer"),
        stdin=asyncio.subprocess.PIPE,
        stdout=asyncio.subprocess.PIPE,
    )
    try:
        yield ProcessWriter(process)
    finally:
        if process.returncode is None:
            process.kill()
        await process.wait()


async def patches(number: int, writers: Sequence[Writer]) -> list[str]:
    """Each writer gives one image another key: all are there, and each was told of its own."""
    own = f"patched-{number}"
    await writers[0].do({"do": "add", "n": number, "id": own, "metadata": {"k": "v"}})
    keys = [f"k{at}" for at in range(len(writers))]
    told = await at_once(
        *(
            writer.do({"do": "patch", "id": own, "metadata": {key: number}})
            for writer, key in zip(writers, keys, strict=True)
        )
    )
    faults = [
        f"patch told {answer}"
        for key, answer in zip(keys, told, strict=True)
        if (answer or {}).get(key) != number
    ]
    found = await writers[-1].do({"do": "get", "id": own})
    there = (found or {}).get("metadata") or {}
    return faults + [f"patch lost: {key}" for key in keys if there.get(key) != number]


async def twins(number: int, writers: Sequence[Writer]) -> list[str]:
    """Each writer adds the same picture from another url: one is there, the others know of it."""
    pixels = f"{number:064x}"
    adds = [
        {"do": "add", "n": 0, "id": f"twin-{number}-{at}", "pixels": pixels, "skip": True}
        for at in range(len(writers))
    ]
    told = await at_once(*(writer.do(add) for writer, add in zip(writers, adds, strict=True)))
    created = [each["id"] for each in told if each["created"]]
    skipped = [each["duplicate_of"] for each in told if each["skipped"]]
    there = [
        add["id"]
        for add in adds
        if await writers[-1].do({"do": "get", "id": add["id"]}) is not None
    ]
    faults = [f"twins doubled: {there}"] if len(there) != 1 else []
    if created != there or set(skipped) - set(there):
        faults.append(f"twins told wrong: {told}, there are {there}")
    return faults


async def upserts(number: int, writers: Sequence[Writer]) -> list[str]:
    """Each writer adds the same id: there is one row, and one was told that it made it."""
    own, before = f"added-{number}", await writers[0].do({"do": "count"})
    told = await at_once(
        *(
            writer.do({"do": "add", "n": at, "id": own, "metadata": {"by": str(at)}})
            for at, writer in enumerate(writers)
        )
    )
    after = await writers[-1].do({"do": "count"})
    created = sum(each["created"] for each in told)
    faults = [f"upserts told created {created} times"] if created != 1 else []
    return faults + ([f"upserts doubled: {after - before} rows"] if after != before + 1 else [])


async def deletes(number: int, writers: Sequence[Writer]) -> list[str]:
    """Each writer deletes one image: it is gone, and one was told that it did that."""
    own = f"deleted-{number}"
    await writers[0].do({"do": "add", "n": number, "id": own})
    told = await at_once(*(writer.do({"do": "delete", "id": own}) for writer in writers))
    found = await writers[-1].do({"do": "get", "id": own})
    faults = [f"delete told {told}"] if sum(told) != 1 else []
    return faults + ([] if found is None else ["delete lost"])


async def strangers(number: int, writers: Sequence[Writer]) -> list[str]:
    """Each writer adds images of its own, one after the other: all of them are there."""

    async def add(at: int, writer: Writer) -> None:
        for each in range(3):
            await writer.do({"do": "add", "n": each, "id": f"own-{number}-{at}-{each}"})

    before = await writers[0].do({"do": "count"})
    await at_once(*(add(at, writer) for at, writer in enumerate(writers)))
    after, new = await writers[-1].do({"do": "count"}), 3 * len(writers)
    return [] if after == before + new else [f"adds: {after - before} rows in place of {new}"]


Race = Callable[[int, Sequence[Writer]], Awaitable[list[str]]]
RACES: tuple[Race, ...] = (patches, twins, upserts, deletes, strangers)


async def race(number: int, writers: Sequence[Writer], upkeep: Writer | None) -> list[str]:
    """One race, the kind of which its number says; with upkeep at the same time if asked for."""
    kind = RACES[number % len(RACES)]
    if upkeep is None:
        return await kind(number, writers)
    faults, result = await at_once(kind(number, writers), upkeep.do({"do": "upkeep"}))
    told: list[str] = faults
    return told + ([] if result in ("ok", None) else [f"upkeep: {result}"])


async def _write() -> None:
    """What a writer's process does: an operation a line, some of them to open another table."""
    loop, index = asyncio.get_running_loop(), None
    while line := await loop.run_in_executor(None, sys.stdin.readline):
        operation = json.loads(line)
        answer: Any = True
        try:
            if operation["do"] == "open":
                if index is not None:
                    await index.close()
                index = await ImageIndex.open(StoreSettings(store_uri=operation["uri"]), IDENTITY)
            else:
                assert index is not None
                answer = await OpenWriter(index).do(operation)
        except Exception as error:
            code, detail = getattr(error, "code", ""), getattr(error, "detail", "")
            answer = {"error": f"{code} {error!r} {detail}"}
        print(json.dumps(answer), flush=True)


async def _run(rounds: int, seed: int) -> int:
    drawn, faults = random.Random(seed), Counter[str]()
    began = time.monotonic()
    async with AsyncExitStack() as stack:
        writers = [await stack.enter_async_context(in_process()) for _ in range(5)]
        for number in range(rounds):
            if number % A_TABLE == 0:
                new = {"do": "open", "uri": f"{URI}-{number}"}
                await at_once(*(each.do(new) for each in writers))
            some = drawn.sample(writers[:4], drawn.randint(2, 4))
            upkeep = writers[4] if number % WITH_UPKEEP == 0 else None
            try:
                found = await race(number, some, upkeep)
            except Exception as error:
                found = [f"no answer: {error!r}"]
            for fault in found:
                faults[fault.partition(" ")[0]] += 1
                print(f"{number} {fault}", flush=True)
            if number % A_TABLE == A_TABLE - 1:
                took = time.monotonic() - began
                print(f"{number + 1} races, {took:.0f} s, faults: {dict(faults)}", flush=True)
    print(f"{rounds} races of 2 to 4 processes: {sum(faults.values())} faults {dict(faults)}")
    return 1 if faults else 0


def main() -> int:
    """The slow command."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--rounds", type=int, default=1000)
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--s3", choices=STORES, default="moto", help="the object store")
    parser.add_argument("--writer", action="store_true", help="be one of the processes")
    options = parser.parse_args()
    if options.writer:
        asyncio.run(_write())
        return 0
    with STORES[options.s3]() as server:
        os.environ.update(server.environment)
        return asyncio.run(_run(options.rounds, options.seed))


if __name__ == "__main__":
    sys.exit(main())
