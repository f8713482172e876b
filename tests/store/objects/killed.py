"""Are images and their objects whole when their writer is killed with kill -9 at the worst points?

Between the two writes of an add, in sweeps, restores and upkeep. After each kill the table must
hold what was acknowledged last, or what the operation under way makes of it; every image has all
its objects with their vectors, no hit names an object that its image lacks, and a sweep leaves no
object that no version names::

    python -m tests.store.objects.killed --kills 300
"""

import argparse
import signal
import tempfile
import time
from collections import Counter
from collections.abc import Callable
from functools import partial
from pathlib import Path
from typing import Any

import lance  # noqa: F401 - before the forks
import lancedb  # noqa: F401

from tests.store.objects.killed_writer import (
    POINTS,
    look,
    names_of,
    run_in_fork,
    write_until_killed,
)
from tests.store.support import vector

KILLS_PER_TABLE = 25
"""Then a new one is begun, so that its making is hit as well."""

State = dict[int, tuple[int, int]]
"""Of each image that there is: its own number, and that of its objects."""


class NotWholeError(AssertionError):
    """Something was lost, doubled or left over."""


class Expected:
    """What one table holds, as far as its writers said."""

    def __init__(self) -> None:
        self.known: State = {}
        self.doubtful: State | None = None
        self.versions: dict[int, State] = {}
        self.acknowledged = 0

    def hear(self, line: dict[str, Any]) -> None:
        """Takes in what a writer says before and after an operation."""
        if "wrong" in line:
            raise NotWholeError(line["wrong"])
        if "do" in line:
            self.doubtful = self._after(**line)
        else:
            assert self.doubtful is not None
            self.known, self.doubtful = self.doubtful, None
            self.versions[line["done"]] = self.known
            self.acknowledged += 1

    def _after(self, do: str, slot: int, number: int, version: int) -> State:
        before = self.known.get(slot)
        if do == "add":
            return {**self.known, slot: (number, number)}
        if do == "restore":
            return self.versions[version]
        if before is None or do == "upkeep":
            return self.known
        if do == "delete":
            return {each: held for each, held in self.known.items() if each != slot}
        return {**self.known, slot: (before[0], number) if do == "look" else (number, before[1])}

    def compare(self, lines: list[dict[str, Any]]) -> str:
        """Compares with what a look has told; which of the two states it is.

        Raises:
            NotWholeError: neither.
        """
        for line in lines:
            if "wrong" in line:
                raise NotWholeError(line["wrong"])
        told = {line["image"]: line for line in lines if "image" in line}
        last = lines[-1]
        numbers = {int(slot): held for slot, held in last["state"].items() if held is not None}
        for name, state in (("come through", self.doubtful), ("not", self.known)):
            if state is not None and _is(state, numbers, told):
                self.known, self.doubtful = state, None
                self.versions[last["version"]] = state
                return name
        raise NotWholeError(f"{numbers}, but known is {self.known}, or {self.doubtful}")


def _is(state: State, numbers: dict[int, Any], told: dict[int, dict[str, Any]]) -> bool:
    if state.keys() != numbers.keys():
        return False
    return all(
        numbers[slot] == [own, len(names_of(of))]
        and told[slot]["first"] == (vector(1000 * of).tolist() if names_of(of) else [])
        for slot, (own, of) in state.items()
    )


def check(kills: int, seed: int, say: Callable[[str], None]) -> Counter[str]:
    """Kills so many writers; tells how many at each point.

    Raises:
        NotWholeError: an image or an object is not as it must be.
    """
    counts: Counter[str] = Counter()
    while counts["kills"] < kills:
        with tempfile.TemporaryDirectory() as name:
            most = min(KILLS_PER_TABLE, kills - counts["kills"])
            _one_table(Path(name), most, seed, counts)
        say(f"{counts['kills']} kills, {counts['acknowledged']} operations acknowledged")
    return counts


def _one_table(folder: Path, kills: int, seed: int, counts: Counter[str]) -> None:
    expected, points = Expected(), list(POINTS)
    for _ in range(kills):
        point = points[counts["kills"] % len(points)]
        own = seed * 1_000_000 + counts["kills"]
        lines, status = run_in_fork(
            partial(write_until_killed, folder, point, own, set(expected.versions))
        )
        for line in lines:
            expected.hear(line)
        if status != -signal.SIGKILL:
            raise NotWholeError(f"a writer ended by itself: {status}")
        looked, status = run_in_fork(partial(look, folder))
        counts[f"the last operation had {expected.compare(looked)}"] += 1
        counts["kills"] += 1
        counts[f"killed {point}"] += 1
    counts["acknowledged"] += expected.acknowledged


def _told(line: str) -> None:
    print(line, flush=True)  # noqa: T201 - a command's answer


def main() -> None:
    parser = argparse.ArgumentParser(description=(__doc__ or "").splitlines()[0])
    parser.add_argument("--kills", type=int, default=300)
    parser.add_argument("--seed", type=int, default=int(time.time()) % 1_000_000)
    given = parser.parse_args()
    print(f"seed {given.seed}", flush=True)  # noqa: T201 - a command's answer
    began = time.monotonic()
    for name, count in sorted(check(given.kills, given.seed, _told).items()):
        print(f"{count:8} {name}")  # noqa: T201
    print(f"{given.kills} kills in {time.monotonic() - began:.0f} s, nothing lost or left over")  # noqa: T201


if __name__ == "__main__":
    main()
