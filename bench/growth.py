"""How latency and memory grow: with the rows in the table, with concurrency, with picture size.

Rows are measured twice, each count in a process of its own: searches of the store alone, and lone
searches of the whole service. Concurrency and size are measured with 10,000 rows::

    uv run python -m bench.growth            # up to a million rows; needs 6 GB of disk
    uv run python -m bench.growth --quick    # without the million

Exits with 1 if a request fails. Refusals (429) are told apart: a worker takes 256 requests at once,
and fewer while they take long.
"""

import argparse
import sys
import tempfile
from collections.abc import Sequence
from contextlib import ExitStack
from itertools import islice
from pathlib import Path

from bench.ending import end_on_signals
from bench.filled import fill
from bench.held_memory import held
from bench.lone import WARM_UP, Lone
from bench.photos import sides_of
from bench.processes import API_WORKER, DECODER, named
from bench.report import Cell, Report
from bench.served import Served, photographs, served
from bench.settings import numbers, service_settings, tell_settings
from bench.store_growth import searches
from bench.timing import Timed
from bench.verdict import Limit, judged
from bench.weights import SIZES
from runners.settings import ENV_PREFIX

ROWS = (1_000, 10_000, 100_000, 1_000_000)
CLIENTS = (1, 4, 16, 64, 128, 256)
SIDES = sides_of("320,640,1280,2000,4000")
ORDINARY = ("640", "1280")
LOADED = ("index", "search", "detect")
FEW_ROWS, QUICK_ROWS = 10_000, 100_000


def by_rows(report: Report, settings: dict[str, str], counts: Sequence[int], runs: int) -> None:
    """Print latency and memory by the rows in the table."""
    store: list[tuple[Cell, ...]] = []
    whole: list[tuple[Cell, ...]] = []
    for rows in counts:
        with ExitStack() as stack:
            folder = Path(stack.enter_context(tempfile.TemporaryDirectory()))
            placed = {**settings, f"{ENV_PREFIX}STORE_URI": str(folder)}
            fill(placed, rows)
            alone = searches(placed, runs)
            store.append((rows, alone.p50_ms, alone.p99_ms, alone.rss_mib, alone.disk_mib))
            files = stack.enter_context(photographs(ORDINARY))
            service = stack.enter_context(served(settings, files, store=folder))
            timed = {route: lone(service, route, runs) for route in ("text", "search")}
            memory = held(named(service.root)[API_WORKER])
        latency = (each.ms(percent) for each in timed.values() for percent in (50, 99))
        whole.append((rows, *latency, memory.rss, memory.uss))
    columns = ("rows", "search p50 ms", "p99 ms", "RSS MiB", "on disk MiB")
    report.table(columns, store, "the store alone")
    columns = ("rows", "by text p50 ms", "p99 ms", "by picture p50 ms", "p99 ms ")
    report.table([*columns, "API's RSS MiB", "USS MiB"], whole, "the service, lone searches")


def by_clients(report: Report, service: Served, counts: Sequence[int], seconds: float) -> int:
    """Print throughput, latency and memory by requests in flight; how many failed."""
    rows: list[tuple[Cell, ...]] = []
    failed = 0
    for route in LOADED:
        service.measured(service.load(route, 4, 2))
        for clients in counts:
            found = service.measured(service.load(route, clients, seconds))
            pss = sum(held(process).pss for process in named(service.root).values())
            wrong = found.failed - found.refused
            failed += wrong
            latency = (found.p(50), found.p(99))
            rows.append((route, clients, found.rate, *latency, wrong, found.refused, pss))
    columns = ("route", "in flight", "requests/s", "p50 ms", "p99 ms", "failed", "refused")
    report.table([*columns, "PSS of all MiB"], rows, "by requests in flight")
    return failed


def by_size(report: Report, service: Served, sides: Sequence[str], runs: int) -> None:
    """Print lone latency, and the memory of the decoders, by the long side of the picture."""
    rows: list[tuple[Cell, ...]] = []
    for side in sides:
        latency: list[float] = []
        for route in ("search", "detect"):
            timed = lone(service, route, runs, side)
            latency += [timed.ms(50), timed.ms(99)]
        decoders = [
            held(process).rss
            for name, process in named(service.root).items()
            if name.startswith(DECODER)
        ]
        rows.append((side, *latency, max(decoders, default=None)))
    columns = ("long side", "search p50 ms", "p99 ms", "detect p50 ms", "p99 ms ")
    report.table([*columns, "largest decoder's RSS MiB"], rows, "by size, lone requests")


def lone(service: Served, route: str, runs: int, side: str = "") -> Timed[int]:
    """Lone requests of a route.

    Raises:
        RuntimeError: an answer was not 200.
    """
    photos = [name for name in service.photos if name.endswith(f"{side}.jpg")]
    requests = service.stream(route, photos).requests(service.files.url)
    client = Lone(service.service.port)
    client.timed(islice(requests, WARM_UP))
    timed = client.timed(islice(requests, runs))
    client.close()
    if set(timed.answers) != {200}:
        raise RuntimeError(f"lone requests were answered {set(timed.answers)}")
    return timed


def main() -> None:
    """Runs and exits with 1 if a request failed."""
    parser = argparse.ArgumentParser(description=(__doc__ or "").splitlines()[0])
    parser.add_argument("--models", choices=SIZES, default="full")
    parser.add_argument("--rows", type=numbers, default=ROWS)
    parser.add_argument("--clients", type=numbers, default=CLIENTS)
    parser.add_argument("--sides", type=sides_of, default=SIDES)
    parser.add_argument("--quick", action="store_true", help="without the million rows")
    parser.add_argument("--runs", type=int, default=40, help="lone requests of each kind")
    parser.add_argument("--seconds", type=float, default=10, help="of each load")
    parser.add_argument("--precision", help="of both models")
    parser.add_argument("--json", type=Path)
    given = parser.parse_args()
    end_on_signals()
    report = Report(f"Growth: {given.models} models")
    settings = service_settings(given.models, given.precision)
    tell_settings(report, settings)
    counts = [rows for rows in given.rows if not given.quick or rows <= QUICK_ROWS]
    by_rows(report, settings, counts, given.runs)
    with photographs(given.sides) as files, served(settings, files, FEW_ROWS) as service:
        by_size(report, service, given.sides, given.runs)
    with photographs(ORDINARY) as files, served(settings, files, FEW_ROWS) as service:
        failed = by_clients(report, service, given.clients, given.seconds)
    kept = judged(report, [Limit("failed requests", failed, most=0)])
    if given.json:
        report.json(given.json)
    sys.exit(0 if kept else 1)


if __name__ == "__main__":
    main()
