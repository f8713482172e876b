"""A bulk run on two nodes whose workers, node and command are killed, beside a service that writes.

    uv run --extra bulk python -m tests.cli.bulk.killed --rows 20000

A user adds, patches, deletes and searches at the service meanwhile, also what the run brings. In
the end there must be one image for each URL, with its row's metadata or as the user left it; every
row that failed must be named, once; at most one shard may have been begun again for each worker
that was lost; and the same command once more must change nothing, and fetch nothing.
"""

import argparse
import json
import sys
import tempfile
import time
from collections import Counter, defaultdict
from pathlib import Path
from typing import Any

from cli.bulk.plan import State
from demo.process import ServiceProcess
from demo.scenes.scenes import draw_scene
from demo.scenes.seeds import SHOW_SEEDS
from demo.server import as_jpeg
from image_search import Client
from tests.cli.bulk.killed.losses import BulkRun, lose
from tests.cli.bulk.killed.nodes import Nodes
from tests.cli.bulk.killed.user import Metadata, User
from tests.cli.outages.host import PictureHost
from tests.cli.outages.tables import FAILING, failures_in, items, number_of, write_table
from tests.running import environment

_PICTURES = 24
Images = dict[str, list[tuple[Metadata, str]]]
"""Metadata and dates of the images by url."""


