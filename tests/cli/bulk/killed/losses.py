"""`image-search bulk` on two nodes, and its losses: a worker, a node, the command itself."""

import json
import os
import random
import subprocess
import time
from collections import Counter
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

import psutil

from cli.bulk.plan import State
from demo.process import PROJECT
from tests.cli.bulk.killed.nodes import Nodes
from tests.cli.interrupted import command

GIVE_UP_S = 1800.0
"""Of one step of the whole; nothing that goes on takes so long."""
_OFTEN_AT_WORK = 0.8
"""Share of the kills for which it is waited until it embeds; the others meet it as it begins."""
_WAIT_S = 4.0


class BulkRun:
    """The command, begun anew where it was killed.

    Args:
        words: of it, after `bulk`.
        settings: its variables.
        log: file for what it says.

    Attributes:
        lost: workers that were lost, by what was killed.
    """

    def __init__(self, words: Sequence[str], settings: dict[str, str], log: Path) -> None:
        self.lost: Counter[str] = Counter()
        self.log = log
        self._words, self._settings = command("bulk", *words, "--json"), settings
        self._process: subprocess.Popen[str] | None = None

    def start(self) -> None:
        """Call it."""
        with self.log.open("a") as log:
            self._process = subprocess.Popen(
                self._words,
                env={**os.environ, **self._settings},
                cwd=PROJECT,
                stdout=subprocess.PIPE,
                stderr=log,
                text=True,
            )

    def kill(self) -> None:
        """SIGKILL; it is gone when this returns."""
        if self._process is not None:
            self._process.kill()
            self._process.communicate()

    def ended(self) -> tuple[int, dict[str, Any]]:
        """Its exit status and numbers, once it has ended."""
        assert self._process is not None
        said = self._process.communicate(timeout=GIVE_UP_S)[0]
        try:
            return self._process.returncode, json.loads(said or "{}")
        except ValueError:
            raise AssertionError(f"it printed no JSON alone: {said!r}") from None

    @property
    def is_over(self) -> bool:
        """Whether it has ended."""
        return self._process is None or self._process.poll() is not None

    def wait_until(self, reached: Callable[[], bool]) -> bool:
        """Wait for something; False where it ended before."""
        end = time.monotonic() + GIVE_UP_S
        while not reached():
            if self.is_over:
                return False
            if time.monotonic() > end:
                raise AssertionError(f"it never came so far: {self.log.read_text()}")
            time.sleep(0.05)
        return True


def lose(run: BulkRun, nodes: Nodes, state: State, kills: int, seed: int) -> Counter[str]:
    """Kill so many workers, nodes and commands in turn, at random moments; how many there were."""
    drawn, done = random.Random(seed), Counter[str]()
    ways = {"worker": _lose_worker, "node": _lose_node, "command": _lose_command}
    kinds: list[str] = []
    while done.total() < kills and not run.is_over:
        kinds = kinds or drawn.sample(list(ways), len(ways))
        if drawn.random() < _OFTEN_AT_WORK:
            _wait_for_work(run, nodes, state, kinds[-1])
        time.sleep(drawn.uniform(0, _WAIT_S))
        if run.is_over:
            break
        kind = kinds.pop()
        run.lost[kind] += ways[kind](run, nodes, drawn)
        done[kind] += 1
    return done


def _wait_for_work(run: BulkRun, nodes: Nodes, state: State, kind: str) -> None:
    """Wait until a shard more is staged, and a worker is on the node that is to be lost."""
    before = len(state.having("staged"))
    run.wait_until(lambda: len(state.having("staged")) > before)
    if kind == "node":
        run.wait_until(lambda: nodes.other_works)


def _lose_worker(_run: BulkRun, nodes: Nodes, drawn: random.Random) -> int:
    workers = nodes.workers()
    if not workers:
        return 0
    one = drawn.choice(workers)
    one.kill()
    psutil.wait_procs([one], 60)
    return 1


def _lose_node(_run: BulkRun, nodes: Nodes, drawn: random.Random) -> int:
    had = nodes.kill_other()
    time.sleep(drawn.uniform(0, _WAIT_S))
    nodes.start_other()
    return had


def _lose_command(run: BulkRun, nodes: Nodes, drawn: random.Random) -> int:
    workers = len(nodes.workers())
    run.kill()
    time.sleep(drawn.uniform(0, _WAIT_S))
    run.start()
    return workers
