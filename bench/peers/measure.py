"""How does this service compare with what a user would otherwise take?

The same checkpoints, the same photographs from the same file server in a process of its own, the
same number of requests in flight. All services run, and are asked one after the other, in rounds; a
turn lasts from its first request to its last answer. README.md says who is compared::

    uv run python -m bench peers                              # about 16 minutes
    uv run python -m bench peers --peers infinity --rounds 1  # one of them, about 3

At 32 in flight this service must answer 1.3 times the requests per second of the plain FastAPI
service (the faster of its variants) and as many as any other peer, and have no higher p99.
"""

import time
from argparse import ArgumentParser, ArgumentTypeError, Namespace
from collections import defaultdict
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import ExitStack
from dataclasses import dataclass, field
from itertools import count

from bench.load.fileserver import FileServer
from bench.load.generator import Load, Sent, send
from bench.peers.catalog import OURS, PEERS, PICTURES, TASKS, Peer, Running, Task, ours
from bench.peers.environments import PeerError
from bench.report import Cell, Limit, Report, percentile, ratio
from bench.service.processes import cpu_seconds, memory_by_process

LEAST_TO_PLAIN, LEAST_TO_PEER, MOST_P99 = 1.3, 1.0, 1.0
_LONE, _WARM_UP = 1, 8
_START_S = 120


@dataclass(frozen=True)
class PeerRequests:
    """Requests of a task as a service takes them; no text is asked twice, pictures recur."""

    request: Callable[[Task, str, int], bytes]
    task: Task
    files: str
    first: int

    def requests(self) -> Iterator[tuple[str, bytes]]:
        """Without end."""
        for number in count(self.first):
            yield self.task, self.request(self.task, self.files, number)


@dataclass
class Turns:
    """All turns of a service at one task, with so many clients; `cpu_s` by process."""

    sent: list[Sent] = field(default_factory=list)
    cpu_s: dict[str, float] = field(default_factory=lambda: defaultdict(float))

    @property
    def rates(self) -> list[float]:
        """Good answers per second of each turn."""
        return [each.whole_rate for each in self.sent]

    @property
    def rate(self) -> float:
        """Good answers per second of all turns together."""
        good = [len(each.good) for each in self.sent]
        seconds = sum(ratio(n, each.whole_rate) for n, each in zip(good, self.sent, strict=True))
        return ratio(sum(good), seconds)

    @property
    def failed(self) -> int:
        """Answers that were not 200."""
        return sum(each.failed for each in self.sent)

    @property
    def answers(self) -> int:
        """Of every status."""
        return sum(len(each.answers) for each in self.sent)

    def ms(self, percent: float) -> float:
        """A percentile of the good answers' latencies."""
        took = [(a.done - a.sent) * 1e3 for each in self.sent for a in each.good]
        return percentile(took, percent)


@dataclass(frozen=True)
class Contender:
    """A service that runs."""

    peer: Peer
    server: Running
    numbers: Iterator[int] = field(default_factory=lambda: count(0, 1 << 16))

    def ask(
        self, task: Task, files: str, clients: int, seconds: float = 0, requests: int = 0
    ) -> Sent:
        """Put a load on it and wait for its last answer."""
        source = PeerRequests(self.peer.request, task, files, next(self.numbers))
        return send(Load(self.server.port, source, seconds, clients, requests, timeout_s=60))

    @property
    def root(self) -> int:
        """Pid of its first process."""
        return int(self.server.process.pid)


Found = dict[tuple[str, Task, int], Turns]
"""By name of the service, task and clients."""


def start(
    peers: Sequence[Peer], files: str, stack: ExitStack
) -> tuple[list[Contender], dict[str, str]]:
    """Start every service.

    Returns:
        Those that run until the stack is closed; and why the others do not, by name.
    """
    running, failed = [], {}
    for peer in peers:
        with ExitStack() as its_own:
            try:
                one = Contender(peer, its_own.enter_context(peer.start()))
                _await_answers(one, files)
            except PeerError as error:
                failed[peer.name] = str(error)
            else:
                running.append(one)
                stack.push(its_own.pop_all())
    return running, failed


def _await_answers(one: Contender, files: str) -> None:
    """Ask a service for each of its tasks until it does it well: some listen before they can."""
    deadline = time.monotonic() + _START_S
    for task in one.peer.does:
        while not one.ask(task, files, 1, requests=1).good:
            if time.monotonic() > deadline:
                raise PeerError(f"no good answer in {_START_S} s to: {task}")
            time.sleep(1)