class Check:
    """One run of everything.

    Attributes:
        wrong: what was not as it must be.
    """

    def __init__(self, given: argparse.Namespace, folder: Path, host: PictureHost) -> None:
        self.wrong = list[str]()
        self._given, self._folder, self._host = given, folder, host
        self._items = items(given.rows, host.url, are_named=False)
        self._good = [one for one in self._items if one.kind == "good"]

    def run(self, service: ServiceProcess, nodes: Nodes, settings: dict[str, str]) -> None:
        """Embed and commit all rows through the losses, and compare; then once more."""
        with Client(service.url) as client:
            first = client.add(self._good[0].url, {"size": 3})  # a column of integers
            client.delete(first.id)
        self._host.asked.clear()
        write_table(self._folder / "rows.csv", self._items)
        bulk = self._bulk(nodes, settings)
        user = User(service.url, self._good)
        try:
            numbers = self._through(bulk, nodes, user)
        finally:
            user.end()
            bulk.kill()
        images = self._images(service)
        self._compare_images(images, user)
        self._compare_failures()
        self._compare_losses(bulk, user)
        self._once_more(bulk, numbers)
        if self._images(service) != images:
            self.wrong.append("the second run changed the index")

    def _bulk(self, nodes: Nodes, settings: dict[str, str]) -> BulkRun:
        words = [str(self._folder / "rows.csv"), "--ray", nodes.address]
        words += ["--state", str(self._state), "--failures", str(self._folder / "failures")]
        # The second node may have joined by now, or not.
        words += ["--shard-rows", str(self._given.shard_rows), "--workers", "2"]
        return BulkRun(words, {**settings, **nodes.variables}, self._folder / "bulk.log")

    @property
    def _state(self) -> Path:
        return self._folder / "state"

    def _through(self, bulk: BulkRun, nodes: Nodes, user: User) -> dict[str, Any]:
        began = time.monotonic()
        bulk.start()
        bulk.wait_until((self._state / "plan.json").exists)
        user.begin()
        done = lose(bulk, nodes, State(self._state), self._given.kills, self._given.seed)
        status, numbers = bulk.ended()
        took = time.monotonic() - began
        self._tell(f"{len(self._items):,} rows in {took:.0f} s; the last call: {numbers}")
        self._tell(f"killed: {dict(done)}; workers lost by it: {dict(bulk.lost)}")
        if done.total() < self._given.kills:
            self.wrong.append("the run ended before all kills: give more rows")
        if status != 1:
            self.wrong.append(f"it ended with {status}: {bulk.log.read_text()[-2000:]}")
        return numbers

    def _images(self, service: ServiceProcess) -> Images:
        found, count = Images(), 0
        with Client(service.url) as client:
            while page := client.list(limit=1000, offset=count).images:
                count += len(page)
                for image in page:
                    own = (image.metadata, str(image.created_at))
                    found.setdefault(image.url, []).append(own)  # type: ignore[arg-type]
        return found

    def _compare_images(self, images: Images, user: User) -> None:
        expected = {one.number: one for one in self._items if one.is_to_succeed}
        twice = [url for url, found in images.items() if len(found) > 1]
        lost, other = list[Any](), list[Any]()
        for number, item in expected.items():
            state = user.states.get(number, item.metadata)
            [(found, _), *_] = images.get(item.url, [(None, "")])
            if found != state and number not in user.doubtful:
                (lost if found is None else other).append((item.url, found, state))
        self._tell(f"the user was answered {dict(user.answers)}; {len(user.states):,} images hers")
        too_much = images.keys() - {one.url for one in expected.values()}
        if twice or lost or other or too_much:
            self.wrong.append(
                f"twice {twice[:5]}, {len(lost)} lost {lost[:5]}, {len(other)} otherwise"
                f" {other[:5]}, {len(too_much)} too much {list(too_much)[:5]}"
            )
        self.wrong += [each for each in user.answers if each.startswith("failed")]

    def _compare_failures(self) -> None:
        listed = failures_in(self._folder / "failures")
        found = Counter((number_of(one), one["code"]) for one in listed)
        expected = Counter(
            (one.number, FAILING[one.kind]) for one in self._items if not one.is_to_succeed
        )
        self._tell(f"{len(listed):,} failures named, {expected.total():,} expected")
        if found != expected or not all(one["reason"] for one in listed):
            differ = [*(found - expected), *(expected - found)]
            self.wrong.append(f"the failures are listed otherwise: {differ[:10]}")

    def _compare_losses(self, bulk: BulkRun, user: User) -> None:
        again: dict[int, int] = defaultdict(int)
        for item in self._good:
            if item.number not in user.asked_to_add:
                shard = item.number // self._given.shard_rows
                again[shard] = max(again[shard], self._host.asked[item.path] - 1)
        shards, lost = sum(again.values()), bulk.lost.total()
        self._tell(f"{shards} of {len(again)} shards begun again, {lost} workers lost")
        if shards > lost:
            self.wrong.append(f"{shards} shards were begun again for {lost} lost workers")

    def _once_more(self, bulk: BulkRun, before: dict[str, Any]) -> None:
        asked = self._host.asked.total()
        bulk.start()
        status, numbers = bulk.ended()
        self._tell(f"once more: {json.dumps(numbers)}")
        same = {name: before.get(name) for name in ("rows", "shards", "failed")}
        if status != 1 or numbers != {**numbers, **same, "written": 0, "left": 0}:
            self.wrong.append(f"the second run ended with {status}, {numbers}")
        if self._host.asked.total() != asked:
            self.wrong.append("the second run fetched pictures")

    @staticmethod
    def _tell(line: str) -> None:
        """What there was, for people; at once, as it takes long."""
        sys.stdout.write(line + "\n")
        sys.stdout.flush()


def check(given: argparse.Namespace, folder: Path) -> Check:
    """Run everything with a service, a host and nodes of its own."""
    host = PictureHost([as_jpeg(draw_scene(seed).picture) for seed in SHOW_SEEDS[:_PICTURES]])
    settings = environment(folder)
    host.go_up()
    try:
        with ServiceProcess(settings, folder / "log") as service, Nodes(settings) as nodes:
            done = Check(given, folder, host)
            done.run(service, nodes, settings)
            return done
    finally:
        host.go_down()


def main() -> None:
    """Run, print what there was, and exit with 1 if something was wrong."""
    parser = argparse.ArgumentParser(description=(__doc__ or "").splitlines()[0])
    parser.add_argument("--rows", type=int, default=20_000)
    parser.add_argument("--shard-rows", type=int, default=250)
    parser.add_argument("--kills", type=int, default=9)
    parser.add_argument("--seed", type=int, default=int(time.time()))
    given = parser.parse_args()
    sys.stdout.write(f"seed {given.seed}\n")
    sys.stdout.flush()
    with tempfile.TemporaryDirectory() as folder:
        done = check(given, Path(folder))
    sys.exit("\n".join(done.wrong) or None)


if __name__ == "__main__":
    main()
