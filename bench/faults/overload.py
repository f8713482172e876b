"""What becomes of the work at ten times the load that the service carries, half of it bad?

First the peak is found: clients that send one good request after another, ever more of them. Then
requests come at ten times that rate, whether or not they are answered (open loop), half of them
bad: unreachable and slow hosts, broken files, bombs, malformed bodies. At last the peak and a lone
request are measured again::

    uv run python -m bench overload             # about seven minutes
    uv run python -m bench overload --costs     # what each kind of request costs, three minutes
    uv run python -m bench overload --crowd --seconds 20    # searches beside crowds, three minutes

The work done per second must reach 0.9 of the peak, every refusal be a 429 or a documented 400, a
429 take 100 ms at most (p99), every heartbeat be answered; memory may grow by a tenth, and a lone
request take 1.25 times as long afterwards as before. Beside crowds (`bench.faults.crowd`) every
search must be answered, in twice the time at most (p99), and nothing stay of them.
"""

import tempfile
import time
from argparse import ArgumentParser, Namespace
from collections import Counter
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from pathlib import Path

from bench.faults import costs, crowd
from bench.load.fileserver import FileServer
from bench.load.generator import OK, REFUSED, Answer, Load, Sent, send
from bench.load.http import NO_ANSWER, request_bytes
from bench.load.traffic import Mixed, Repeated, documented_codes, good
from bench.report import Cell, Limit, Report, median, percentile, ratio
from bench.service.models import SIZES, model_environment
from bench.service.processes import cpu_by_role, processes_of, resident_mib
from bench.service.running import Service, started
from demo.process import free_port

TIMES = 10
LEAST_WORK, MOST_429_MS, MOST_HEARTBEAT_MS = 0.9, 100.0, 1000.0
MOST_GROWTH, MOST_LONE = 1.1, 1.25
CLIENTS = (4, 16, 48)
_LONE, _WARM_UP = 30, 5
_HEARTBEATS_A_SECOND = 10
Lone = dict[str, float]
"""Median milliseconds of lone requests by kind."""


@dataclass(frozen=True)
class Outcome:
    """A load of mixed requests, what came of it, and the service's cores by role meanwhile."""

    source: Mixed
    sent: Sent
    cores: dict[str, float]

    def work(self) -> Counter[str]:
        """Good requests answered 200 while the load lasted, by kind."""
        end = self.sent.began + self.sent.seconds
        is_good = {kind.name for kind in self.source.kinds() if not kind.codes}
        return Counter(a.kind for a in self.sent.good if a.done < end and a.kind in is_good)

    def rate(self) -> float:
        return self.work().total() / self.sent.seconds

    def flaws(self) -> Counter[str]:
        """What is wrong with answers, apart from how long they took, and how often."""
        codes = {kind.name: kind.codes for kind in self.source.kinds()}
        documented = documented_codes()
        found = (flaw_of(each, codes[each.kind], documented) for each in self.sent.answers)
        return Counter(flaw for flaw in found if flaw)

    def refused_ms(self) -> list[float]:
        """How long each 429 took, from when its request was due."""
        return [(a.done - a.due) * 1e3 for a in self.sent.answers if a.status == REFUSED]


def flaw_of(answer: Answer, codes: frozenset[str], documented: frozenset[str]) -> str | None:
    """What is wrong with an answer; `codes` are how its kind may be refused, none of a good one."""
    if answer.status == NO_ANSWER:
        return f"no answer ({answer.code})"
    if answer.status == OK:
        return "a bad request was answered 200" if codes else None
    refused_well = answer.status == 400 and answer.code in (documented | codes)
    return None if refused_well or answer.status == REFUSED else f"{answer.status} {answer.code}"


@dataclass(frozen=True)
class Found:
    """Lone requests and the peak before and after; the overload between them, its heartbeats, and
    MiB of all processes (idle before, early and late in it, idle after).
    """

    lone: tuple[Lone, Lone]
    peak: tuple[Outcome, Outcome]
    overload: Outcome
    heartbeats: Sent
    memory: tuple[float, float, float, float]


