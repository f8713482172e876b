"""Puts each fault of the table into a copy of the project, and tells which of them no test notices.

    uv run python -m tests.mutants                       # all: half an hour on two cores
    uv run python -m tests.mutants --only "redirect"     # those with this in their name
    uv run python -m tests.mutants --project ../before   # the same faults in another state of it
    uv run python -m tests.mutants --list

Where the tests of a fault fail, they are run without it as well. What is printed is to be compared
with an earlier run's: a fault that lives now and did not before has lost its test.
"""

import argparse
import itertools
import os
import shutil
import subprocess
import sys
import tempfile
import time
from collections.abc import Sequence
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from queue import SimpleQueue

from tests.mutants.table import MUTANTS, Mutant, Tree

PROJECT = Path(__file__).resolve().parents[2]
TIMEOUT_S = 600
KILLED, LIVES, FAILS, MISSING = "killed", "LIVES", "FAILS WITHOUT IT", "NOT FOUND"
_moments = itertools.count(int(time.time()))


class Copy(Tree):
    """A copy of a project in a folder of its own, with that project's interpreter."""

    def __init__(self, project: Path, folder: Path) -> None:
        super().__init__(folder)
        self._passing: dict[tuple[str, ...], bool] = {}
        own = project / ".venv" / "bin" / "python"
        self._python = str(own) if own.exists() else sys.executable
        names = subprocess.run(
            ["git", "ls-files", "-z", "--cached", "--others", "--exclude-standard"],
            cwd=project,
            check=True,
            capture_output=True,
            text=True,
        ).stdout.split("\0")
        for name in filter(None, names):
            if (project / name).is_file():
                (folder / name).parent.mkdir(parents=True, exist_ok=True)
                shutil.copy2(project / name, folder / name)

    def passes(self, tests: Sequence[str]) -> bool:
        """Whether these tests pass here; not where they do not end."""
        # Neither the copy's own options, such as that of processes side by side, nor the cache.
        options = ["-q", "-x", "-o", "addopts=", "-o", "timeout=120", "-p", "no:cacheprovider"]
        try:
            done = subprocess.run(
                [self._python, "-m", "pytest", *options, *tests],
                cwd=self.root,
                env={**os.environ, "PYTHONPATH": str(self.root)},
                check=False,
                capture_output=True,
                timeout=TIMEOUT_S,
            )
        except subprocess.TimeoutExpired:
            return False
        return done.returncode == 0

    def outcome(self, mutant: Mutant) -> str:
        """What becomes of a fault."""
        place, tests = self.place(mutant), self.tests(mutant)
        if place is None or not tests:
            return MISSING
        path, text = place
        whole = path.read_text()
        try:
            _write(path, text)
            if self.passes(tests):
                return LIVES
        finally:
            _write(path, whole)
        key = tuple(tests)
        if key not in self._passing:
            self._passing[key] = self.passes(tests)
        return KILLED if self._passing[key] else FAILS


def _write(path: Path, text: str) -> None:
    path.write_text(text)
    # Compiled modules are told apart by second and size: two faults can have both.
    moment = next(_moments)
    os.utime(path, (moment, moment))


def run(project: Path, mutants: Sequence[Mutant], jobs: int) -> dict[str, str]:
    """What becomes of each fault, by its name."""
    with tempfile.TemporaryDirectory() as folder:
        copies: SimpleQueue[Copy] = SimpleQueue()
        for number in range(jobs):
            copies.put(Copy(project, Path(folder) / str(number)))

        def tried(mutant: Mutant) -> str:
            copy = copies.get()
            try:
                outcome = copy.outcome(mutant)
            finally:
                copies.put(copy)
            print(f"{outcome:<17}{mutant.room:<13}{mutant.name}", flush=True)
            return outcome

        with ThreadPoolExecutor(jobs) as pool:
            outcomes = list(pool.map(tried, mutants))
    return {mutant.name: outcome for mutant, outcome in zip(mutants, outcomes, strict=True)}


def main() -> None:
    """Run, print the sums, and exit with 1 where a fault lives or could not be tried."""
    parser = argparse.ArgumentParser(description=(__doc__ or "").splitlines()[0])
    parser.add_argument("--project", type=Path, default=PROJECT, help="the project to try them in")
    parser.add_argument("--only", default="", help="a part of the names of those to try")
    parser.add_argument("--jobs", type=int, default=2, help="how many are tried at once")
    parser.add_argument("--list", action="store_true", help="name them, and what each changes")
    given = parser.parse_args()
    mutants = [each for each in MUTANTS if given.only in each.name or given.only == each.room]
    if given.list:
        for each in mutants:
            before, after = each.variants[0]
            print(f"{each.room}: {each.name}\n    {before!r}\n    {after!r}")
        return
    outcomes = list(run(given.project.resolve(), mutants, given.jobs).values())
    sums = {outcome: outcomes.count(outcome) for outcome in (KILLED, LIVES, FAILS, MISSING)}
    print(", ".join(f"{count} {outcome}" for outcome, count in sums.items() if count))
    sys.exit(0 if sums[KILLED] == len(outcomes) else 1)


if __name__ == "__main__":
    main()
