"""Ten times the load that the service carries, half of it bad: what becomes of the work?

The real service and a file server, each in processes of its own on loopback. First the peak is
found: clients that ask one good request after another, ever more of them. Then requests come at ten
times that rate, whether or not they are answered (open loop), half of them bad. At last the peak
and a lone request are measured again::

    uv run python -m bench.overload

Exits with 1 if the work done per second fell below 90 % of the peak, a refusal was neither a 429
nor a documented 400, a 429 took longer than 100 ms (p99), a heartbeat was not answered, memory
grew, or a lone request took longer afterwards than before.
"""

import argparse
import sys
import tempfile
import time
from collections.abc import Sequence
from dataclasses import dataclass
from itertools import cycle, islice
from pathlib import Path

import requests

from bench.ending import end_on_signals
from bench.fileserver import FileServer
from bench.generator import Load, Running
from bench.lone import WARM_UP, Lone
from bench.overload_report import (
    Span,
    spread,
    tell_answers,
    tell_cores,
    tell_load,
    tell_lone,
    tell_work,
    weighed,
)
from bench.processes import Watch, watched
from bench.report import Report
from bench.timing import Timed
from bench.traffic import ALLOWED, filling, good
from bench.verdict import Limit, judged, percentile, ratio
from bench.weights import SIZES, model_environment
from demo.process import ServiceProcess, free_port

TIMES = 10
LEAST_WORK = 0.9
MOST_429_MS = 100.0
MOST_GROWTH = 1.1
MOST_LONE = 1.25
CLIENTS = (4, 16, 48)
LONE = 30
HEARTBEAT_MS = 1000.0


@dataclass(frozen=True)
class Bench:
    """A running service, and how it is loaded.

    Attributes:
        service: that is measured.
        files: where its pictures come from.
        closed_port: where nobody listens.
        niceness: of the generator.
    """

    service: ServiceProcess
    files: FileServer
    closed_port: int
    niceness: int

    def load(self, seconds: float, *, clients: int = 0, rate: float = 0) -> Load:
        """Good requests of so many clients, or half bad ones at such a rate."""
        bad_share = 0.5 if rate else 0.0
        return Load(
            self.service.port,
            self.files.url,
            self.closed_port,
            seconds,
            clients,
            rate,
            bad_share,
            self.niceness,
        )

    def fill(self) -> None:
        """Add every image once, so that nothing is new when it is measured."""
        for body in filling(self.files.url):
            url = f"{self.service.url}/post_images_to_index"
            results = requests.post(url, json=body, timeout=120).json()["results"]
            failed = [each for each in results if "id" not in each]
            if failed:
                raise RuntimeError(f"the table could not be filled: {failed[0]}")

    def lone(self) -> dict[str, Timed[int]]:
        """Good requests of each kind, one after the other, while nothing else happens."""
        client = Lone(self.service.port)
        found = {}
        for kind in good(self.files.url):
            requests = list(islice(cycle(kind.requests), LONE))
            client.timed(requests[:WARM_UP])
            found[kind.name] = client.timed(requests)
        client.close()
        return found


@dataclass(frozen=True)
class Found:
    """What was measured.

    Attributes:
        clients: that keep the service busiest.
        lone: good requests of each kind, one after the other, before the load and after it.
        steady: the same number of clients, before and after.
        overload: in between.
        beats: ms that heartbeats took during the overload, and whether they were answered.
        memory: MiB of all processes: idle before, in each third of the overload, idle after.
    """

    clients: int
    lone: tuple[dict[str, Timed[int]], dict[str, Timed[int]]]
    steady: tuple[Span, Span]
    overload: Span
    beats: Sequence[tuple[float, bool]]
    memory: tuple[float, ...]


def measure(bench: Bench, seconds: float, watch: Watch, report: Report) -> Found:
    """Load the service: with ever more clients, with far too much, and as before."""
    bench.fill()
    lone = bench.lone()
    clients = best_clients(bench, max(8.0, seconds / 3), report)
    steady = bench.load(max(5.0, seconds / 3), clients=clients)
    before = Span(steady, Running(steady).result())
    rate = TIMES * before.rate()
    report.say(f"open loop: {rate:.0f} requests/s for {seconds:g} s, half of them bad\n")
    idle_before = idle_mib(watch, 2)
    load = bench.load(seconds, rate=rate)
    overload = Span(load, Running(load).result())
    tell_answers(report, overload)  # at once: the service may not survive it
    idle_after = idle_mib(watch, min(10.0, seconds / 3))
    lone_after = bench.lone()
    after = Span(steady, Running(steady).result())
    began, third = overload.sent.began, seconds / 3
    thirds = [
        percentile(watch.memory_between(began + n * third, began + (n + 1) * third), 50)
        for n in range(3)
    ]
    return Found(
        clients,
        (lone, lone_after),
        (before, after),
        overload,
        watch.beats_between(began, began + seconds),
        (idle_before, *thirds, idle_after),
    )


