"""Is this checkout as fast as another one? Both side by side, in turn, in one run.

Each checkout's service runs its own code in its own environment (`.venv`). One load generator asks
one service after the other: adds, searches and detections with 32 in flight, then lone requests.
At last a worker in each checkout's environment adds with 64 clients at the store alone and searches
among 100,000 rows. A ratio is this checkout to the other one, above 1 where this one is better::

    uv run python -m bench versus --project ../other    # half an hour; --quick: ten minutes

The median of the rounds must be at least 0.97. CPU time for each request stands beside it, as it
depends less on what else the machine does.
"""

import shutil
import tempfile
from argparse import ArgumentParser, Namespace
from collections.abc import Iterator, Sequence
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass, field, replace
from pathlib import Path

from bench.load.fileserver import FileServer
from bench.load.generator import Load
from bench.load.photos import photographs
from bench.report import PROJECT, Cell, Limit, Report, commit, median, ratio
from bench.service.child import Child
from bench.service.models import SIZES, service_settings
from bench.service.running import Service, interpreter, started

LEAST = 0.97
_LOADED = ("search filtered", "text", "detect")
READS = _LOADED, ("search", "filter", *_LOADED)
ADDS = ("add",), ("add",)
_WORKER = Path(__file__).with_name("store_worker.py")
_WARM_UP_S = 2.0
_CLIENTS, _STORE_CLIENTS, _ROWS, _SIDES = 32, 64, 100_000, ("640", "1280")


@dataclass
class Question:
    """Figures of this checkout and of the other, one pair a round, and CPU time of a request.

    A unit of "ms" means that less is better.
    """

    unit: str
    failed: int = 0
    figures: tuple[list[float], list[float]] = field(default_factory=lambda: ([], []))
    cpu_ms: tuple[list[float], list[float]] = field(default_factory=lambda: ([], []))

    def note(self, which: int, figure: float, cpu_ms: float) -> None:
        self.figures[which].append(figure)
        self.cpu_ms[which].append(cpu_ms)

    @property
    def ratios(self) -> list[float]:
        """This to the other, above 1 where this is better, one a round."""
        pairs = zip(*self.figures, strict=True)
        is_time = self.unit == "ms"
        return [ratio(other, this) if is_time else ratio(this, other) for this, other in pairs]

    @property
    def cpu_ratio(self) -> float:
        """CPU time of the other to this, medians."""
        return ratio(median(self.cpu_ms[1]), median(self.cpu_ms[0]))

    def __str__(self) -> str:
        least, most = min(self.ratios), max(self.ratios)
        words = f"{median(self.ratios):.3f} ({least:.3f} to {most:.3f})"
        return f"{words}, by CPU time {self.cpu_ratio:.3f}"


Questions = dict[str, Question]


def in_turn(round: int) -> tuple[int, int]:
    """Order of the two checkouts: A B, B A, A B, so that a drift hits both alike."""
    return (0, 1) if round % 2 == 0 else (1, 0)


def over_http(
    pair: Sequence[Service], routes: Sequence[Sequence[str]], given: Namespace, report: Report
) -> Questions:
    """Loads, then lone requests of both services, in turn, each pair for the same new pictures."""
    found: Questions = {}
    for service in pair:
        for route in routes[1]:
            service.load(route, 4, _WARM_UP_S)
    loaded = {"clients": _CLIENTS, "seconds": given.seconds}
    lone = {"clients": 1, "requests": given.requests}
    asked = [(f"{route}, {_CLIENTS} in flight", "/s", route, loaded) for route in routes[0]]
    asked += [(f"lone {route}", "ms", route, lone) for route in routes[1]]
    for name, unit, route, amount in asked:
        found[name] = question = Question(unit)
        for turn in range(given.rounds):
            first = next(pair[0].numbers)
            for which in in_turn(turn):
                source = replace(pair[which].fresh(route), first=first)
                load = Load(pair[which].process.port, source, **amount)
                measured = pair[which].measure(load)
                sent = measured.sent
                question.failed += sent.failed
                question.note(which, sent.ms(50) if unit == "ms" else sent.rate, measured.cpu_ms)
        report.say(f"{name}: {question}")
    return found


