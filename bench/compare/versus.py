"""Is this checkout as fast as another one? Both side by side, in turn, in one run.

Each checkout's service runs its own code in its own environment (`.venv`). One load generator asks
one service after the other: adds, searches and detections with 32 in flight, then lone requests.
At last a worker in each checkout's environment adds with 64 clients at the store alone and searches
among 100,000 rows. A ratio is this checkout to the other one, above 1 where this one is better::

    uv run python -m bench versus --project ../other            # about half an hour
    uv run python -m bench versus --project ../other --quick    # about ten minutes

The median of the rounds must be at least 0.97. CPU time for each request stands beside it, as it
depends less on what else the machine does.
"""

import json
import subprocess
import tempfile
from argparse import ArgumentParser, Namespace
from collections import defaultdict
from collections.abc import Iterator, Sequence
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any

from bench.load.fileserver import FileServer
from bench.load.generator import Load
from bench.load.photos import photographs, sides_of
from bench.load.traffic import Fresh
from bench.report import PROJECT, Limit, Report, commit, median, ratio
from bench.service.models import SIZES, service_settings
from bench.service.running import Service, interpreter, started

LEAST = 0.97
LOADED = ("add", "search filtered", "text", "detect")
LONE = ("add", "search", "search filtered", "text", "filter", "detect")
STORE = {
    "store: adds of clients": "adds/s",
    "store: lone search": "ms",
    "store: lone search, filtered": "ms",
    "store: searches at once": "searches/s",
}
_WORKER = Path(__file__).with_name("store_worker.py")
_FIRST_ADDS = 300
_WARM_UP_S = 2.0


@dataclass
class Question:
    """Figures of both checkouts, one pair a round.

    Attributes:
        unit: "ms" where less is better.
        this: figures of this checkout.
        other: of the other one.
        cpu_ms: CPU time of one request, by checkout.
        failed: requests of either.
    """

    unit: str
    this: list[float] = field(default_factory=list)
    other: list[float] = field(default_factory=list)
    cpu_ms: tuple[list[float], list[float]] = field(default_factory=lambda: ([], []))
    failed: int = 0

    @property
    def ratios(self) -> list[float]:
        """This to the other, above 1 where this is better, one a round."""
        pairs = zip(self.this, self.other, strict=True)
        is_time = self.unit == "ms"
        return [ratio(other, this) if is_time else ratio(this, other) for this, other in pairs]

    @property
    def cpu_ratio(self) -> float | None:
        """CPU time of the other to this, medians."""
        this, other = self.cpu_ms
        return ratio(median(other), median(this)) if this else None


Questions = dict[str, Question]


class StoreWorker:
    """Process that measures one checkout's store; keeps its index open between the questions."""

    def __init__(self, project: Path, folder: Path) -> None:
        self._process = subprocess.Popen(
            [str(interpreter(project)), "-P", str(_WORKER), str(project), str(folder)],
            cwd=project,
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            text=True,
        )

    def ask(self, **question: Any) -> dict[str, list[float]]:
        """Put a question and wait for its figures: value, then CPU milliseconds."""
        told, said = self._process.stdin, self._process.stdout
        assert told is not None and said is not None  # noqa: S101, PT018 - for mypy
        told.write(json.dumps(question) + "\n")
        told.flush()
        line = said.readline()
        if not line:
            raise RuntimeError("the store's worker ended")
        found: dict[str, list[float]] = json.loads(line)
        return found

    def close(self) -> None:
        """End the process."""
        self._process.kill()
        self._process.wait()


def in_turn(round: int) -> tuple[int, int]:
    """Order of the two checkouts: A B, B A, A B, so that a drift hits both alike."""
    return (0, 1) if round % 2 == 0 else (1, 0)


def over_http(pair: Sequence[Service], given: Namespace, report: Report) -> Questions:
    """Loads and lone requests of both services, in turn."""
    found: Questions = {}
    for service in pair:
        service.load("add", given.clients, 0, _FIRST_ADDS)
        for route in LONE:
            service.load(route, 4, _WARM_UP_S)
    for route in LOADED:
        name = f"{route}, {given.clients} in flight"
        found[name] = question = Question("/s")
        for turn in range(given.rounds):
            amount = {"clients": given.clients, "seconds": given.seconds}
            _measure(pair, turn, question, pair[0].fresh(route), **amount)
        report.say(f"{name}: {_words(question)}")
    for route in LONE:
        found[f"lone {route}"] = question = Question("ms")
        for turn in range(given.rounds):
            amount = {"clients": 1, "requests": given.requests}
            _measure(pair, turn, question, pair[0].fresh(route), **amount)
        report.say(f"lone {route}: {_words(question)}")
    return found