def best_clients(bench: Bench, seconds: float, report: Report) -> int:
    """How many clients, one good request at a time each, keep the service busiest."""
    rows = []
    for clients in CLIENTS:
        load = bench.load(seconds, clients=clients)
        span = Span(load, Running(load).result())
        done = span.work(seconds / 3).total() / (seconds * 2 / 3)
        failed = sum(answer.status != 200 for answer in span.sent.answers)
        took = [(answer.done - answer.sent) * 1e3 for answer in span.sent.answers]
        rows.append((clients, done, *spread(took), failed))
    report.table(["clients", "work/s", "p50 ms", "p99 ms", "not 200"], rows, "good requests alone")
    return max(rows, key=lambda row: row[1])[0]


def idle_mib(watch: Watch, seconds: float) -> float:
    """Memory of all processes while nothing is asked for so long, at its end."""
    time.sleep(seconds)
    now = time.monotonic()
    return percentile(watch.memory_between(now - min(seconds, 3), now), 50)


def tell(report: Report, found: Found, watch: Watch) -> None:
    """Print what was measured, besides the answers."""
    before, after = found.steady
    spans = {
        f"{found.clients} clients, before": before,
        "overload": found.overload,
        f"{found.clients} clients, after": after,
    }
    tell_work(report, spans, found.lone[0])
    tell_cores(report, {"peak": before, "overload": found.overload}, watch)
    tell_lone(report, *found.lone)
    report.table(
        ["MiB of all processes", "idle before", "first third", "second", "last", "idle after"],
        [("resident, median", *found.memory)],
    )
    tell_load(report, found.overload, found.beats)
    for flaw, count in found.overload.flaws().most_common():
        report.say(f"WRONG: {count} times: {flaw}")


def limits(found: Found) -> list[Limit]:
    """What it had to keep."""
    lone, lone_after = found.lone

    def work_rate(span: Span) -> float:
        return weighed(span.work(), lone) / span.load.seconds

    overload, steady = found.overload, found.steady
    highest, highest_work = max(map(Span.rate, steady)), max(map(work_rate, steady))
    wrong = overload.flaws().total() + overload.sent.unsent
    beats_ms = percentile([ms for ms, _ in found.beats], 99)
    _, first, _, last, _ = found.memory
    return [
        Limit("good requests/s to the peak", ratio(overload.rate(), highest), least=LEAST_WORK),
        Limit("work/s to the peak", ratio(work_rate(overload), highest_work), least=LEAST_WORK),
        Limit("429s, p99 ms", percentile(overload.refused_ms(), 99), most=MOST_429_MS),
        Limit("wrong answers", wrong, most=0),
        Limit("heartbeats not answered", sum(not ok for _, ok in found.beats), most=0),
        Limit("heartbeat, p99 ms", beats_ms, most=HEARTBEAT_MS),
        Limit("memory, last third to first", ratio(last, first), most=MOST_GROWTH),
        *(
            Limit(
                f"lone {what}, p50 after to before",
                ratio(lone_after[what].ms(50), lone[what].ms(50)),
                most=MOST_LONE,
            )
            for what in lone
        ),
    ]


def main() -> None:
    """Runs and exits with 1 if a limit was not kept."""
    parser = argparse.ArgumentParser(description=(__doc__ or "").splitlines()[0])
    parser.add_argument("--seconds", type=float, default=60, help="of overload")
    parser.add_argument("--models", choices=SIZES, default="full")
    parser.add_argument("--nice", type=int, default=5, help="of the load generator")
    parser.add_argument("--json", type=Path)
    parser.add_argument("--log", type=Path, help="keep what the service prints")
    wanted = parser.parse_args()
    end_on_signals()
    report = Report(f"Overload: {wanted.models} models, {wanted.seconds:g} s")
    with tempfile.TemporaryDirectory() as folder, FileServer(host="0.0.0.0") as files:  # noqa: S104
        settings = {
            **model_environment(wanted.models),
            "IMAGE_SEARCH_STORE_URI": str(Path(folder) / "index"),
            "IMAGE_SEARCH_ALLOW_NETWORKS": ALLOWED,
        }
        log = wanted.log or Path(folder) / "log"
        with ServiceProcess(settings, log) as service:
            bench = Bench(service, files, free_port(), wanted.nice)
            root = service.process.pid if service.process else 0
            with watched(root, service.port) as watch:
                found = measure(bench, wanted.seconds, watch, report)
    tell(report, found, watch)
    kept = judged(report, limits(found))
    if wanted.json:
        report.json(wanted.json)
    sys.exit(0 if kept else 1)


if __name__ == "__main__":
    main()