def of_the_store(projects: Sequence[Path], given: Namespace, report: Report) -> Questions:
    """Adds and searches of both stores without a service, in turn."""
    found: Questions = {}
    with ExitStack() as stack:
        workers = []
        for project in projects:
            folder = Path(stack.enter_context(tempfile.TemporaryDirectory()))
            command = [str(interpreter(project)), "-P", str(_WORKER), str(project), str(folder)]
            workers.append(Child(command, cwd=project))
            stack.callback(workers[-1].close)
            _, filled_s, _ = workers[-1].ask(do="fill", rows=_ROWS)["fill"]
            report.say(f"store: {_ROWS:,} rows, filled and indexed in {filled_s:.0f} s")
        for turn in range(given.rounds):
            for which in in_turn(turn):
                amount = {"clients": _STORE_CLIENTS, "seconds": given.seconds}
                answers = workers[which].ask(do="measure", **amount)
                for name, (unit, value, cpu_ms) in answers.items():
                    found.setdefault(name, Question(unit)).note(which, value, cpu_ms)
    for name, question in found.items():
        report.say(f"{name}: {question}")
    return found


@contextmanager
def services(
    projects: Sequence[Path], given: Namespace, tables: Sequence[Path]
) -> Iterator[list[Service]]:
    """The service of each checkout with its table on one file server, until the block ends."""
    settings = service_settings(given.models)
    with ExitStack() as stack:
        photos = stack.enter_context(photographs(_SIDES))
        files = stack.enter_context(FileServer(photos))
        pair = []
        for project, table in zip(projects, tables, strict=True):
            folder = Path(stack.enter_context(tempfile.TemporaryDirectory()))
            process = stack.enter_context(started(settings, folder, store=table, project=project))
            pair.append(Service(process, files, tuple(photos)))
        yield pair


def add_options(parser: ArgumentParser) -> None:
    parser.add_argument("--project", type=Path, required=True, help="the other checkout")
    parser.add_argument("--quick", action="store_true", help="3 rounds of 5 seconds")
    parser.add_argument("--rounds", type=int, default=6)
    parser.add_argument("--seconds", type=float, default=10, help="of each load")
    parser.add_argument("--requests", type=int, default=60, help="lone ones of a round")
    parser.add_argument("--models", choices=SIZES, default="demo")
    parser.add_argument("--only", choices=("http", "store"), help="one half of the questions")


def run(given: Namespace, report: Report) -> list[Limit]:
    if given.quick:
        given.rounds, given.seconds, given.requests = 3, 5.0, 40
    projects = [PROJECT, given.project.resolve()]
    report.say(f"this: {commit(projects[0])}, other: {commit(projects[1])}\n")
    found: Questions = {}
    if given.only != "store":
        with tempfile.TemporaryDirectory() as name:
            tables = [Path(name, "this"), Path(name, "other")]
            with services(projects, given, tables) as pair:
                found |= over_http(pair, ADDS, given, report)
            # A search costs by the number of fragments, which chance leaves: give both the same.
            shutil.rmtree(tables[0])
            shutil.copytree(tables[1], tables[0])
            with services(projects, given, tables) as pair:
                found |= over_http(pair, READS, given, report)
    if given.only != "http":
        found |= of_the_store(projects, given, report)
    rows: list[tuple[Cell, ...]] = []
    for name, each in found.items():
        figures, cpu_ms = list(map(median, each.figures)), list(map(median, each.cpu_ms))
        ratios = (median(each.ratios), min(each.ratios), max(each.ratios))
        rows.append((name, each.unit, *figures, *ratios, *cpu_ms, each.cpu_ratio))
    columns = ["question", "unit", "this", "other", "ratio", "least", "most"]
    columns += ["CPU ms: this", "other ", "CPU ratio"]
    report.say("")
    report.table(columns, rows, "medians of the rounds; ratio above 1: this checkout is better")
    failed = sum(each.failed for each in found.values())
    limits = [Limit(name, median(each.ratios), least=LEAST) for name, each in found.items()]
    return [*limits, Limit("failed requests", failed, most=0)]