class Overload:
    """Loads a service: with ever more clients, with far too much, and as before."""

    def __init__(self, service: Service, given: Namespace, report: Report) -> None:
        self._service, self._given, self._report = service, given, report
        self._port, self._files = service.process.port, service.files.url
        self._closed_port = free_port()

    def measure(self) -> Found:
        seconds = self._given.seconds
        costs.fill(self._service)
        lone = self._lone()
        peaks = {clients: self._mixed(seconds / 2, clients) for clients in CLIENTS}
        rows = [(n, o.rate(), o.sent.ms(50), o.sent.failed) for n, o in peaks.items()]
        self._report.table(["clients", "good requests/s", "p50 ms", "not 200"], rows)
        clients, peak = max(peaks.items(), key=lambda each: each[1].rate())
        rate = TIMES * peak.rate()
        self._report.say(f"open loop: {rate:.0f} requests/s for {seconds:g} s, half of them bad\n")
        idle = self._mib()
        with ThreadPoolExecutor() as pool:
            overload = pool.submit(self._mixed, seconds, 0, rate)
            source = Repeated("heartbeat", (request_bytes("GET", "heartbeat"),))
            beats = Load(self._port, source, seconds, rate=_HEARTBEATS_A_SECOND)
            heartbeats = pool.submit(send, beats)
            time.sleep(seconds / 3)
            early = self._mib()
            time.sleep(seconds / 2)
            late = self._mib()
        tell_answers(self._report, overload.result())  # at once: it may not survive it
        time.sleep(min(10.0, seconds / 3))
        memory = (idle, early, late, self._mib())
        after = self._lone()
        peak_after = self._mixed(seconds / 2, clients)
        both = (lone, after), (peak, peak_after)
        return Found(*both, overload.result(), heartbeats.result(), memory)

    def _mixed(self, seconds: float, clients: int, rate: float = 0.0) -> Outcome:
        """Good requests of so many clients, or half bad ones at such a rate."""
        source = Mixed(self._files, self._closed_port, 0.5 if rate else 0.0)
        load = Load(self._port, source, seconds, clients, 0, rate, self._given.nice)
        began, before = time.monotonic(), cpu_by_role(self._service.root)
        sent = send(load)
        spent = cpu_by_role(self._service.root)
        took = time.monotonic() - began
        return Outcome(source, sent, {role: (spent[role] - before[role]) / took for role in spent})

    def _lone(self) -> Lone:
        found = {}
        for kind in good(self._files):
            source = Repeated(kind.name, kind.requests)
            sent = send(Load(self._port, source, 0, 1, _WARM_UP + _LONE))
            found[kind.name] = median(sent.latencies[_WARM_UP:])
        return found

    def _mib(self) -> float:
        return resident_mib(*processes_of(self._service.root).values())


def tell_answers(report: Report, outcome: Outcome) -> None:
    is_bad = {kind.name for kind in outcome.source.kinds() if kind.codes}
    groups: dict[tuple[str, str, str], list[float]] = {}
    for each in outcome.sent.answers:
        key = ("bad" if each.kind in is_bad else "good", str(each.status or "none"), each.code)
        groups.setdefault(key, []).append((each.done - each.due) * 1e3)
    rows = [(*k, len(ms), median(ms), percentile(ms, 99)) for k, ms in sorted(groups.items())]
    columns = ["request", "status", "code", "answers", "p50 ms", "p99 ms"]
    report.table(columns, rows, "answers; times from when the request was due")
    for flaw, count in outcome.flaws().most_common():
        report.say(f"WRONG: {count} times: {flaw}")


def tell(report: Report, found: Found) -> None:
    outcomes = {"peak": found.peak[0], "overload": found.overload, "peak after": found.peak[1]}
    (lone, after), sent = found.lone, found.overload.sent
    rows: list[tuple[Cell, ...]] = []
    for kind in lone:
        rates = (each.work()[kind] / each.sent.seconds for each in outcomes.values())
        rows.append((kind, lone[kind], after[kind], *rates))
    columns = ["good request", "lone p50 ms", "lone after", *(f"{n}, per s" for n in outcomes)]
    report.table(columns, rows)
    report.table(["cores used", *outcomes], tell_cores(list(outcomes.values())))
    report.table(["MiB of all: idle before", "early", "late", "idle after"], [found.memory])
    late = percentile([(each.sent - each.due) * 1e3 for each in sent.answers], 99)
    report.say(f"load generator: at most {late:.0f} ms late (p99)\n")


def tell_cores(outcomes: list[Outcome]) -> list[tuple[Cell, ...]]:
    """The service's cores by role, and the load generator's."""
    rows: list[tuple[Cell, ...]] = [
        (role, *(each.cores.get(role, 0.0) for each in outcomes)) for role in outcomes[0].cores
    ]
    return [*rows, ("load generator", *(o.sent.cpu_s / o.sent.seconds for o in outcomes))]


def limits(found: Found) -> list[Limit]:
    (lone, after), overload = found.lone, found.overload
    rate = ratio(overload.rate(), max(each.rate() for each in found.peak))
    refused_ms = percentile(overload.refused_ms(), 99)
    _, early, late, _ = found.memory
    afterwards = {kind: ratio(after[kind], ms) for kind, ms in lone.items()}
    return [
        Limit("good requests/s to the peak", rate, least=LEAST_WORK),
        Limit("429s, p99 ms", refused_ms, most=MOST_429_MS),
        Limit("wrong answers", overload.flaws().total(), most=0),
        Limit("heartbeats not answered", found.heartbeats.failed, most=0),
        Limit("heartbeat, p99 ms", found.heartbeats.ms(99), most=MOST_HEARTBEAT_MS),
        Limit("memory, late to early", ratio(late, early), most=MOST_GROWTH),
        *(
            Limit(f"lone {k}, p50 after to before", r, most=MOST_LONE)
            for k, r in afterwards.items()
        ),
    ]


def add_options(parser: ArgumentParser) -> None:
    parser.add_argument("--seconds", type=float, default=60, help="of overload")
    parser.add_argument("--crowd", action="store_true", help="slow readers and others that hold on")
    parser.add_argument("--costs", action="store_true", help="CPU time of each kind of request")
    parser.add_argument("--models", choices=SIZES, default="full")
    parser.add_argument("--nice", type=int, default=5, help="niceness of the load generator")


def run(given: Namespace, report: Report) -> list[Limit]:
    if given.crowd:
        return crowd.run(given, report)
    if given.costs:
        return costs.run(given, report, TIMES)
    with (
        tempfile.TemporaryDirectory() as folder,
        FileServer() as files,
        started(model_environment(given.models), Path(folder)) as process,
    ):
        found = Overload(Service(process, files, ()), given, report).measure()
    tell(report, found)
    return limits(found)
