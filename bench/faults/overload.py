"""What becomes of the work at ten times the load that the service carries, half of it bad?

First the peak is found: clients that send one good request after another, ever more of them. Then
requests come at ten times that rate, whether or not they are answered (open loop), half of them
bad: unreachable, silent and slow hosts, broken files, bombs, malformed bodies. At last the peak and
a lone request are measured again. Work is also weighed by what each kind takes alone, as a full
service answers more of the cheap kinds::

    uv run python -m bench overload             # about seven minutes

The work done per second must reach 0.9 of the peak, every refusal be a 429 or a documented 400, a
429 take 100 ms at most (p99), every heartbeat be answered; memory may grow by a tenth, and a lone
request take 1.25 times as long afterwards as before.
"""

import tempfile
import time
from argparse import ArgumentParser, Namespace
from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from itertools import cycle
from pathlib import Path

import requests

from bench.load.fileserver import FileServer
from bench.load.generator import NO_ANSWER, OK, REFUSED, Answer, Load, Sent, send
from bench.load.traffic import Mixed, documented_codes, first_adds, good
from bench.report import Cell, Limit, Report, median, percentile, ratio
from bench.service.models import SIZES, model_environment
from bench.service.processes import Watch, watched
from bench.service.running import Service, started
from demo.process import free_port

TIMES = 10
LEAST_WORK, MOST_429_MS, MOST_HEARTBEAT_MS = 0.9, 100.0, 1000.0
MOST_GROWTH, MOST_LONE = 1.1, 1.25
CLIENTS = (4, 16, 48)
_LONE, _WARM_UP = 30, 5
Lone = dict[str, list[float]]
"""Milliseconds of lone requests by kind."""


@dataclass(frozen=True)
class OneKind:
    """The good requests of one kind, in turn."""

    files: str
    kind: str

    def requests(self) -> "cycle[tuple[str, bytes]]":
        """Without end."""
        [kind] = [each for each in good(self.files) if each.name == self.kind]
        return cycle([(kind.name, request) for request in kind.requests])


@dataclass(frozen=True)
class Outcome:
    """A load of mixed requests, and what came of it."""

    source: Mixed
    sent: Sent

    def work(self, first_s: float = 0.0) -> Counter[str]:
        """Good requests answered 200 while the load lasted, by kind, after some first seconds."""
        start, end = self.sent.began + first_s, self.sent.began + self.sent.seconds
        is_good = {kind.name for kind in self.source.kinds() if not kind.codes}
        inside = (each for each in self.sent.good if start <= each.done < end)
        return Counter(each.kind for each in inside if each.kind in is_good)

    def rate(self, first_s: float = 0.0) -> float:
        """Good requests answered per second."""
        return self.work(first_s).total() / (self.sent.seconds - first_s)

    def weighed(self, lone: Lone) -> float:
        """Seconds of work done per second, each request counted as it takes alone."""
        work = self.work().items()
        return sum(n * median(lone[kind]) for kind, n in work) / 1e3 / self.sent.seconds

    def flaws(self) -> Counter[str]:
        """What is wrong with answers, apart from how long they took, and how often."""
        codes = {kind.name: kind.codes for kind in self.source.kinds()}
        documented = documented_codes()
        found = (flaw_of(each, codes[each.kind], documented) for each in self.sent.answers)
        return Counter(flaw for flaw in found if flaw)

    def late_ms(self, status: int) -> list[float]:
        """How long each answer of a status took, from when its request was due."""
        answers = self.sent.answers
        return [(each.done - each.due) * 1e3 for each in answers if each.status == status]


def flaw_of(answer: Answer, codes: frozenset[str], documented: frozenset[str]) -> str | None:
    """What is wrong with an answer; None where it is right.

    Args:
        answer: to a request.
        codes: how its kind may be refused; empty for a good one.
        documented: codes that any request may be refused with under load.
    """
    if answer.status == NO_ANSWER:
        return "no answer"
    if answer.status == OK:
        return "a bad request was answered 200" if codes else None
    if answer.status == REFUSED:
        return None
    if answer.status == 400 and answer.code in (documented | codes):
        return None
    return f"answered {answer.status} {answer.code}"


@dataclass(frozen=True)
class Found:
    """What was measured.

    Attributes:
        lone: before and after.
        peak: before and after.
        overload: in between.
        heartbeats: milliseconds during the overload, and whether they were answered.
        memory: MiB of all processes: idle before, thirds of the overload, idle after.
    """

    lone: tuple[Lone, Lone]
    peak: tuple[Outcome, Outcome]
    overload: Outcome
    heartbeats: Sequence[tuple[float, bool]]
    memory: tuple[float, ...]


