"""Throughput of adding, detecting and searching, against what the same models reach alone.

The limit is one process that decodes, prepares and computes the same JPEG files in perfect batches,
and nothing else, spread over the cores in the fastest way that is found in this very run
(`bench.yardstick`). Then the real service, with its real file server, is asked by so many clients
at once for pictures that are all different; an added one is always new::

    uv run python -m bench.throughput

Before and after each load the limit is measured again, while nobody asks the service: a machine
that others share is faster or slower from minute to minute, and a load is compared with the mean of
the two beside it. What counts is the median over several rounds.

Exits with 1 if adding or detecting with 32 or 64 requests in flight stays below 0.90 of the limit
with full-size models, or any request fails. Of detecting the limit ends with the boxes; what it is
with the drawing and the JPEG file of the answer stands beside it.
"""

import argparse
import sys
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from statistics import mean, median

from bench.ending import end_on_signals
from bench.limit import DRAWN, Model
from bench.photos import sides_of
from bench.report import Cell, Report
from bench.served import Measured, Served, photographs, served
from bench.settings import numbers, service_settings, tell_settings
from bench.traffic import ROUTES
from bench.verdict import Limit, judged, percentile, ratio
from bench.weights import SIZES
from bench.yardstick import Limits, Yardstick

LEAST = 0.90
JUDGED = ("index", "detect", "objects")
JUDGED_CLIENTS = 32
WARM_UP_S = 3.0
MODELS: Mapping[str, tuple[Model, ...]] = {
    "index": ("clip",),
    "search": ("clip",),
    "detect": ("yolo", DRAWN),
    "objects": ("yolo",),
}
"""By route, what it is measured against, and what is told besides."""


@dataclass(frozen=True)
class Wanted:
    """What the command line asks for."""

    routes: tuple[str, ...]
    clients: tuple[int, ...]
    sides: tuple[str, ...]
    seconds: float
    rounds: int
    rows: int
    log: Path | None


@dataclass(frozen=True)
class Turn:
    """One load.

    Attributes:
        load: what it came to.
        limits: the mean of those before and after it.
    """

    load: Measured
    limits: Limits

    def share(self, model: Model) -> float:
        """Of a limit."""
        return ratio(self.load.rate, self.limits[model])


Turns = dict[tuple[str, int], list[Turn]]
"""By route and clients."""


def turns_of(served: Served, yardstick: Yardstick, wanted: Wanted) -> Turns:
    """Every route with every number of clients, in turns; limits before, between and after them."""
    turns: Turns = {(route, clients): [] for route in wanted.routes for clients in wanted.clients}
    for route in wanted.routes:
        served.measured(served.load(route, 4, WARM_UP_S))
        before = yardstick.limits(MODELS[route])
        for clients in wanted.clients * wanted.rounds:
            load = served.measured(served.load(route, clients, wanted.seconds))
            after = yardstick.limits(MODELS[route])
            beside = {model: mean((before[model], after[model])) for model in after}
            turns[route, clients].append(Turn(load, beside))
            before = after
    return turns


def tell_limits(report: Report, yardstick: Yardstick) -> None:
    """Print how the limits were found, and what they are."""
    for model, found in yardstick.found.items():
        rows = sorted(found.tried.items(), key=lambda each: -each[1])
        if rows:
            report.table(["way", "pictures/s"], rows[:8], f"{model}: the fastest of the ways tried")
    report.table(
        ["limit", "times", "least", "median", "most", "libraries' own fp32 way", "how"],
        [
            (
                model,
                len(rates),
                min(rates),
                median(rates),
                max(rates),
                found.plain_rate,
                found.words,
            )
            for model, found in yardstick.found.items()
            if (rates := yardstick.rates[model])
        ],
        "pictures/s of one process, beside the loads",
    )


def tell_loads(report: Report, turns: Turns, plain: Mapping[Model, float | None]) -> None:
    """Print throughput and latency, beside the limits."""
    rows: list[tuple[Cell, ...]] = []
    for (route, clients), each in turns.items():
        model, *drawn = MODELS[route]
        rate, shares = median(turn.load.rate for turn in each), _shares(each, model)
        to_drawn = percentile(_shares(each, drawn[0]), 50) if drawn else None
        ms = [one for turn in each for one in turn.load.ms]
        failed = sum(turn.load.failed for turn in each)
        core_ms = mean(turn.load.core_ms() for turn in each)
        cells: list[Cell] = [route, clients, rate, percentile(shares, 50), min(shares), max(shares)]
        cells += [to_drawn, ratio(rate, plain[model] or 0)]
        rows.append((*cells, percentile(ms, 50), percentile(ms, 99), failed, core_ms))
    columns = ["route", "in flight", "requests/s", "of the limit", "least", "most"]
    columns += ["with drawing", "to the plain way", "p50 ms", "p99 ms", "failed", "CPU ms each"]
    report.table(columns, rows, "rates and shares are medians of the rounds")


