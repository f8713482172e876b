"""Random operations on a real table and on a plain model of it, with equal answers throughout.

Two handles work on one folder, each read goes through either. For a longer run than the tests', and
one in an object store (moto's, in a process of its own, or Ceph's)::

    python -m tests.store.differential --operations 20000
    python -m tests.store.differential --operations 5000 --s3 moto
"""

import argparse
import os
import time
from collections import Counter
from collections.abc import Callable, Iterator
from contextlib import ExitStack, contextmanager
from typing import Any
from unittest.mock import patch

from hypothesis import HealthCheck, Phase, settings
from hypothesis.stateful import run_state_machine_as_test

from store.search.lists import newest, spans
from store.snapshot import snapshot
from store.upkeep import indexes
from tests.store.differential.machine.lists import Lists
from tests.store.differential.machine.machine import bucket, counts
from tests.store.differential.machine.objects import Looks
from tests.store.differential.machine.reads import Reads
from tests.store.differential.machine.writes import Writes
from tests.store.remote.server import BUCKET
from tests.store.remote.stores import STORES

ROWS_WITH_INDEXES = 8
"""From so many on upkeep makes indexes, by which filters go then."""

MACHINES = 20
"""Each on a table of its own, between two looks at how many operations there were: a step is
several operations, and how many is not known before."""


class Differential(Writes, Reads, Lists, Looks):
    """All the rules."""


def check(
    operations: int,
    steps: int,
    *,
    machines: int = MACHINES,
    shrink: bool = False,
    told: Callable[[Counter[str]], Any] = lambda _: None,
) -> Counter[str]:
    """Runs machines of so many steps until there were enough operations.

    Args:
        operations: how many at least.
        steps: of each machine, on a table of its own.
        machines: before it is counted whether there were enough.
        shrink: look for fewer steps that fail as well, which takes minutes.
        told: is told now and then how many there were of each.

    Returns:
        How many there were of each.

    Raises:
        AssertionError: an answer of the table was not the model's.
    """
    counts.clear()
    few = settings(
        max_examples=machines,
        stateful_step_count=steps,
        deadline=None,
        database=None,
        derandomize=False,  # each turn of the loop is to do something else
        phases=[Phase.generate, *([Phase.shrink] if shrink else [])],
        suppress_health_check=list(HealthCheck),
    )
    with _small_is_large():
        while counts.total() < operations:
            run_state_machine_as_test(Differential, settings=few)
            told(counts)
    return counts


@contextmanager
def _small_is_large() -> Iterator[None]:
    """A few rows go the ways of many: with indexes, and lists by spans that are often missed."""
    with (
        patch.object(indexes, "MIN_ROWS", ROWS_WITH_INDEXES),
        patch.object(spans, "MIN_ROWS", ROWS_WITH_INDEXES),
        patch.multiple(spans, FEW_ROWS=0, MOST=1.0, STEP=1, MARGIN=0, DEVIATIONS=0),
        patch.object(newest, "MIN_ROWS", ROWS_WITH_INDEXES),
        patch.object(snapshot, "SAMPLE_VALUES", ROWS_WITH_INDEXES),
    ):
        yield


def main() -> None:
    parser = argparse.ArgumentParser(description=(__doc__ or "").splitlines()[0])
    parser.add_argument("--operations", type=int, default=20_000)
    parser.add_argument("--steps", type=int, default=60, help="operations on one table")
    parser.add_argument("--shrink", action="store_true", help="look for a shorter failure")
    parser.add_argument("--s3", choices=STORES, help="tables in an object store")
    wanted = parser.parse_args()
    with ExitStack() as while_running:
        if wanted.s3:
            server = while_running.enter_context(STORES[wanted.s3]())
            os.environ.update(server.environment)
            bucket.append(f"s3://{BUCKET}")
        _run(wanted)


def _run(wanted: argparse.Namespace) -> None:
    began = time.monotonic()

    def told(counts: Counter[str]) -> None:
        print(f"{counts.total():8} after {time.monotonic() - began:.0f} s", flush=True)  # noqa: T201

    done = check(wanted.operations, wanted.steps, shrink=wanted.shrink, told=told)
    for name, count in done.most_common():
        print(f"{count:8} {name}")  # noqa: T201 - a command's answer
    seconds = time.monotonic() - began
    print(f"{done.total():8} operations in {seconds:.0f} s, all answers equal")  # noqa: T201


if __name__ == "__main__":
    main()