def measure(contenders: Sequence[Contender], files: str, given: Namespace) -> Found:
    """Every task with one and with many clients, asked of one service after the other."""
    found: Found = defaultdict(Turns)
    for one in contenders:
        for task in one.peer.does:
            least = PICTURES if task == "index" else _WARM_UP
            one.ask(task, files, given.clients, requests=least)
    for task, clients in [(t, n) for t in TASKS for n in (_LONE, given.clients)] * given.rounds:
        for one in contenders:
            if task in one.peer.does:
                turns, before = found[one.peer.name, task, clients], cpu_seconds(one.root)
                turns.sent.append(one.ask(task, files, clients, given.seconds))
                for role, cpu_s in cpu_seconds(one.root).items():
                    turns.cpu_s[role] += cpu_s - before.get(role, 0.0)
    return found


def tell(report: Report, found: Found, contenders: Sequence[Contender]) -> None:
    """Print every service's figures, and ours to them."""
    ordered = sorted(found.items(), key=lambda item: (TASKS.index(item[0][1]), item[0][2]))
    rows: list[tuple[Cell, ...]] = []
    for (name, task, clients), turns in ordered:
        rates = (turns.rate, min(turns.rates), max(turns.rates))
        cpu_ms = sum(turns.cpu_s.values()) / turns.answers * 1e3
        latency = (turns.ms(50), turns.ms(99))
        rows.append((task, clients, name, turns.answers, turns.failed, *rates, *latency, cpu_ms))
    columns = ["task", "in flight", "service", "answers", "failed", "per s", "slowest turn"]
    report.table([*columns, "fastest", "p50 ms", "p99 ms", "CPU ms each"], rows)
    ratios = [
        (task, clients, name, *ratios_of(found, name, task, clients))
        for (name, task, clients), _ in ordered
        if name != OURS
    ]
    columns = ["task", "in flight", "beside", "per s: ours to it", "p50", "p99"]
    report.table(columns, ratios, "this service's figures to the peer's")
    memory = [
        (each.peer.name, sum(one.pss for one in memory_by_process(each.root).values()))
        for each in contenders
    ]
    report.table(["service", "PSS of all processes, MiB"], memory)


def ratios_of(found: Found, name: str, task: Task, clients: int) -> tuple[float, float, float]:
    """Rate, p50 and p99 of ours to a peer's."""
    us, them = (found[each, task, clients] for each in (OURS, name))
    latency = (ratio(us.ms(percent), them.ms(percent)) for percent in (50, 99))
    return (ratio(us.rate, them.rate), *latency)  # type: ignore[return-value]


def limits(found: Found, peers: Sequence[Peer], clients: int) -> list[Limit]:
    """Throughput and p99 to the fastest plain service's and to every peer's."""
    made: list[Limit] = []
    for task in TASKS:
        there = [peer for peer in peers if (peer.name, task, clients) in found]
        plain = [peer.name for peer in there if peer.is_plain]
        least: dict[str, float] = {p.name: LEAST_TO_PEER for p in there if not p.is_plain}
        if plain:
            fastest = max(plain, key=lambda name: found[name, task, clients].rate)
            least = {fastest: LEAST_TO_PLAIN, **least}
        for name, bound in least.items():
            per_s, _, p99 = ratios_of(found, name, task, clients)
            made.append(Limit(f"{task}: per s to {name}", per_s, least=bound))
            made.append(Limit(f"{task}: p99 to {name}", p99, most=MOST_P99))
    failed = sum(turns.failed for (name, *_), turns in found.items() if name == OURS)
    return [*made, Limit("requests of ours that failed", failed, most=0)]


def tell_failed(report: Report, failed: Mapping[str, str]) -> None:
    """Print who did not run, and why."""
    if failed:
        report.table(["did not run", "why"], list(failed.items()))


def _chosen(names: str) -> list[Peer]:
    known = {peer.name: peer for peer in PEERS}
    chosen = [name.strip() for name in names.split(",")]
    unknown = [name for name in chosen if name not in known]
    if unknown:
        raise ArgumentTypeError(f"no peer {unknown[0]!r}; there are {', '.join(known)}")
    return [known[name] for name in chosen]


def add_options(parser: ArgumentParser) -> None:
    """Who is compared, and for how long."""
    parser.add_argument("--clients", type=int, default=32, help="in flight, besides a lone one")
    parser.add_argument("--seconds", type=float, default=6, help="of each turn")
    parser.add_argument("--rounds", type=int, default=2)
    parser.add_argument("--peers", type=_chosen, default=list(PEERS), help="names, with commas")


def run(given: Namespace, report: Report) -> list[Limit]:
    """Measure and print."""
    with ExitStack() as stack:
        files = stack.enter_context(FileServer())
        contenders, failed = start([ours, *given.peers], files.url, stack)
        does = [
            (each.peer.name, each.peer.version, task, each.peer.does[task])
            for each in contenders
            for task in each.peer.does
        ]
        columns = ["service", "version", "beside", "what it does for a request"]
        report.table(columns, does)
        found = measure(contenders, files.url, given)
        tell(report, found, contenders)
    tell_failed(report, failed)
    return limits(found, given.peers, given.clients)
