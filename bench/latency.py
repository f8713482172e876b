"""A lone search and a lone detection: how long they take, and where each millisecond goes.

One request at a time, while nothing else happens, with 100,000 rows in the table, their indexes
built. Between two requests the service's own metrics are read, so that the parts are those of this
very request (`bench.stages`)::

    uv run python -m bench.latency

What the service adds is a request's time for its client, less its own download and less its own
forward pass as the model's worker measures it. Exits with 1 if the median of that is above 15 ms
for a search by text or by a photograph of an ordinary size. Beside it stand the same forward pass
by the plain model class in an idle process, and the same download by a plain client.
"""

import http.client
import statistics
import sys
from collections.abc import Mapping, Sequence
from itertools import islice

from bench.ending import end_on_signals
from bench.forward import lone_forward
from bench.lone import WARM_UP, Lone
from bench.options import service_options
from bench.photos import NATIVE
from bench.report import Cell, Report
from bench.served import Served, photographs, served
from bench.settings import service_settings, tell_settings
from bench.stages import FETCH, FORWARD, Stages, watched
from bench.timing import Timed, each_now
from bench.verdict import Limit, judged, percentile

MOST_OVER_MS = 15.0
ORDINARY = (NATIVE, "640", "1280")
TEXT = "text"
Asked = tuple[str, str]
"""Route and side; a search by text has no side."""


def asked_of(sides: Sequence[str]) -> list[Asked]:
    """What is measured."""
    return [("text", TEXT), *((route, side) for route in ("search", "detect") for side in sides)]


def measure(service: Served, wanted: Sequence[Asked], runs: int) -> dict[Asked, list[Stages]]:
    """Lone requests of every kind."""
    client, found = Lone(service.service.port), {}
    for route, side in wanted:
        photos = [name for name in service.photos if name.endswith(f"-{side}.jpg")]
        requests = service.stream(route, photos).requests(service.files.url)
        client.timed(islice(requests, WARM_UP))
        found[route, side] = watched(client, list(islice(requests, runs)))
    client.close()
    return found


def plain_fetch(service: Served, photo: str, runs: int) -> Timed[bytes]:
    """The same file by a plain client with a kept connection."""
    connection = http.client.HTTPConnection("127.0.0.1", service.files.port, timeout=60)

    def get(_: int) -> bytes:
        connection.request("GET", f"/{photo}")
        return connection.getresponse().read()

    get(0)
    timed = each_now(get, range(runs))
    connection.close()
    return timed


def tell(
    report: Report,
    found: Mapping[Asked, Sequence[Stages]],
    forward: Mapping[str, float],
    fetch: Mapping[str, float],
) -> None:
    """Print the latencies, and the budget of each."""
    rows: list[tuple[Cell, ...]] = []
    for (route, side), each in found.items():
        model = {"text": "text", "search": "clip"}.get(route, "yolo")
        total = [one.total for one in each]
        over = [one.over for one in each]
        fetched, computed = _median(each, FETCH), _median(each, FORWARD)
        rows.append(
            (
                route,
                side,
                percentile(total, 50),
                percentile(total, 99),
                fetched,
                fetch.get(side),
                computed,
                forward[model],
                percentile(over, 50),
                percentile(over, 99),
            )
        )
    columns = ("route", "size", "p50 ms", "p99 ms", "fetch", "plain fetch")
    more = ("forward", "plain forward", "over both, p50", "over both, p99")
    report.table([*columns, *more], rows, "lone requests; parts are medians")
    parts = dict.fromkeys(part for each in found.values() for one in each for part in one.parts)
    budget: list[tuple[Cell, ...]] = [
        (part, *(_mean(each, part) for each in found.values())) for part in parts
    ]
    budget.append(
        ("all", *(statistics.fmean(one.total for one in each) for each in found.values()))
    )
    report.table(
        ["part", *(f"{route} {side}" for route, side in found)],
        budget,
        "where each millisecond goes: means, so that they add up",
    )


def tell_histograms(report: Report, found: Mapping[Asked, Sequence[Stages]]) -> None:
    """Print every timer of the service by itself; some hold others."""
    names = sorted({name for each in found.values() for one in each for name in one.histograms})
    rows: list[tuple[Cell, ...]] = [
        (
            name,
            *(
                statistics.fmean(one.histograms.get(name, 0.0) for one in each)
                for each in found.values()
            ),
        )
        for name in names
    ]
    columns = ["timer, ms for each request", *(f"{route} {side}" for route, side in found)]
    report.table(columns, rows, "the service's own timers; some hold others")


def _median(found: Sequence[Stages], part: str) -> float:
    return statistics.median(one.parts[part] for one in found)


def _mean(found: Sequence[Stages], part: str) -> float:
    return statistics.fmean(one.parts.get(part, 0.0) for one in found)


def verdicts(found: Mapping[Asked, Sequence[Stages]]) -> list[Limit]:
    """What must be kept."""
    return [
        Limit(
            f"lone search by {'text' if side == TEXT else f'picture, {side}'}, ms over both, p50",
            percentile([one.over for one in each], 50),
            most=MOST_OVER_MS,
        )
        for (route, side), each in found.items()
        if route in {"search", "text"} and side in {*ORDINARY, TEXT}
    ]


def main() -> None:
    """Runs and exits with 1 if a limit was not kept."""
    given = service_options(__doc__, 100_000, 60, "requests of each kind", "native,640,1280,4000")
    end_on_signals()
    report = Report(f"Latency: {given.models} models, {given.rows:,} rows, {given.runs} runs")
    settings = service_settings(given.models, given.precision)
    tell_settings(report, settings)
    with photographs(given.sides) as files:
        first = next(iter(files.values()))
        forward = {
            model: lone_forward(model, first, settings).ms(50) for model in ("text", "clip", "yolo")
        }
        with served(settings, files, given.rows) as service:
            found = measure(service, asked_of(given.sides), given.runs)
            fetch = {
                side: plain_fetch(service, f"bus-{side}.jpg", given.runs).ms(50)
                for side in given.sides
            }
    tell(report, found, forward, fetch)
    tell_histograms(report, found)
    kept = judged(report, verdicts(found))
    if given.json:
        report.json(given.json)
    sys.exit(0 if kept else 1)


if __name__ == "__main__":
    main()
