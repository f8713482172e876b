"""What `bench.peers` prints, and its limits."""

from collections.abc import Iterator, Mapping, Sequence

from bench.peers.absent import ABSENT
from bench.peers.catalog import OURS, TASKS, Peer, Task
from bench.peers.measure import Found, Turns
from bench.report import Cell, Report
from bench.verdict import Limit, ratio

LEAST_TO_PLAIN, LEAST_TO_PEER, MOST_P99 = 1.3, 1.0, 1.0


def tell_who(report: Report, peers: Sequence[Peer]) -> None:
    """Who is measured, and what each does for a request."""
    rows = [
        (peer.name, peer.version, task, peer.does[task]) for peer in peers for task in peer.does
    ]
    report.table(["service", "version", "beside", "what it does for a request"], rows)


def tell(report: Report, found: Found, memory: Mapping[str, float], clients: int) -> None:
    """Every service's figures, and ours to them."""
    report.table(
        [
            *(
                "task",
                "in flight",
                "service",
                "answers",
                "failed",
                "per s",
                "slowest turn",
                "fastest",
            ),
            *("p50 ms", "p99 ms", "CPU ms each", "others' cores"),
        ],
        [_row(*key, turns) for key, turns in _in_order(found)],
        "one after the other; CPU ms: of all processes of the service, for one request",
    )
    report.table(
        ["task", "in flight", "beside", "per s: ours to it", "p50", "p99"],
        [
            (task, each, name, *_ratios(found, name, task, each))
            for (name, task, each), _ in _in_order(found)
            if name != OURS
        ],
        "this service's figures to the peer's",
    )
    report.table(
        ["service", "task", "process", "CPU ms each"],
        [
            (name, task, role, cpu_s / len(turns.answers.all) * 1e3)
            for (name, task, each), turns in _in_order(found)
            if each == clients
            for role, cpu_s in turns.cpu_s.items()
        ],
        f"CPU by process, {clients} in flight",
    )
    report.table(
        ["service", "MiB"],
        list(memory.items()),
        "memory of all processes of a service at the end, what they share counted once",
    )


def tell_absent(report: Report, failed: Mapping[str, str]) -> None:
    """Who was not measured, and why."""
    rows = [*failed.items(), *ABSENT.items()]
    report.table(["did not run", "why"], rows)


def limits(found: Found, peers: Sequence[Peer], clients: int) -> list[Limit]:
    """This service's throughput and p99 to the fastest plain service's and to every peer's."""
    made: list[Limit] = []
    for task in TASKS:
        plain = [peer.name for peer in peers if peer.is_plain]
        others = [peer.name for peer in peers if not peer.is_plain]
        plain, others = (
            [name for name in names if (name, task, clients) in found] for names in (plain, others)
        )
        if plain:
            fastest = max(plain, key=lambda name: found[name, task, clients].answers.rate)
            made += _pair(found, fastest, task, clients, LEAST_TO_PLAIN)
        for name in others:
            made += _pair(found, name, task, clients, LEAST_TO_PEER)
    failed = sum(turns.answers.failed for (name, *_), turns in found.items() if name == OURS)
    return [*made, Limit("requests of ours that failed", failed, most=0)]


def _pair(found: Found, name: str, task: Task, clients: int, least: float) -> Iterator[Limit]:
    per_s, _, p99 = _ratios(found, name, task, clients)
    yield Limit(f"{task}: per s to {name}", per_s, least=least)
    yield Limit(f"{task}: p99 to {name}", p99, most=MOST_P99)


def _ratios(found: Found, name: str, task: Task, clients: int) -> tuple[float, float, float]:
    us, them = (found[each, task, clients].answers for each in (OURS, name))
    return (
        ratio(us.rate, them.rate),
        ratio(us.ms(50), them.ms(50)),
        ratio(us.ms(99), them.ms(99)),
    )


def _in_order(found: Found) -> list[tuple[tuple[str, Task, int], Turns]]:
    """By task, then by clients; services in the order in which they were asked."""
    return sorted(found.items(), key=lambda item: (TASKS.index(item[0][1]), item[0][2]))


def _row(name: str, task: Task, clients: int, turns: Turns) -> tuple[Cell, ...]:
    answers = turns.answers
    return (
        task,
        clients,
        name,
        len(answers.all),
        answers.failed,
        answers.rate,
        min(answers.rates),
        max(answers.rates),
        answers.ms(50),
        answers.ms(99),
        turns.cpu_ms(),
        turns.others_cores,
    )