class Overload:
    """Loads a service: with ever more clients, with far too much, and as before."""

    def __init__(self, service: Service, given: Namespace, report: Report) -> None:
        self._service, self._given, self._report = service, given, report
        self._closed_port = free_port()

    def measure(self, watch: Watch) -> Found:
        """All of it."""
        seconds = self._given.seconds
        self._fill()
        lone = self._lone()
        clients = self._best_clients(max(8.0, seconds / 3))
        peak = self._mixed(max(5.0, seconds / 3), clients=clients)
        rate = TIMES * peak.rate()
        self._report.say(f"open loop: {rate:.0f} requests/s for {seconds:g} s, half of them bad\n")
        idle = _idle_mib(watch, 2)
        overload = self._mixed(seconds, rate=rate)
        tell_answers(self._report, overload)  # at once: the service may not survive it
        idle_after = _idle_mib(watch, min(10.0, seconds / 3))
        lone_after = self._lone()
        peak_after = self._mixed(max(5.0, seconds / 3), clients=clients)
        began, third = overload.sent.began, seconds / 3
        thirds = (
            median(watch.memory_between(began + n * third, began + (n + 1) * third))
            for n in range(3)
        )
        return Found(
            (lone, lone_after),
            (peak, peak_after),
            overload,
            watch.heartbeats_between(began, began + seconds),
            (idle, *thirds, idle_after),
        )

    def _mixed(self, seconds: float, *, clients: int = 0, rate: float = 0.0) -> Outcome:
        """Good requests of so many clients, or half bad ones at such a rate."""
        source = Mixed(self._service.files.url, self._closed_port, 0.5 if rate else 0.0)
        port, nice = self._service.process.port, self._given.nice
        return Outcome(source, send(Load(port, source, seconds, clients, 0, rate, nice)))

    def _lone(self) -> Lone:
        found, files = {}, self._service.files.url
        for kind in good(files):
            source = OneKind(files, kind.name)
            sent = send(Load(self._service.process.port, source, 0, 1, _WARM_UP + _LONE))
            found[kind.name] = [(a.done - a.sent) * 1e3 for a in sent.answers[_WARM_UP:]]
        return found

    def _fill(self) -> None:
        """Add every URL once, so that nothing is new when it is measured."""
        for body in first_adds(self._service.files.url):
            url = f"{self._service.process.url}/post_images_to_index"
            results = requests.post(url, json=body, timeout=120).json()["results"]
            failed = [each for each in results if "id" not in each]
            if failed:
                raise RuntimeError(f"the table could not be filled: {failed[0]}")

    def _best_clients(self, seconds: float) -> int:
        """How many clients, one good request at a time each, keep the service busiest."""
        rows = []
        for clients in CLIENTS:
            outcome = self._mixed(seconds, clients=clients)
            sent = outcome.sent
            rows.append((clients, outcome.rate(seconds / 3), sent.ms(50), sent.ms(99), sent.failed))
        columns = ["clients", "requests/s", "p50 ms", "p99 ms", "not 200"]
        self._report.table(columns, rows, "good requests alone")
        return max(rows, key=lambda row: row[1])[0]


def _idle_mib(watch: Watch, seconds: float) -> float:
    """Memory of all processes at the end of some idle seconds."""
    time.sleep(seconds)
    now = time.monotonic()
    return median(watch.memory_between(now - min(seconds, 3), now))


def tell_answers(report: Report, outcome: Outcome) -> None:
    """Print every answer by whether its request was good, its status and its code."""
    is_bad = {kind.name for kind in outcome.source.kinds() if kind.codes}
    groups: dict[tuple[str, int, str], list[float]] = {}
    for each in outcome.sent.answers:
        key = ("bad" if each.kind in is_bad else "good", each.status, each.code)
        groups.setdefault(key, []).append((each.done - each.due) * 1e3)
    report.table(
        ["request", "status", "code", "answers", "p50 ms", "p99 ms", "most ms"],
        [
            (sort, str(status or "none"), code, len(ms), *_spread(ms), max(ms))
            for (sort, status, code), ms in sorted(groups.items())
        ],
        "answers; times from when the request was due",
    )


