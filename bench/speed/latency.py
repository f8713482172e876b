"""How long does a lone request take, and where does each millisecond go? And after a burst?

One request at a time, while nothing else happens, with 100,000 rows in the table, their indexes
built. Between two requests the service's own metrics are read, so that the parts are those of this
very request. Then lone requests are timed in blocks, before and after 200 come at once::

    uv run python -m bench latency              # about six minutes
    uv run python -m bench latency --no-burst

What the service adds is a request's time for its client, less its own download and its own forward
pass as the model's worker measures it: at most 15 ms for a search by text or by a photograph of an
ordinary size. After a burst a lone request may take 1.25 times as long as before, or as the blocks
before it differed among themselves.
"""

import time
from argparse import ArgumentParser, BooleanOptionalAction, Namespace
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from itertools import islice
from statistics import fmean

from bench.load.photos import NATIVE
from bench.report import Cell, Limit, Report, median, percentile, ratio
from bench.service.models import add_options as add_service_options
from bench.service.models import settings_of
from bench.service.running import Measured, Service, served
from bench.speed.stages import FETCH, FORWARD, Stages, watched

MOST_OVER_MS = 15.0
MOST_AFTER = 1.25
ORDINARY = (NATIVE, "640", "1280")
BURST, BLOCKS, BLOCK = 200, 5, 20
BURST_ROUTES = ("add", "search", "text", "detect")
_WARM_UP = 5
_LATER_S = 5.0
Asked = tuple[str, str]
"""Route and side; a search by text has no side."""


def parts_of(service: Service, sides: Sequence[str], runs: int) -> dict[Asked, list[Stages]]:
    """Lone requests of every kind and size, in parts."""
    kinds = [("text", ""), *((route, side) for route in ("search", "detect") for side in sides)]
    found = {}
    for route, side in kinds:
        requests = (request for _, request in service.fresh(route, side and f"-{side}").requests())
        stages = watched(service.process.port, islice(requests, _WARM_UP + runs))
        found[route, side] = stages[_WARM_UP:]
    return found


def tell_parts(report: Report, found: Mapping[Asked, Sequence[Stages]]) -> None:
    """Print the latencies, and the budget of each."""
    report.table(
        ["route", "size", "p50 ms", "p99 ms", FETCH, FORWARD, "over both, p50", "p99"],
        [
            (
                *(route, side, _p(total, 50), _p(total, 99)),
                *(median([one.parts[part] for one in each]) for part in (FETCH, FORWARD)),
                *(_p([one.over for one in each], 50), _p([one.over for one in each], 99)),
            )
            for (route, side), each in found.items()
            if (total := [one.total for one in each])
        ],
        "lone requests; parts are medians",
    )
    parts = dict.fromkeys(part for each in found.values() for one in each for part in one.parts)
    budget: list[tuple[Cell, ...]] = [
        (part, *(fmean(one.parts.get(part, 0.0) for one in each) for each in found.values()))
        for part in parts
    ]
    budget.append(("all", *(fmean(one.total for one in each) for each in found.values())))
    columns = ["part", *(f"{route} {side}".strip() for route, side in found)]
    report.table(columns, budget, "where each millisecond goes: means, so that they add up")


def part_limits(found: Mapping[Asked, Sequence[Stages]]) -> list[Limit]:
    """What the service may add to a search."""
    return [
        Limit(f"lone {route} {side}".strip() + ", ms over both, p50",
              median([one.over for one in each]), most=MOST_OVER_MS)
        for (route, side), each in found.items()
        if route in {"search", "text"} and side in {*ORDINARY, ""}
    ]  # fmt: skip


@dataclass(frozen=True)
class Burst:
    """Lone requests around a burst.

    Attributes:
        before: medians of the blocks before it, in milliseconds.
        burst: its own requests.
        after: medians at once after it, and some seconds later.
    """

    before: list[float]
    burst: Measured
    after: tuple[float, float]

    @property
    def noise(self) -> float:
        """The largest block before it to the middle one: what happens without any burst."""
        return ratio(max(self.before), median(self.before))


def around_a_burst(service: Service, route: str) -> Burst:
    """Measure one route."""

    def block() -> float:
        return median(service.lone_ms(route, BLOCK))

    before = [block() for _ in range(BLOCKS)]
    burst = service.load(route, BURST)
    at_once = block()
    time.sleep(_LATER_S)
    return Burst(before, burst, (at_once, block()))


def tell_bursts(report: Report, found: Mapping[str, Burst]) -> None:
    """Print all of it."""
    columns = ["route", "before, p50 ms", "blocks differ by", "at once after", "5 s after"]
    report.table(
        [*columns, "burst: s", "p50 ms", "p99 ms", "failed"],
        [
            (
                *(route, median(each.before), each.noise, *each.after, each.burst.seconds),
                *(each.burst.sent.ms(50), each.burst.sent.ms(99), each.burst.sent.failed),
            )
            for route, each in found.items()
        ],
        f"lone requests around {BURST} at once",
    )


def burst_limits(found: Mapping[str, Burst]) -> list[Limit]:
    """Lone requests afterwards to before."""
    afterwards = [
        Limit(f"lone {route}, {when} a burst to before", ratio(ms, median(each.before)),
              most=max(MOST_AFTER, each.noise))
        for route, each in found.items()
        for when, ms in zip(("at once after", "5 s after"), each.after, strict=True)
    ]  # fmt: skip
    failed = sum(each.burst.sent.failed for each in found.values())
    return [*afterwards, Limit("failed requests of the bursts", failed, most=0)]


def _p(values: Sequence[float], percent: float) -> float:
    return percentile(values, percent)


def add_options(parser: ArgumentParser) -> None:
    """Runs, and the service."""
    add_service_options(parser, rows=100_000, sides="native,640,1280,4000")
    parser.add_argument("--runs", type=int, default=60, help="requests of each kind")
    parser.add_argument("--burst", action=BooleanOptionalAction, default=True)


def run(given: Namespace, report: Report) -> list[Limit]:
    """Measure and print."""
    with served(settings_of(given, report), given.sides, given.rows) as service:
        parts = parts_of(service, given.sides, given.runs)
        tell_parts(report, parts)
        if not given.burst:
            return part_limits(parts)
        bursts = {route: around_a_burst(service, route) for route in BURST_ROUTES}
    tell_bursts(report, bursts)
    return [*part_limits(parts), *burst_limits(bursts)]
