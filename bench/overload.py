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
from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from itertools import cycle, islice
from pathlib import Path

import requests

from bench.ending import end_on_signals
from bench.fileserver import FileServer
from bench.generator import Load, Running, Sent, kinds_of
from bench.lone import WARM_UP, Lone
from bench.processes import Watch, watched
from bench.report import Cell, Report
from bench.timing import Timed
from bench.traffic import ALLOWED, documented_codes, filling, good
from bench.verdict import Limit, judged, percentile, ratio
from bench.weights import SIZES, model_environment
from bench.wire import NO_ANSWER, Answer
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


def work(sent: Sent, load: Load, first_s: float = 0) -> Counter[str]:
    """Good requests that were answered 200 while the load lasted, by kind."""
    kinds = kinds_of(load)
    start, end = sent.began + first_s, sent.began + load.seconds
    return Counter(
        kinds[answer.kind].name
        for answer in sent.answers
        if answer.status == 200 and not kinds[answer.kind].codes and start <= answer.done < end
    )


def weighed(done: Mapping[str, int], lone: Mapping[str, Timed[int]]) -> float:
    """Work as the seconds that it would take as lone requests.

    A full service may answer more of the cheap kinds and fewer of the dear ones: that is less work.
    """
    return sum(count * lone[kind].ms(50) / 1e3 for kind, count in done.items())


def best_clients(bench: Bench, seconds: float, report: Report) -> int:
    """How many clients, one good request at a time each, keep the service busiest."""
    rows = []
    for clients in CLIENTS:
        load = bench.load(seconds, clients=clients)
        sent = Running(load).result()
        done = work(sent, load, seconds / 3).total() / (seconds * 2 / 3)
        failed = sum(answer.status != 200 for answer in sent.answers)
        took = [(answer.done - answer.sent) * 1e3 for answer in sent.answers]
        rows.append((clients, done, *_spread(took), failed))
    report.table(["clients", "work/s", "p50 ms", "p99 ms", "not 200"], rows, "good requests alone")
    return max(rows, key=lambda row: row[1])[0]


def flaws(answer: Answer, codes: frozenset[str], documented: frozenset[str]) -> str | None:
    """What is wrong with an answer, apart from how long it took.

    Args:
        answer: to one request.
        codes: the request's own reasons to be refused; none for a good one.
        documented: of every 400.
    """
    if answer.status == NO_ANSWER:
        return "no answer"
    if answer.status == 200:
        return "a bad request was answered 200" if codes else None
    if answer.status == 429:
        return None
    if answer.status == 400 and answer.code in (documented | codes):
        return None
    return f"answered {answer.status} {answer.code}"


def tell_answers(report: Report, sent: Sent, load: Load) -> None:
    """Prints every answer by whether it was to a good request, its status and its code."""
    kinds = kinds_of(load)
    groups: dict[tuple[str, int, str], list[float]] = {}
    for answer in sent.answers:
        asked = "bad" if kinds[answer.kind].codes else "good"
        key = (asked, answer.status, answer.code)
        groups.setdefault(key, []).append((answer.done - answer.due) * 1e3)
    report.table(
        ["request", "status", "code", "answers", "p50 ms", "p99 ms", "most ms"],
        [
            (asked, str(status or "none"), code, len(ms), *_spread(ms), max(ms))
            for (asked, status, code), ms in sorted(groups.items())
        ],
        "answers; times from when the request was due",
    )


def tell_work(
    report: Report,
    spans: Sequence[tuple[str, Counter[str], float]],
    lone: Mapping[str, Timed[int]],
) -> None:
    """Prints the work done per second: requests by kind, and all weighed."""
    kinds = sorted({kind for _, done, _ in spans for kind in done})
    rows: list[tuple[Cell, ...]] = [
        (kind, *(done[kind] / seconds for _, done, seconds in spans)) for kind in kinds
    ]
    rows.append(("all", *(done.total() / seconds for _, done, seconds in spans)))
    rows.append(("all, in seconds of lone requests", *(weighed(d, lone) / s for _, d, s in spans)))
    report.table(["good requests answered per s", *(name for name, _, _ in spans)], rows)


def tell_cores(report: Report, spans: Sequence[tuple[str, Sent, Load]], watch: Watch) -> None:
    """Prints what each process took of the machine."""
    columns = {}
    for name, sent, load in spans:
        took = watch.cores_between(sent.began, sent.began + load.seconds)
        columns[name] = {**took, "load generator": sent.cpu}
    processes = list(dict.fromkeys(process for took in columns.values() for process in took))
    rows = [(each, *(took.get(each) for took in columns.values())) for each in processes]
    report.table(["cores", *columns], rows)


def _spread(values: Sequence[float]) -> tuple[float, float]:
    return percentile(values, 50), percentile(values, 99)


