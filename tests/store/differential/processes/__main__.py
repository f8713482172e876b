"""Two processes write values of every type into few keys at once: the model explains every answer.

After each round the table is the model's, and every filter takes what a scan does::

    python -m tests.store.differential.processes --rounds 100
"""

import argparse
import asyncio
import json
import subprocess
import sys
import tempfile
from collections import Counter
from contextlib import ExitStack
from pathlib import Path
from random import Random
from typing import IO, Any

from store.changes.change import Change, LogQuery
from store.index import ImageIndex
from store.schemas import SearchQuery
from tests.store.differential.machine.machine import exact, outcome
from tests.store.differential.model.table import ModelTable
from tests.store.differential.model.values import as_json_value
from tests.store.differential.processes import writer
from tests.store.differential.processes.explained import Told, explain
from tests.store.differential.strategies import echo, filter_
from tests.store.support import opened

OWNERS = ("one", "two")
LABELS = {"list": "list of strings"}


def check(folder: Path, rounds: int, operations: int, seed: int) -> Counter[str]:
    """Lets two processes write so many rounds of so many operations each.

    Returns:
        How many operations of each kind there were, and how many of them were refused.

    Raises:
        AssertionError: an answer is not the model's.
    """
    with ExitStack() as running:
        writers = [
            running.enter_context(_writer(folder, owner, seed + n))
            for n, owner in enumerate(OWNERS)
        ]
        for each in writers:
            _answers(each)  # it has opened the table
        return asyncio.run(_rounds(folder, writers, rounds, operations, Random(seed)))


async def _rounds(
    folder: Path, writers: list["subprocess.Popen[str]"], rounds: int, operations: int, rng: Random
) -> Counter[str]:
    counts, model, known = Counter[str](), ModelTable(), set[str]()
    async with opened(folder) as index:
        for _ in range(rounds):
            for each in writers:
                _pipe(each.stdin).write(f"{operations}\n")
                _pipe(each.stdin).flush()
            told = [one for each in writers for one in _answers(each)]
            counts.update(one["do"] for one in told)
            counts["refused"] += sum("refused" in one for one in told)
            log = [one for one in await _log(index) if one.by.request_id not in known]
            known |= {str(one.by.request_id) for one in log}
            await _compare(index, explain(model, told, log), rng)
    return counts


def _writer(folder: Path, owner: str, seed: int) -> "subprocess.Popen[str]":
    command = [sys.executable, "-m", writer.__name__, str(folder), owner, str(seed)]
    return subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True)


def _answers(process: "subprocess.Popen[str]") -> list[Told]:
    told: list[Told] = []
    while (line := _pipe(process.stdout).readline()) != "\n":
        assert line, f"a writer has ended with {process.wait()}"
        told.append(json.loads(line))
    return told


def _pipe(pipe: IO[str] | None) -> IO[str]:
    assert pipe is not None
    return pipe


async def _log(index: ImageIndex) -> list[Change]:
    """What the processes have changed, oldest first."""
    changes, _ = await index.changes(LogQuery(limit=1_000_000))
    return [change for change in reversed(changes) if change.by.request_id is not None]


async def _compare(index: ImageIndex, model: ModelTable, rng: Random) -> None:
    """The table is the model's, and so is what filters take."""
    images = (await index.images(1000)).images
    assert [each.id for each in images] == model.matching({})
    for each in images:
        assert exact(each.metadata) == exact(model.metadata(each.id)), each
    types = {key: LABELS.get(kind, kind) for key, kind in model.columns.items()}
    assert (await index.state()).columns == types
    rows = [row.values for row in model.rows.values() if row.values]
    stored = [{key: as_json_value(v) for key, v in row.items()} for row in rows]
    nodes = [filter_(rng, list(writer.MIXED)) for _ in range(20)]
    nodes += [echo(rng, rng.choice(stored)) for _ in range(20 if stored else 0)]
    for node in nodes:
        found = await _found(index, node)
        wanted = outcome(lambda node=node: model.matching(node))  # type: ignore[misc]
        assert found == wanted, f"{node}: {found}, the model: {wanted}"


async def _found(index: ImageIndex, node: Any) -> Any:
    try:
        return [hit.id for hit in await index.search(SearchQuery(filter=node, limit=1000))]
    except Exception as error:
        return type(error)


def main() -> None:
    parser = argparse.ArgumentParser(description=(__doc__ or "").splitlines()[0])
    parser.add_argument("--rounds", type=int, default=100)
    parser.add_argument("--operations", type=int, default=40, help="of each process in a round")
    parser.add_argument("--rounds-each", type=int, default=25, help="with one table")
    parser.add_argument("--seed", type=int, default=0)
    wanted, counts = parser.parse_args(), Counter[str]()
    for turn in range(0, wanted.rounds, wanted.rounds_each):
        with tempfile.TemporaryDirectory() as folder:
            rounds = min(wanted.rounds_each, wanted.rounds - turn)
            counts += check(Path(folder), rounds, wanted.operations, wanted.seed + 2 * turn)
    print(f"{dict(counts)}, all explained")  # noqa: T201 - a command's answer


if __name__ == "__main__":
    main()
