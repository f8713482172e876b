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
from itertools import islice
from statistics import fmean

from bench.load.photos import NATIVE
from bench.report import Cell, Limit, Report, median, percentile, ratio
from bench.service.models import add_service_options, settings_of
from bench.service.running import Service, served
from bench.speed.stages import FETCH, FORWARD, Stages, watched

MOST_OVER_MS = 15.0
MOST_AFTER = 1.25
ORDINARY = (NATIVE, "640", "1280")
BURST, BLOCKS, BLOCK = 200, 5, 20
BURST_ROUTES = ("add", "search", "text", "detect")
_WARM_UP = 5
_LATER_S = 5.0


def parts(service: Service, given: Namespace, report: Report) -> list[Limit]:
    """Lone requests of every kind and size, in parts."""
    kinds = [("text", ""), *((route, s) for route in ("search", "detect") for s in given.sides)]
    found: dict[str, list[Stages]] = {}
    limits = []
    for route, side in kinds:
        requests = (request for _, request in service.fresh(route, side and f"-{side}").requests())
        stages = watched(service.process.port, islice(requests, _WARM_UP + given.runs))
        name = f"{route} {side}".strip()
        found[name] = stages[_WARM_UP:]
        if route == "text" or (route == "search" and side in ORDINARY):
            over = median([one.over for one in found[name]])
            limits.append(Limit(f"lone {name}, ms over both, p50", over, most=MOST_OVER_MS))
    rows: list[tuple[Cell, ...]] = []
    for name, each in found.items():
        total, over_ms = ([getattr(one, of) for one in each] for of in ("total", "over"))
        both = [median([one.parts[part] for one in each]) for part in (FETCH, FORWARD)]
        p99 = percentile(total, 99)
        rows.append((name, median(total), p99, *both, median(over_ms), percentile(over_ms, 99)))
    columns = ["lone request", "p50 ms", "p99 ms", FETCH, FORWARD, "over both, p50", "p99"]
    report.table(columns, rows, "parts are medians")
    names = dict.fromkeys(part for each in found.values() for one in each for part in one.parts)
    report.table(
        ["part", *found],
        [
            (part, *(fmean(one.parts.get(part, 0.0) for one in each) for each in found.values()))
            for part in names
        ],
        "where each millisecond goes: means",
    )
    return limits


def bursts(service: Service, report: Report) -> list[Limit]:
    """Lone requests around a burst of each route."""
    rows: list[tuple[Cell, ...]] = []
    limits = []
    for route in BURST_ROUTES:
        before = [median(service.lone_ms(route, BLOCK)) for _ in range(BLOCKS)]
        burst = service.load(route, BURST).sent
        at_once = median(service.lone_ms(route, BLOCK))
        time.sleep(_LATER_S)
        after = {"at once after": at_once, "5 s after": median(service.lone_ms(route, BLOCK))}
        usual, noise = median(before), ratio(max(before), median(before))
        rows.append(
            (route, usual, noise, *after.values(), burst.ms(50), burst.ms(99), burst.failed)
        )
        for when, ms in after.items():
            what = f"lone {route}, {when} a burst to before"
            limits.append(Limit(what, ratio(ms, usual), most=max(MOST_AFTER, noise)))
        limits.append(Limit(f"failed requests of {BURST} at once, {route}", burst.failed, most=0))
    columns = ["route", "before, p50 ms", "blocks differ by", "at once after", "5 s after"]
    columns += ["burst: p50 ms", "p99 ms", "failed"]
    report.table(columns, rows, f"lone requests around {BURST} at once")
    return limits


def add_options(parser: ArgumentParser) -> None:
    add_service_options(parser, rows=100_000, sides="native,640,1280,4000")
    parser.add_argument("--runs", type=int, default=60, help="requests of each kind")
    parser.add_argument("--burst", action=BooleanOptionalAction, default=True)


def run(given: Namespace, report: Report) -> list[Limit]:
    with served(settings_of(given, report), given.sides, given.rows) as service:
        limits = parts(service, given, report)
        return limits + bursts(service, report) if given.burst else limits