def measure(bench: Bench, seconds: float, watch: Watch, report: Report) -> bool:
    """Measures, prints, and tells whether every limit was kept."""
    bench.fill()
    lone_before = bench.lone()
    clients = best_clients(bench, max(8.0, seconds / 3), report)
    steady = bench.load(max(5.0, seconds / 3), clients=clients)
    sent_before = Running(steady).result()
    before = work(sent_before, steady)
    rate = TIMES * before.total() / steady.seconds
    report.say(f"open loop: {rate:.0f} requests/s for {seconds:g} s, half of them bad\n")
    time.sleep(2)
    idle_mib = percentile(watch.memory_between(time.monotonic() - 2, time.monotonic()), 50)

    load = bench.load(seconds, rate=rate)
    sent = Running(load).result()
    overload = work(sent, load)
    tell_answers(report, sent, load)
    time.sleep(min(10.0, seconds / 3))
    after_mib = percentile(watch.memory_between(time.monotonic() - 3, time.monotonic()), 50)
    lone_after = bench.lone()
    after = work(Running(steady).result(), steady)
    spans = [
        (f"{clients} clients, before", before, steady.seconds),
        ("overload", overload, seconds),
        (f"{clients} clients, after", after, steady.seconds),
    ]
    tell_work(report, spans, lone_before)
    tell_cores(
        report,
        [("peak", sent_before, steady), ("overload", sent, load)],
        watch,
    )
    _tell_lone(report, lone_before, lone_after)

    beats = watch.beats_between(sent.began, sent.began + seconds)
    thirds = [
        percentile(
            watch.memory_between(
                sent.began + third * seconds / 3, sent.began + (third + 1) * seconds / 3
            ),
            50,
        )
        for third in range(3)
    ]
    report.table(
        ["MiB of all processes", "idle before", "first third", "second", "last", "idle after"],
        [("resident, median", idle_mib, *thirds, after_mib)],
    )
    _tell_load(report, sent, load, beats)
    kinds, documented = kinds_of(load), documented_codes()
    wrong = Counter(
        flaw
        for answer in sent.answers
        if (flaw := flaws(answer, kinds[answer.kind].codes, documented))
    )
    for flaw, count in wrong.most_common():
        report.say(f"WRONG: {count} times: {flaw}")
    refused = [(a.done - a.due) * 1e3 for a in sent.answers if a.status == 429]
    peaks = (before, after)
    highest = max(done.total() for done in peaks) / steady.seconds
    highest_weighed = max(weighed(done, lone_before) for done in peaks) / steady.seconds
    rate, work_rate = overload.total() / seconds, weighed(overload, lone_before) / seconds
    return judged(
        report,
        [
            Limit("good requests/s to the peak", ratio(rate, highest), least=LEAST_WORK),
            Limit("work/s to the peak", ratio(work_rate, highest_weighed), least=LEAST_WORK),
            Limit("429s, p99 ms", percentile(refused, 99), most=MOST_429_MS),
            Limit("wrong answers", wrong.total() + sent.unsent, most=0),
            Limit("heartbeats not answered", sum(not ok for _, ok in beats), most=0),
            Limit("heartbeat, p99 ms", percentile([ms for ms, _ in beats], 99), most=HEARTBEAT_MS),
            Limit("memory, last third to first", ratio(thirds[2], thirds[0]), most=MOST_GROWTH),
            *(
                Limit(
                    f"lone {what}, p50 after to before",
                    ratio(lone_after[what].ms(50), lone_before[what].ms(50)),
                    most=MOST_LONE,
                )
                for what in lone_before
            ),
        ],
    )


def _tell_lone(report: Report, before: dict[str, Timed[int]], after: dict[str, Timed[int]]) -> None:
    report.table(
        ["lone request", "p50 ms before", "after", "p90 ms before", "after "],
        [
            (what, before[what].ms(50), after[what].ms(50), before[what].ms(90), after[what].ms(90))
            for what in before
        ],
    )


def _tell_load(report: Report, sent: Sent, load: Load, beats: Sequence[tuple[float, bool]]) -> None:
    late = [(answer.sent - answer.due) * 1e3 for answer in sent.answers]
    took = [(a.done - a.sent) * 1e3 for a in sent.answers if a.status == 429]
    ms = [each for each, _ in beats]
    report.table(
        ["ms", "n", "p50", "p99", "most"],
        [
            ("heartbeat", len(ms), *_spread(ms), max(ms, default=None)),
            ("429, from when it was sent", len(took), *_spread(took), max(took, default=None)),
            ("sent after it was due", len(late), *_spread(late), max(late, default=None)),
        ],
    )
    report.say(
        f"generator: {len(sent.answers) / load.seconds:.0f} requests/s,"
        f" {sent.cpu:.2f} cores at niceness {load.niceness},"
        f" {sent.most_connections} connections, {sent.repeated} sent twice, {sent.unsent} unsent\n"
    )


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
                kept = measure(bench, wanted.seconds, watch, report)
    if wanted.json:
        report.json(wanted.json)
    sys.exit(0 if kept else 1)


if __name__ == "__main__":
    main()