def _measure(
    pair: Sequence[Service], turn: int, question: Question, source: Fresh, **amount: Any
) -> None:
    """Ask both services for the same new pictures, and note their figures."""
    source = replace(source, first=next(pair[0].numbers))
    for which in in_turn(turn):
        service = pair[which]
        measured = service.measure(Load(service.process.port, source, **amount))
        sent = measured.sent
        value = sent.ms(50) if question.unit == "ms" else sent.rate
        (question.this, question.other)[which].append(value)
        question.cpu_ms[which].append(measured.cpu_ms)
        question.failed += sent.failed


def of_the_store(projects: Sequence[Path], given: Namespace, report: Report) -> Questions:
    """Adds and searches of both stores without a service, in turn."""
    found: Questions = {name: Question(unit) for name, unit in STORE.items()}
    with ExitStack() as stack:
        workers = []
        for project in projects:
            folder = Path(stack.enter_context(tempfile.TemporaryDirectory()))
            workers.append(StoreWorker(project, folder))
            stack.callback(workers[-1].close)
        for worker in workers:
            filled = worker.ask(do="fill", rows=given.rows)["fill"]
            report.say(f"store: {given.rows:,} rows, filled and indexed in {filled[0]:.0f} s")
        for turn in range(given.rounds):
            for which in in_turn(turn):
                asked = {"clients": given.store_clients, "seconds": given.seconds}
                for name, (value, cpu_ms) in workers[which].ask(do="measure", **asked).items():
                    question = found[name]
                    (question.this, question.other)[which].append(value)
                    question.cpu_ms[which].append(cpu_ms)
    for name, question in found.items():
        report.say(f"{name}: {_words(question)}")
    return found


def tell(report: Report, found: Questions) -> None:
    """Print every question with the figures of both checkouts."""
    report.table(
        ["question", "unit", "this", "other", "ratio", "least", "most", "CPU ms: this", "other ",
         "CPU ratio"],
        [
            (name, each.unit, median(each.this), median(each.other), median(each.ratios),
             min(each.ratios), max(each.ratios), median(each.cpu_ms[0]), median(each.cpu_ms[1]),
             each.cpu_ratio)
            for name, each in found.items()
        ],
        "medians of the rounds; a ratio above 1: this checkout is better",
    )  # fmt: skip


def limits(found: Questions) -> list[Limit]:
    """No question may be answered worse."""
    failed = sum(each.failed for each in found.values())
    ratios = [Limit(name, median(each.ratios), least=LEAST) for name, each in found.items()]
    return [*ratios, Limit("failed requests", failed, most=0)]


def _words(question: Question) -> str:
    ratios = question.ratios
    cpu = question.cpu_ratio
    beside = "" if cpu is None else f", by CPU time {cpu:.3f}"
    return f"{median(ratios):.3f} ({min(ratios):.3f} to {max(ratios):.3f}){beside}"


@contextmanager
def services(projects: Sequence[Path], given: Namespace) -> Iterator[list[Service]]:
    """The service of each checkout on one file server, until the block ends."""
    settings = service_settings(given.models)
    with ExitStack() as stack:
        photos = stack.enter_context(photographs(given.sides))
        files = stack.enter_context(FileServer(photos))
        pair = []
        for project in projects:
            folder = Path(stack.enter_context(tempfile.TemporaryDirectory()))
            process = stack.enter_context(started(settings, folder, project=project))
            pair.append(Service(process, files, tuple(photos)))
        yield pair


def add_options(parser: ArgumentParser) -> None:
    """What is compared, and for how long."""
    parser.add_argument("--project", type=Path, required=True, help="the other checkout")
    parser.add_argument("--quick", action="store_true", help="3 rounds of 5 seconds")
    parser.add_argument("--rounds", type=int, default=6)
    parser.add_argument("--seconds", type=float, default=10, help="of each load")
    parser.add_argument("--requests", type=int, default=60, help="lone ones of a round")
    parser.add_argument("--clients", type=int, default=32, help="in flight")
    parser.add_argument("--store-clients", type=int, default=64, help="that add to the store")
    parser.add_argument("--rows", type=int, default=100_000, help="in the store's table")
    parser.add_argument("--models", choices=SIZES, default="demo")
    parser.add_argument("--sides", type=sides_of, default=sides_of("640,1280"))
    parser.add_argument("--only", choices=("http", "store"), help="one half of the questions")


def run(given: Namespace, report: Report) -> list[Limit]:
    """Compare both checkouts."""
    if given.quick:
        given.rounds, given.seconds, given.requests = 3, 5.0, 40
    projects = [PROJECT, given.project.resolve()]
    report.table(
        ["checkout", "commit"],
        [(name, commit(path)) for name, path in zip(("this", "other"), projects, strict=True)],
    )
    found: Questions = defaultdict(lambda: Question("/s"))
    if given.only != "store":
        with services(projects, given) as pair:
            found |= over_http(pair, given, report)
    if given.only != "http":
        found |= of_the_store(projects, given, report)
    report.say("")
    tell(report, found)
    return limits(found)
