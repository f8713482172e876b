"""Throughput of adding, detecting and searching, against what the same models reach alone.

The limit is one process that decodes, prepares and computes the same JPEG files in perfect batches,
and nothing else, spread over the cores in the fastest way that is found in this very run
(`bench.limit`). It is measured before the service starts and after it ended, and the larger of both
counts. Then the real service, with its real file server, is asked by so many clients at once for
pictures that are all different; an added one is always new::

    uv run python -m bench.throughput

Exits with 1 if adding or detecting with 32 or 64 requests in flight stays below 0.90 of the limit
with full-size models, or any request fails. Of detecting the limit ends with the boxes; what it is
with the drawing and the JPEG file of the answer stands beside it.
"""

import argparse
import sys
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path

from bench.ending import end_on_signals
from bench.limit import DRAWN, Found, Job, Model, best_of, few_whole, grouped, limit_of
from bench.photos import sides_of
from bench.report import Cell, Report
from bench.served import Measured, Served, photographs, served
from bench.settings import numbers, service_settings, tell_settings
from bench.traffic import ROUTES
from bench.verdict import Limit, judged, ratio
from bench.weights import SIZES

LEAST = 0.90
JUDGED = ("index", "detect")
JUDGED_CLIENTS = 32
WARM_UP_S = 3.0
LIMIT_S = 10.0
TRIALS = 6
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
    rows: int
    log: Path | None


Limits = dict[Model, Found]


class Yardstick:
    """Measures the limits.

    Args:
        files: the photographs.
        settings: of the service, which are those of the limit.
        seconds: for each; less for every way that is tried.
    """

    def __init__(
        self, files: Mapping[str, Path], settings: Mapping[str, str], seconds: float
    ) -> None:
        self._groups, self._settings, self._seconds = grouped(files), settings, seconds

    def find(self, routes: Sequence[str]) -> Limits:
        """The fastest way of every model that the routes are measured against."""
        found: Limits = {}
        for model in dict.fromkeys(model for route in routes for model in MODELS[route]):
            if model == DRAWN:  # it is told for information, and the detector's way will do
                like = found["yolo"]
                found[model] = self.again(model, replace(like, way=few_whole(like.way)))
            else:
                trial_s = self._seconds / TRIALS
                job = Job(model, self._groups, trial_s, self._seconds, plain=True)
                found[model] = best_of(job, self._settings)
        return found

    def again(self, model: Model, found: Found) -> Found:
        """The way that was found, measured once more."""
        job = Job(model, self._groups, 0, self._seconds, way=found.way, waits=found.waits)
        return limit_of(job, self._settings)


def loads(served: Served, wanted: Wanted) -> dict[tuple[str, int], Measured]:
    """Every route with every number of clients."""
    measured = {}
    for route in wanted.routes:
        served.measured(served.load(route, 4, WARM_UP_S))
        for clients in wanted.clients:
            load = served.load(route, clients, wanted.seconds)
            measured[route, clients] = served.measured(load)
    return measured


def tell_limits(report: Report, before: Limits, after: Limits) -> None:
    """Print how the limits were found, and what they are."""
    for model, found in before.items():
        rows = sorted(found.tried.items(), key=lambda each: -each[1])
        if rows:
            report.table(["way", "pictures/s"], rows[:8], f"{model}: the fastest of the ways tried")
    report.table(
        ["limit", "before", "after", "libraries' own fp32 way", "how"],
        [
            (model, found.rate, after[model].rate, found.plain_rate, found.words)
            for model, found in before.items()
        ],
        "pictures/s of one process",
    )


def tell_loads(
    report: Report,
    measured: Mapping[tuple[str, int], Measured],
    limits: Mapping[Model, float],
    plain: Mapping[Model, float | None],
) -> None:
    """Print throughput and latency, beside the limits."""
    rows: list[tuple[Cell, ...]] = []
    for (route, clients), found in measured.items():
        model, *drawn = MODELS[route]
        with_drawing = ratio(found.rate, limits[drawn[0]]) if drawn else None
        to_plain = ratio(found.rate, plain[model] or 0)
        shares = (ratio(found.rate, limits[model]), with_drawing, to_plain)
        latency = (found.p(50), found.p(99))
        rows.append((route, clients, found.rate, *shares, *latency, found.failed, found.core_ms()))
    report.table(
        [
            "route",
            "in flight",
            "requests/s",
            "of the limit",
            "with drawing",
            "to the plain way",
            "p50 ms",
            "p99 ms",
            "failed",
            "CPU ms each",
        ],
        rows,
    )


def tell_cores(report: Report, measured: Mapping[tuple[str, int], Measured]) -> None:
    """Print what each process took of the machine."""
    names = list(dict.fromkeys(name for found in measured.values() for name in found.cores))
    rows = [
        (route, clients, *(found.cores.get(name) for name in names))
        for (route, clients), found in measured.items()
    ]
    report.table(["route", "in flight", *names], rows, "cores by process")


def verdicts(
    measured: Mapping[tuple[str, int], Measured], limits: Mapping[Model, float], *, full: bool
) -> list[Limit]:
    """What must be kept."""
    kept = [
        Limit(
            f"{route}, {clients} in flight, to the limit",
            ratio(found.rate, limits[MODELS[route][0]]),
            least=LEAST,
        )
        for (route, clients), found in measured.items()
        if full and route in JUDGED and clients >= JUDGED_CLIENTS
    ]
    failed = sum(found.failed for found in measured.values())
    return [*kept, Limit("failed requests", failed, most=0)]


def measure(wanted: Wanted, settings: dict[str, str], report: Report, *, full: bool) -> bool:
    """Measure, print, and tell whether every limit was kept."""
    with photographs(wanted.sides) as files:
        yardstick = Yardstick(files, settings, min(LIMIT_S, wanted.seconds))
        before = yardstick.find(wanted.routes)
        with served(settings, files, wanted.rows, wanted.log) as service:
            measured = loads(service, wanted)
        after = {model: yardstick.again(model, found) for model, found in before.items()}
    tell_limits(report, before, after)
    limits = {model: max(found.rate, after[model].rate) for model, found in before.items()}
    plain = {model: found.plain_rate for model, found in before.items()}
    tell_loads(report, measured, limits, plain)
    tell_cores(report, measured)
    return judged(report, verdicts(measured, limits, full=full))


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
    parser.add_argument("--routes", type=_choices, default=("index", "detect", "search"))
    parser.add_argument("--clients", type=numbers, default=(1, 8, 32, 64))
    parser.add_argument("--sides", type=sides_of, default=sides_of("native,640,1280,4000"))
    parser.add_argument("--seconds", type=float, default=20, help="of each load")
    parser.add_argument("--precision", help="of both models, in the service and in the limit")
    parser.add_argument("--rows", type=int, default=10_000, help="in the table from the start")
    parser.add_argument("--json", type=Path)
    parser.add_argument("--log", type=Path, help="keep what the service prints")
    given = parser.parse_args()
    end_on_signals()
    wanted = Wanted(given.routes, given.clients, given.sides, given.seconds, given.rows, given.log)
    report = Report(f"Throughput: {given.models} models, {given.seconds:g} s for each load")
    settings = service_settings(given.models, given.precision)
    tell_settings(report, settings)
    report.say(f"photographs: {', '.join(wanted.sides)}; rows from the start: {wanted.rows:,}\n")
    kept = measure(wanted, settings, report, full=given.models == "full")
    if given.json:
        report.json(given.json)
    sys.exit(0 if kept else 1)


if __name__ == "__main__":
    main()
