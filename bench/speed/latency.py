"""How long does a lone request take, and where does each millisecond go?

One request at a time, while nothing else happens, with 100,000 rows in the table, their indexes
built. Between two requests the service's own metrics are read, so that the parts are those of this
very request::

    uv run python -m bench latency              # about four minutes

What the service adds is a request's time for its client, less its own download and its own forward
pass as the model's worker measures it: at most 15 ms for a search by text or by a photograph of an
ordinary size.
"""

from argparse import ArgumentParser, Namespace
from itertools import islice
from statistics import fmean

from bench.load.photos import NATIVE
from bench.report import Cell, Limit, Report, median, percentile
from bench.service.models import add_service_options, settings_of
from bench.service.running import Service, served
from bench.speed.stages import FETCH, FORWARD, Stages, watched

MOST_OVER_MS = 15.0
ORDINARY = (NATIVE, "640", "1280")
_WARM_UP = 5


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


def add_options(parser: ArgumentParser) -> None:
    add_service_options(parser, rows=100_000, sides="native,640,1280,4000")
    parser.add_argument("--runs", type=int, default=60, help="requests of each kind")


def run(given: Namespace, report: Report) -> list[Limit]:
    with served(settings_of(given, report), given.sides, given.rows) as service:
        return parts(service, given, report)
