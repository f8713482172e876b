"""What does it cost to have the models on ports of their own, and what do two of them share?

The same models, the same machine and the same requests: a service with its own models and one whose
models are services of their own are loaded in turns, and then asked alone in turns. Then an API has
two CLIP services, of which one is killed under load::

    uv run python -m bench apart                # about six minutes

Apart must reach 0.95 of the throughput of together, and answer a lone request at most 3 ms later;
the two CLIP services must compute for times within 20 % of each other, and no request may fail when
one of them is killed.
"""

import tempfile
import threading
import time
from argparse import ArgumentParser, Namespace
from itertools import count
from pathlib import Path

from bench.load.fileserver import FileServer
from bench.load.photos import photographs
from bench.load.traffic import ROUTES
from bench.report import Cell, Limit, Report, median, ratio
from bench.service.apart import Apart, apart, busy_seconds
from bench.service.models import PREFIX, add_service_options, settings_of
from bench.service.running import Measured, Service, started
from demo.process import ServiceProcess

LEAST_RATE = 0.95
MOST_LATER_MS = 3.0
MOST_UNEVEN = 1.2
_WARM_UP_S = 3.0


def rates(both: dict[str, Service], given: Namespace, report: Report) -> list[Limit]:
    """Throughput of either form, in turns."""
    rows: list[tuple[Cell, ...]] = []
    limits = []
    for route in given.routes:
        found: dict[str, list[Measured]] = {form: [] for form in both}
        for service in both.values():
            service.load(route, 4, _WARM_UP_S)
        for _ in range(given.rounds):
            for form, service in both.items():
                found[form].append(service.load(route, given.clients, given.seconds))
        rate = {form: median([one.sent.rate for one in each]) for form, each in found.items()}
        failed = sum(one.sent.failed for each in found.values() for one in each)
        share = median([
            ratio(one.sent.rate, other.sent.rate)
            for one, other in zip(found["apart"], found["together"], strict=True)
        ])  # fmt: skip
        rows.append((route, rate["together"], rate["apart"], share, failed))
        limits.append(Limit(f"{route}, apart to together", share, least=LEAST_RATE))
        limits.append(Limit(f"{route}, failed requests", failed, most=0))
    columns = ["route", "together/s", "apart/s", "share", "failed"]
    report.table(columns, rows, f"{given.clients} in flight; medians of {given.rounds} rounds")
    return limits


def lone(both: dict[str, Service], given: Namespace, report: Report) -> list[Limit]:
    """Lone requests of either form, in turns."""
    rows: list[tuple[Cell, ...]] = []
    limits = []
    for route in given.routes:
        ms: dict[str, list[float]] = {form: [] for form in both}
        for _ in range(given.lone):
            for form, service in both.items():
                ms[form] += service.load(route, 1, requests=5).sent.latencies[1:]
        together, apart_ms = median(ms["together"]), median(ms["apart"])
        rows.append((route, together, apart_ms, apart_ms - together))
        limits.append(
            Limit(f"lone {route}, ms later apart", apart_ms - together, most=MOST_LATER_MS)
        )
    report.table(["lone request", "together ms", "apart ms", "later"], rows, "medians")
    return limits


def two(parts: Apart, service: Service, given: Namespace, report: Report) -> list[Limit]:
    """The balance of two CLIP services, and one of them killed under load."""
    service.load("search", 4, _WARM_UP_S)
    before = [busy_seconds(one) for one in parts.clips]
    even = service.load("search", given.clients, 2 * given.seconds)
    busy = [busy_seconds(one) - was for one, was in zip(parts.clips, before, strict=True)]
    killing = threading.Timer(given.seconds, parts.clips[0].kill)
    killing.start()
    began = time.monotonic()
    killed = service.load("search", given.clients, 3 * given.seconds)
    killing.join()
    took = time.monotonic() - began
    rows: list[tuple[Cell, ...]] = [
        ("seconds of computing, first", busy[0]),
        ("seconds of computing, second", busy[1]),
        ("requests with both", len(even.sent.answers)),
        (f"requests in {took:.0f} s while one was killed", len(killed.sent.answers)),
    ]
    report.table(["two CLIP services", "is"], rows)
    failed = even.sent.failed + killed.sent.failed
    return [
        Limit("the busier of two to the other", ratio(max(busy), min(busy)), most=MOST_UNEVEN),
        Limit("failed requests, one of two killed", failed, most=0),
    ]


def add_options(parser: ArgumentParser) -> None:
    add_service_options(parser, rows=0, sides="640")
    parser.add_argument("--routes", nargs="+", choices=ROUTES, default=("search", "detect"))
    parser.add_argument("--clients", type=int, default=16)
    parser.add_argument("--seconds", type=float, default=8, help="of a load")
    parser.add_argument("--rounds", type=int, default=3, help="of both forms")
    parser.add_argument("--lone", type=int, default=8, help="turns of four lone requests")


def run(given: Namespace, report: Report) -> list[Limit]:
    settings = settings_of(given, report)
    folder = count()
    with (
        tempfile.TemporaryDirectory() as name,
        photographs(given.sides) as photos,
        FileServer(photos) as files,
    ):

        def of(process: ServiceProcess) -> Service:
            return Service(process, files, tuple(photos))

        def new() -> Path:
            path = Path(name) / str(next(folder))
            path.mkdir()
            return path

        with started(settings, new()) as together, apart(settings, new()) as parts:
            both = {"together": of(together), "apart": of(parts.api)}
            limits = rates(both, given, report) + lone(both, given, report)
        # A thread for each, so that two of them have two of the cores at the most.
        with apart({**settings, f"{PREFIX}THREADS": "1"}, new(), clips=2) as parts:
            limits += two(parts, of(parts.api), given, report)
    return limits