def tell_cores(report: Report, turns: Turns) -> None:
    """Print what each process took of the machine."""
    loads = {key: [turn.load.cores for turn in each] for key, each in turns.items()}
    names = list(dict.fromkeys(name for each in loads.values() for one in each for name in one))
    rows: list[list[Cell]] = [
        [route, clients, *(mean(one.get(name, 0.0) for one in each) for name in names)]
        for (route, clients), each in loads.items()
    ]
    report.table(["route", "in flight", *names], rows, "cores by process, means of the rounds")


def verdicts(turns: Turns, *, full: bool) -> list[Limit]:
    """What must be kept."""
    kept = [
        Limit(
            f"{route}, {clients} in flight, to the limit",
            percentile(_shares(each, MODELS[route][0]), 50),  # nan stays nan
            least=LEAST,
        )
        for (route, clients), each in turns.items()
        if full and route in JUDGED and clients >= JUDGED_CLIENTS
    ]
    failed = sum(turn.load.failed for each in turns.values() for turn in each)
    return [*kept, Limit("failed requests", failed, most=0)]


def measure(wanted: Wanted, settings: dict[str, str], report: Report, *, full: bool) -> bool:
    """Measure, print, and tell whether every limit was kept."""
    with photographs(wanted.sides) as files, Yardstick(files, settings) as yardstick:
        yardstick.find([model for route in wanted.routes for model in MODELS[route]])
        with served(settings, files, wanted.rows, wanted.log) as service:
            turns = turns_of(service, yardstick, wanted)
    tell_limits(report, yardstick)
    plain = {model: found.plain_rate for model, found in yardstick.found.items()}
    tell_loads(report, turns, plain)
    tell_cores(report, turns)
    return judged(report, verdicts(turns, full=full))


def _shares(turns: Sequence[Turn], model: Model) -> list[float]:
    return [turn.share(model) for turn in turns]


def _choices(text: str) -> tuple[str, ...]:
    chosen = tuple(text.split(","))
    for route in chosen:
        if route not in MODELS:
            raise ValueError(f"{route!r} is none of {', '.join(ROUTES)}")
    return chosen


def main() -> None:
    """Runs and exits with 1 if a limit was not kept."""
    parser = argparse.ArgumentParser(description=(__doc__ or "").splitlines()[0])
    parser.add_argument("--models", choices=SIZES, default="full")
    parser.add_argument("--routes", type=_choices, default=("index", "detect", "objects", "search"))
    parser.add_argument("--clients", type=numbers, default=(1, 8, 32, 64))
    parser.add_argument("--sides", type=sides_of, default=sides_of("native,640,1280,4000"))
    parser.add_argument(
        "--seconds",
        type=float,
        default=20,
        help="of each load; with a ramp shorter than a request's time the rate comes out too high",
    )
    parser.add_argument("--rounds", type=int, default=3, help="of all loads of a route")
    parser.add_argument("--precision", help="of both models, in the service and in the limit")
    parser.add_argument("--rows", type=int, default=10_000, help="in the table from the start")
    parser.add_argument("--json", type=Path)
    parser.add_argument("--log", type=Path, help="keep what the service prints")
    given = parser.parse_args()
    end_on_signals()
    wanted = Wanted(
        routes=given.routes,
        clients=given.clients,
        sides=given.sides,
        seconds=given.seconds,
        rounds=given.rounds,
        rows=given.rows,
        log=given.log,
    )
    report = Report(
        f"Throughput: {given.models} models, {given.rounds} x {given.seconds:g} s for each load"
    )
    settings = service_settings(given.models, given.precision)
    tell_settings(report, settings)
    report.say(f"photographs: {', '.join(wanted.sides)}; rows from the start: {wanted.rows:,}\n")
    kept = measure(wanted, settings, report, full=given.models == "full")
    if given.json:
        report.json(given.json)
    sys.exit(0 if kept else 1)


if __name__ == "__main__":
    main()