def tell(report: Report, found: Found, watch: Watch) -> None:
    """Print what was measured, besides the answers."""
    outcomes = {"peak": found.peak[0], "overload": found.overload, "peak after": found.peak[1]}
    lone, lone_after = found.lone
    rows: list[tuple[Cell, ...]] = [
        (kind, *(each.work()[kind] / each.sent.seconds for each in outcomes.values()))
        for kind in lone
    ]
    rows.append(("all", *(each.rate() for each in outcomes.values())))
    weighed = (each.weighed(lone) for each in outcomes.values())
    rows.append(("all, in seconds of lone requests", *weighed))
    report.table(["good requests answered per s", *outcomes], rows)
    _tell_cores(report, outcomes, watch)
    report.table(
        ["lone request", "p50 ms before", "after", "p90 ms before", "after "],
        [
            (
                kind,
                median(ms),
                median(lone_after[kind]),
                *(percentile(each, 90) for each in (ms, lone_after[kind])),
            )
            for kind, ms in lone.items()
        ],
    )
    columns = ["MiB of all processes", "idle before", "first third", "second", "last", "idle after"]
    report.table(columns, [("resident, median", *found.memory)])
    late = [(each.sent - each.due) * 1e3 for each in found.overload.sent.answers]
    times = {
        "heartbeat": [ms for ms, _ in found.heartbeats],
        "429, from when it was due": found.overload.late_ms(REFUSED),
        "sent after it was due": late,
    }
    report.table(
        ["ms", "n", "p50", "p99", "most"],
        [(name, len(ms), *_spread(ms), max(ms, default=None)) for name, ms in times.items()],
    )
    for flaw, count in found.overload.flaws().most_common():
        report.say(f"WRONG: {count} times: {flaw}")


def _tell_cores(report: Report, outcomes: Mapping[str, Outcome], watch: Watch) -> None:
    columns = {}
    for name, outcome in outcomes.items():
        sent = outcome.sent
        took = watch.cores_between(sent.began, sent.began + sent.seconds)
        columns[name] = {**took, "load generator": sent.cpu_s / sent.seconds}
    processes = list(dict.fromkeys(process for took in columns.values() for process in took))
    rows = [(each, *(took.get(each) for took in columns.values())) for each in processes]
    report.table(["cores", *columns], rows)


def limits(found: Found) -> list[Limit]:
    """What the service had to keep."""
    lone, lone_after = found.lone
    overload = found.overload
    rate = ratio(overload.rate(), max(each.rate() for each in found.peak))
    work = ratio(overload.weighed(lone), max(each.weighed(lone) for each in found.peak))
    unanswered = sum(not is_well for _, is_well in found.heartbeats)
    heartbeat_ms = percentile([ms for ms, _ in found.heartbeats], 99)
    _, first, _, last, _ = found.memory
    refused_ms = percentile(overload.late_ms(REFUSED), 99)
    return [
        Limit("good requests/s to the peak", rate, least=LEAST_WORK),
        Limit("work/s to the peak", work, least=LEAST_WORK),
        Limit("429s, p99 ms", refused_ms, most=MOST_429_MS),
        Limit("wrong answers", overload.flaws().total(), most=0),
        Limit("heartbeats not answered", unanswered, most=0),
        Limit("heartbeat, p99 ms", heartbeat_ms, most=MOST_HEARTBEAT_MS),
        Limit("memory, last third to first", ratio(last, first), most=MOST_GROWTH),
        *(Limit(f"lone {kind}, p50 after to before", ratio(median(lone_after[kind]), median(ms)),
                most=MOST_LONE)
          for kind, ms in lone.items()),
    ]  # fmt: skip


def _spread(values: Sequence[float]) -> tuple[float, float]:
    return percentile(values, 50), percentile(values, 99)


def add_options(parser: ArgumentParser) -> None:
    """Seconds, models, and the generator."""
    parser.add_argument("--seconds", type=float, default=60, help="of overload")
    parser.add_argument("--models", choices=SIZES, default="full")
    parser.add_argument("--nice", type=int, default=5, help="niceness of the load generator")
    parser.add_argument("--log", type=Path, help="file for what the service prints")


def run(given: Namespace, report: Report) -> list[Limit]:
    """Measure and print."""
    with (
        tempfile.TemporaryDirectory() as folder,
        FileServer() as files,
        started(model_environment(given.models), Path(folder), log=given.log) as process,
    ):
        service = Service(process, files, ())
        with watched(service.root, process.url) as watch:
            found = Overload(service, given, report).measure(watch)
    tell(report, found, watch)
    return limits(found)
