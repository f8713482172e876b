"""After a burst of 200 requests at once, does a lone request take longer than before?

For each route lone requests are timed in blocks, then 200 requests come at the same moment, and
once the last one is answered lone requests are timed again: at once, and five seconds later::

    uv run python -m bench.burst

Exits with 1 if the median afterwards is more than 1.25 times the one before, and also more than
the blocks before differed among themselves; or if a request of the burst failed.
"""

import sys
import time
from collections.abc import Mapping
from dataclasses import dataclass
from itertools import islice

from bench.ending import end_on_signals
from bench.lone import WARM_UP, Lone
from bench.options import service_options
from bench.report import Report
from bench.served import Measured, Served, photographs, served
from bench.settings import service_settings, tell_settings
from bench.traffic import ROUTES
from bench.verdict import Limit, judged, percentile, ratio

MOST = 1.25
BURST = 200
BLOCKS = 5
LATER_S = 5.0


@dataclass(frozen=True)
class Burst:
    """Lone requests around a burst.

    Attributes:
        before: medians of the blocks before it, in milliseconds.
        burst: its own requests.
        after: median at once after it.
        later: median some seconds after it.
    """

    before: list[float]
    burst: Measured
    after: float
    later: float

    @property
    def lone_ms(self) -> float:
        """Before the burst."""
        return percentile(self.before, 50)

    @property
    def noise(self) -> float:
        """The largest block before it to the middle one: what happens without any burst."""
        return ratio(max(self.before), self.lone_ms)

    @property
    def most(self) -> float:
        """What afterwards may be to before."""
        return max(MOST, self.noise)


def around_a_burst(service: Served, route: str, runs: int) -> Burst:
    """Measure one route."""
    client = Lone(service.service.port)
    requests = service.stream(route).requests(service.files.url)

    def block() -> float:
        timed = client.timed(islice(requests, runs))
        if set(timed.answers) != {200}:
            raise RuntimeError(f"lone requests were answered {set(timed.answers)}")
        return timed.ms(50)

    client.timed(islice(requests, WARM_UP))
    before = [block() for _ in range(BLOCKS)]
    client.close()  # the service closes what has idled so long; the next request connects anew
    burst = service.measured(service.load(route, BURST, 0))
    after = block()
    client.close()
    time.sleep(LATER_S)
    later = block()
    client.close()
    return Burst(before, burst, after, later)


def tell(report: Report, found: Mapping[str, Burst]) -> None:
    """Print all of it."""
    report.table(
        [
            "route",
            "before, p50 ms",
            "blocks differ by",
            "at once after",
            "5 s after",
            "burst: s",
            "p50 ms",
            "p99 ms",
            "failed",
        ],
        [
            (
                route,
                each.lone_ms,
                each.noise,
                each.after,
                each.later,
                each.burst.seconds,
                each.burst.p(50),
                each.burst.p(99),
                each.burst.failed,
            )
            for route, each in found.items()
        ],
        f"lone requests around {BURST} at once",
    )


def verdicts(found: Mapping[str, Burst]) -> list[Limit]:
    """What must be kept."""
    limits = []
    for route, each in found.items():
        for when, ms in (("at once after", each.after), ("5 s after", each.later)):
            what = f"lone {route}, {when} to before"
            limits.append(Limit(what, ratio(ms, each.lone_ms), most=each.most))
    failed = sum(each.burst.failed for each in found.values())
    return [*limits, Limit("failed requests of the bursts", failed, most=0)]


def main() -> None:
    """Runs and exits with 1 if a limit was not kept."""
    given = service_options(__doc__, 10_000, 20, "lone requests of a block", "640,1280")
    end_on_signals()
    report = Report(f"A burst of {BURST}: {given.models} models, {given.rows:,} rows")
    settings = service_settings(given.models, given.precision)
    tell_settings(report, settings)
    with (
        photographs(given.sides) as files,
        served(settings, files, given.rows) as service,
    ):
        found = {route: around_a_burst(service, route, given.runs) for route in ROUTES}
    tell(report, found)
    kept = judged(report, verdicts(found))
    if given.json:
        report.json(given.json)
    sys.exit(0 if kept else 1)


if __name__ == "__main__":
    main()
