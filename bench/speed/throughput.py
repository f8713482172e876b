"""How near do adds, searches and detections come to what the same models reach in one process?

The limit is one process that decodes, prepares and computes the same JPEG files in full batches,
and nothing else, spread over the cores in the fastest way that is found in this very run. It is
measured again before and after each load, while nobody asks the service; a load is compared with
the mean of the two beside it, and the median of the rounds counts. Every request is for a picture
with a URL and pixels of its own. A limit ends with the boxes; `detect` also draws them, and its
share of the limit with drawing stands beside it::

    uv run python -m bench throughput             # about half an hour

With full-size models adds, detections and boxes at 32 or more in flight must reach 0.90.
"""

from argparse import ArgumentParser, Namespace
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from statistics import mean

from bench.load.photos import photographs
from bench.load.traffic import ROUTES
from bench.report import Cell, Limit, Report, median, percentile, ratio
from bench.service.models import add_service_options, numbers, settings_of
from bench.service.running import Measured, Service, served
from bench.speed.limit import DRAWN, Limits, Model

LEAST = 0.90
JUDGED = ("add", "detect", "boxes")
JUDGED_CLIENTS = 32
_WARM_UP_S = 3.0
_MODELS: Mapping[str, tuple[Model, ...]] = {"detect": ("yolo", DRAWN), "boxes": ("yolo",)}
"""By route, the limits; of all others it is CLIP's."""


@dataclass(frozen=True)
class Turn:
    """One load, and the limits: means of those before and after it."""

    load: Measured
    limits: dict[Model, float]

    def share(self, model: Model) -> float:
        return ratio(self.load.sent.rate, self.limits[model])


Turns = dict[tuple[str, int], list[Turn]]
"""By route and clients."""


def models_of(route: str) -> tuple[Model, ...]:
    return _MODELS.get(route, ("clip",))


def turns_of(service: Service, limits: Limits, given: Namespace) -> Turns:
    """Every route with every number of clients, in turns, limits between them."""
    turns: Turns = {(route, n): [] for route in given.routes for n in given.clients}
    for route in given.routes:
        service.load(route, 4, _WARM_UP_S)
        before = limits.measure(models_of(route))
        for clients in given.clients * given.rounds:
            load = service.load(route, clients, given.seconds)
            after = limits.measure(models_of(route))
            beside = {model: mean((before[model], after[model])) for model in after}
            turns[route, clients].append(Turn(load, beside))
            before = after
    return turns


def tell(report: Report, turns: Turns, limits: Limits) -> None:
    report.table(
        ["limit", "times", "least", "median", "most", "libraries' own fp32 way", "how"],
        [
            (
                *(model, len(rates), min(rates), median(rates), max(rates)),
                *(limits.found[model].plain_rate, limits.found[model].words),
            )
            for model, rates in limits.rates.items()
        ],
        "pictures/s of one process, beside the loads",
    )
    rows: list[tuple[Cell, ...]] = []
    for (route, clients), each in turns.items():
        model, *drawn = models_of(route)
        rate, shares = median([turn.load.sent.rate for turn in each]), _shares(each, model)
        ms = [ms for turn in each for ms in turn.load.sent.latencies]
        cells: list[Cell] = [route, clients, rate, median(shares), min(shares), max(shares)]
        cells.append(median(_shares(each, drawn[0])) if drawn else None)
        cells.append(ratio(rate, limits.found[model].plain_rate or 0))
        cells += [percentile(ms, 50), percentile(ms, 99)]
        cells.append(sum(turn.load.sent.failed for turn in each))
        rows.append((*cells, mean(turn.load.cpu_ms for turn in each)))
    columns = ["route", "in flight", "requests/s", "of the limit", "least", "most"]
    columns += ["with drawing", "to the plain way", "p50 ms", "p99 ms", "failed", "CPU ms each"]
    report.table(columns, rows, "rates and shares are medians of the rounds")


def verdicts(turns: Turns, *, full: bool) -> list[Limit]:
    """Shares of the limits; with demo models only failures count."""
    found = []
    for (route, clients), each in turns.items():
        if full and route in JUDGED and clients >= JUDGED_CLIENTS:
            share = median(_shares(each, models_of(route)[0]))
            found.append(Limit(f"{route}, {clients} in flight, to the limit", share, least=LEAST))
    failed = sum(turn.load.sent.failed for each in turns.values() for turn in each)
    return [*found, Limit("failed requests", failed, most=0)]


def _shares(turns: Sequence[Turn], model: Model) -> list[float]:
    return [turn.share(model) for turn in turns]


def _routes(text: str) -> tuple[str, ...]:
    for route in text.split(","):
        if route not in ROUTES:
            raise ValueError(f"{route!r} is none of {', '.join(ROUTES)}")
    return tuple(text.split(","))


def add_options(parser: ArgumentParser) -> None:
    add_service_options(parser, rows=10_000, sides="native,640,1280,4000")
    parser.add_argument("--routes", type=_routes, default=("add", "detect", "boxes", "search"))
    parser.add_argument("--clients", type=numbers, default=(1, 8, 32, 64))
    parser.add_argument("--seconds", type=float, default=20, help="longer than a request takes")
    parser.add_argument("--rounds", type=int, default=3, help="of all loads of a route")


def run(given: Namespace, report: Report) -> list[Limit]:
    settings = settings_of(given, report)
    with photographs(given.sides) as files, Limits(files, settings) as limits:
        limits.find([model for route in given.routes for model in models_of(route)])
        with served(settings, given.sides, given.rows) as service:
            turns = turns_of(service, limits, given)
    tell(report, turns, limits)
    return verdicts(turns, full=given.models == "full")
