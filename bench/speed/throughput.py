"""How near do adds, searches and detections come to what the same models reach in one process?

The limit is one process that decodes, prepares and computes the same JPEG files in full batches,
spread over the cores in the fastest way that is found in this run; it is measured before and after
each load, which is compared with the mean of the two. Every request is for a picture with a URL and
pixels of its own. The limit ends with the boxes, which `detect` also draws::

    uv run python -m bench throughput             # about half an hour

With full-size models adds, detections and boxes at 32 or more in flight must reach 0.90.
"""

from argparse import ArgumentParser, Namespace
from contextlib import closing
from statistics import mean
from typing import NamedTuple

from bench.load.photos import by_shape, photographs
from bench.load.traffic import ROUTES
from bench.report import Cell, Limit, Report, median, percentile, ratio
from bench.service.models import add_service_options, numbers, settings_of
from bench.service.running import Measured, Service, served
from bench.speed.limit import Limits, Model

LEAST = 0.90
JUDGED = ("add", "detect", "boxes")
JUDGED_CLIENTS = 32
_WARM_UP_S = 3.0


class Turn(NamedTuple):
    """One load, and its share of the limit: of the mean of those before and after it."""

    load: Measured
    share: float


Turns = dict[tuple[str, int], list[Turn]]
"""By route and clients."""


def model_of(route: str) -> Model:
    return "yolo" if route in {"detect", "boxes"} else "clip"


def turns_of(service: Service, limits: Limits, given: Namespace) -> Turns:
    """Every route with every number of clients, in turns, limits between them."""
    turns: Turns = {(route, n): [] for route in given.routes for n in given.clients}
    for route in given.routes:
        service.load(route, 4, _WARM_UP_S)
        before = limits.measure(model_of(route))
        for clients in given.clients * given.rounds:
            load = service.load(route, clients, given.seconds)
            after = limits.measure(model_of(route))
            turns[route, clients].append(Turn(load, ratio(load.sent.rate, mean((before, after)))))
            before = after
    return turns


def tell(report: Report, turns: Turns, limits: Limits) -> None:
    report.table(
        ["limit", "times", "least", "median", "most", "how"],
        [
            (model, len(rates), min(rates), median(rates), max(rates), limits.found[model].words)
            for model, rates in limits.rates.items()
        ],
        "pictures/s of one process, beside the loads",
    )
    rows: list[tuple[Cell, ...]] = []
    for (route, clients), each in turns.items():
        rate, shares = median([turn.load.sent.rate for turn in each]), [turn.share for turn in each]
        ms = [ms for turn in each for ms in turn.load.sent.latencies]
        failed = sum(turn.load.sent.failed for turn in each)
        cpu_ms = mean(turn.load.cpu_ms for turn in each)
        cells = (rate, median(shares), min(shares), max(shares))
        rows.append(
            (route, clients, *cells, percentile(ms, 50), percentile(ms, 99), failed, cpu_ms)
        )
    columns = ["route", "in flight", "requests/s", "of the limit", "least", "most"]
    columns += ["p50 ms", "p99 ms", "failed", "CPU ms each"]
    report.table(columns, rows, "rates and shares are medians of the rounds")


def verdicts(turns: Turns, *, full: bool) -> list[Limit]:
    """Shares of the limits; with demo models only failures count."""
    found = []
    for (route, clients), each in turns.items():
        if full and route in JUDGED and clients >= JUDGED_CLIENTS:
            share = median([turn.share for turn in each])
            found.append(Limit(f"{route}, {clients} in flight, to the limit", share, least=LEAST))
    failed = sum(turn.load.sent.failed for each in turns.values() for turn in each)
    return [*found, Limit("failed requests", failed, most=0)]


def add_options(parser: ArgumentParser) -> None:
    add_service_options(parser, rows=10_000, sides="native,640,1280,4000")
    routes = ("add", "detect", "boxes", "search")
    parser.add_argument("--routes", nargs="+", choices=ROUTES, default=routes)
    parser.add_argument("--clients", type=numbers, default=(1, 8, 32, 64))
    parser.add_argument("--seconds", type=float, default=20, help="longer than a request takes")
    parser.add_argument("--rounds", type=int, default=3, help="of all loads of a route")


def run(given: Namespace, report: Report) -> list[Limit]:
    settings = settings_of(given, report)
    with (
        photographs(given.sides) as files,
        closing(Limits(by_shape(files), settings)) as limits,
    ):
        for model in dict.fromkeys(map(model_of, given.routes)):
            limits.find(model)
        with served(settings, given.sides, given.rows) as service:
            turns = turns_of(service, limits, given)
    tell(report, turns, limits)
    return verdicts(turns, full=given.models == "full")
