"""An import whose picture host goes down twice, and whose service is killed once.

    python -m tests.cli.outages --rows 10000

Two tables, one with ids of its own, are imported side by side. In the middle the host goes away and
comes back, the service is ended by SIGKILL and started again, and the host goes away once more. The
same calls again must complete: every good row is in the index once, with its metadata, and exactly
those that cannot succeed are named. Then half of these are mended, at the host or by hand in the
list of failures, and that list as the source must bring in exactly them.
"""

import argparse
import sys
import tempfile
import time
from collections import Counter
from pathlib import Path
from typing import Any

from demo.process import ServiceProcess
from demo.scenes.scenes import draw_scene
from demo.scenes.seeds import SHOW_SEEDS
from demo.server import as_jpeg
from image_search import Client
from tests.cli.outages.host import PictureHost
from tests.cli.outages.importing import Import, States
from tests.cli.outages.tables import (
    FAILING,
    MENDED_BY_HAND,
    MENDED_BY_HOST,
    PERIOD,
    Item,
    failures_in,
    items,
    mended,
    number_of,
    write_table,
)
from tests.running import environment

_PICTURES = 24
_OUTAGES = (0.15, 0.65)
_KILL = 0.4
"""When what happens, by the part of all rows that is done."""


class Check:
    """One run of everything.

    Attributes:
        wrong: what was not as it must be.
        report: what there was, for people.
    """

    def __init__(self, rows: int, folder: Path, host: PictureHost, service: ServiceProcess) -> None:
        self.wrong, self.report = list[str](), list[str]()
        self._rows, self._folder = rows, folder
        self._host, self._service = host, service
        urls = items(rows // 2, host.url, are_named=False)
        named = items(rows - rows // 2, host.url, are_named=True)
        self._tables = {folder / "urls.csv": urls, folder / "named.csv": named}
        self._all = [*urls, *named]
        self._states = States(list(self._tables))

    def run(self) -> None:
        """Import, import again, mend, and import the list of failures."""
        for table, rows in self._tables.items():
            write_table(table, rows)
        with Client(self._service.url) as client:
            first = client.add(self._all[0].url, {"size": 3})  # a column of integers
            client.delete(first.id)
        self._first()
        self._second()
        self._from_failures()

    def _first(self) -> None:
        running = self._import("first")
        try:
            self._outage(running, _OUTAGES[0])
            self._reach(running, _KILL)
            self._service.kill()
            waiting = "Waiting for the service"
            running.wait_until(lambda: running.said.count(waiting) >= running.unfinished)
            self._service.start()
            self._outage(running, _OUTAGES[1])
            ends = running.ended()
        finally:
            running.stop()
        self._tell("the first calls", ends)
        if [status for status, _ in ends] != [1, 1]:
            self.wrong.append(f"the first calls ended with {ends}: {running.said}")
        if not sum(numbers.get("may_pass", 0) for _, numbers in ends):
            self.wrong.append("the outages were not felt: nothing may pass")

    def _second(self) -> None:
        before = Counter(self._host.asked)
        left = {number_of(one) for path in self._failures("first") for one in failures_in(path)}
        ends = self._ended(self._import("second"))
        self._tell("the second calls", ends)
        if [status for status, _ in ends] != [1, 1]:
            self.wrong.append(f"the second calls ended with {ends}")
        again = self._host.asked - before
        needless = {one.path for one in self._all if one.number not in left} & again.keys()
        if needless:
            self.wrong.append(f"asked for again although it was done: {sorted(needless)[:5]}")
        self._compare_index({one for one in self._all if one.is_to_succeed})
        failing = {one for one in self._all if not one.is_to_succeed}
        self._compare_failures(self._failures("second"), failing)

    def _from_failures(self) -> None:
        failing = [one for one in self._all if not one.is_to_succeed]
        kinds = (*MENDED_BY_HOST, *MENDED_BY_HAND)
        put_right = {one for one in failing if one.kind in kinds and one.number // PERIOD % 2 == 0}
        self._host.mended = frozenset(one.path for one in put_right)
        by_number = {one.number: one for one in put_right}
        sources, words = self._failures("second"), []
        for path in sources:
            lines = list(mended(failures_in(path), by_number))
            path.write_text("".join(lines))
            words.append([str(path), "--failures", str(path.with_suffix(".rest"))])
        ends = self._ended(self._import_of(words, "third"))
        self._tell("the lists of failures", ends)
        if sum(numbers["indexed"] for _, numbers in ends) != len(put_right):
            self.wrong.append(f"not {len(put_right)} are mended: {ends}")
        self._compare_index({one for one in self._all if one.is_to_succeed} | put_right)
        rest = [path.with_suffix(".rest") for path in sources]
        self._compare_failures(rest, set(failing) - put_right)

    def _import(self, name: str) -> Import:
        return self._import_of(
            [
                [str(table), "--failures", str(failures)]
                + (["--id-column", "sku"] if table.stem == "named" else [])
                for table, failures in zip(self._tables, self._failures(name), strict=True)
            ],
            name,
        )

    def _import_of(self, words: list[list[str]], name: str) -> Import:
        return Import(words, self._service.url, self._folder / f"{name}.log")

    @staticmethod
    def _ended(running: Import) -> list[tuple[int, dict[str, Any]]]:
        try:
            return running.ended()
        finally:
            running.stop()

    def _failures(self, name: str) -> list[Path]:
        return [self._folder / f"{table.stem}.{name}" for table in self._tables]

    def _reach(self, running: Import, part: float) -> None:
        running.wait_until(lambda: self._states.count() >= part * self._rows)

    def _outage(self, running: Import, part: float) -> None:
        """Take the host away until a hundredth of all rows, but some at least, has felt it."""
        some = max(5, self._rows // 100)
        self._host.most = sum(one.is_asked_for for one in self._all) - 3 * some
        self._reach(running, part)
        felt = self._states.failed + some
        self._host.go_down()
        running.wait_until(lambda: self._states.failed >= felt)
        self._host.go_up()

    def _compare_index(self, expected: set[Item]) -> None:
        found = list[tuple[str, str, Any]]()
        with Client(self._service.url) as client:
            while page := client.list(limit=1000, offset=len(found)).images:
                found += [(image.id, image.url, image.metadata) for image in page]
        keys = Counter((id if id.startswith("sku-") else "", url) for id, url, _ in found)
        twice = [key for key, times in keys.items() if times > 1]
        there = {(id if id.startswith("sku-") else "", url): own for id, url, own in found}
        wanted = {(one.id, one.url): one.metadata for one in expected}
        other = [key for key in wanted.keys() & there.keys() if wanted[key] != there[key]]
        self.report.append(f"  {len(found):,} images, {len(wanted):,} expected")
        if twice or there.keys() != wanted.keys() or other:
            lost, extra = wanted.keys() - there.keys(), there.keys() - wanted.keys()
            self.wrong.append(
                f"twice {twice[:5]}, lost {list(lost)[:5]}, not expected {list(extra)[:5]},"
                f" with other metadata {[(there[key], wanted[key]) for key in other[:3]]}"
            )

    def _compare_failures(self, paths: list[Path], expected: set[Item]) -> None:
        listed = [one for path in paths for one in failures_in(path)]
        found = Counter((number_of(one), one["code"]) for one in listed)
        wanted = Counter((one.number, FAILING[one.kind]) for one in expected)
        self.report.append(f"  {len(listed):,} failures named, {len(expected):,} expected")
        if found != wanted:
            differ = [*(found - wanted), *(wanted - found)]
            self.wrong.append(f"the failures are listed otherwise: {differ[:10]}")

    def _tell(self, what: str, ends: list[tuple[int, dict[str, Any]]]) -> None:
        names = ("indexed", "done_before", "failed", "may_pass")
        sums = (f"{sum(own[name] for _, own in ends):,} {name}" for name in names)
        seconds = max(own["seconds"] for _, own in ends)
        statuses = [status for status, _ in ends]
        self.report.append(f"{what}: exit {statuses}, {', '.join(sums)}, {seconds:.0f} s")


def check(rows: int, folder: Path) -> Check:
    """Run everything with a service and a host of its own."""
    host = PictureHost([as_jpeg(draw_scene(seed).picture) for seed in SHOW_SEEDS[:_PICTURES]])
    settings = environment(folder, IMAGE_SEARCH_CONNECT_TIMEOUT_S="0.5")
    service = ServiceProcess(settings, folder / "log")
    host.go_up()
    try:
        service.start()
        done = Check(rows, folder, host, service)
        done.run()
        return done
    finally:
        service.kill()
        host.go_down()


def main() -> None:
    """Run, print what there was, and exit with 1 if something was wrong."""
    parser = argparse.ArgumentParser(description=(__doc__ or "").splitlines()[0])
    parser.add_argument("--rows", type=int, default=10_000)
    rows, began = parser.parse_args().rows, time.monotonic()
    with tempfile.TemporaryDirectory() as folder:
        done = check(rows, Path(folder))
    sys.stdout.write("\n".join([*done.report, f"{time.monotonic() - began:.0f} s in all\n"]))
    sys.exit("\n".join(done.wrong) or None)


if __name__ == "__main__":
    main()
