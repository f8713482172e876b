"""How much memory does every process hold at the start, in use and after bursts, and of what?

Every route is used, then 200 requests come at once to each, twice. What each process has mapped of
the heavy libraries says whether it holds what it does not use: torch belongs in the models' workers
alone, LanceDB in the API's, and all processes together (PSS) may hold 1.1 times as much after the
bursts as before them::

    uv run python -m bench memory               # about four minutes
"""

import time
from argparse import ArgumentParser, Namespace
from collections.abc import Mapping

from bench.report import Cell, Limit, Report, ratio
from bench.service.models import add_options as add_service_options
from bench.service.models import settings_of
from bench.service.processes import (
    API_WORKER,
    DETECTOR,
    EMBEDDER,
    LIBRARIES,
    Memory,
    memory_by_process,
)
from bench.service.running import Service, served

MOST_GROWTH = 1.1
BURST, CLIENTS = 200, 16
USERS = {"torch": (EMBEDDER, DETECTOR), "CUDA": (EMBEDDER, DETECTOR), "LanceDB": (API_WORKER,)}
"""Processes that may have mapped a library."""
_ROUTES = ("add", "detect", "boxes", "search", "text")
_SETTLES_S = 5.0
Snapshot = dict[str, Memory]
"""Memory of each process at one moment."""


def measure(service: Service, seconds: float) -> dict[str, Snapshot]:
    """Use the service, and look at its memory in between."""
    found = {"start": memory_by_process(service.root)}
    for route in _ROUTES:
        service.load(route, CLIENTS, seconds)
        found[f"after {route}"] = memory_by_process(service.root)
    for turn in ("first", "second"):
        for route in _ROUTES:
            service.load(route, BURST)
        time.sleep(_SETTLES_S)
        found[f"after the {turn} bursts"] = memory_by_process(service.root)
    return found


def tell(report: Report, found: Mapping[str, Snapshot]) -> None:
    """Print every process at every moment, and what it has mapped at the end."""
    names = list(dict.fromkeys(name for each in found.values() for name in each))
    for kind in ("rss", "pss", "uss"):
        rows: list[tuple[Cell, ...]] = [
            (name, *(getattr(each.get(name), kind, None) for each in found.values()))
            for name in names
        ]
        sums = (sum(getattr(one, kind) for one in each.values()) for each in found.values())
        report.table(["process", *found], [*rows, ("all", *sums)], f"{kind.upper()}, MiB")
    last = list(found.values())[-1]
    report.table(
        ["process", *LIBRARIES],
        [
            (name, *(one.libraries.get(library) for library in LIBRARIES))
            for name, one in last.items()
        ],
        "MiB resident of the libraries' files (- is not mapped)",
    )


def limits(found: Mapping[str, Snapshot]) -> list[Limit]:
    """Needless libraries, and growth."""
    moments = list(found.values())
    needless = {
        library: {
            name
            for each in moments
            for name, one in each.items()
            if library in one.libraries and not name.startswith(users)
        }
        for library, users in USERS.items()
    }
    before, after = (sum(one.pss for one in each.values()) for each in (moments[-3], moments[-1]))
    return [
        *(Limit(f"processes that map {library} and do not use it", len(names), most=0)
          for library, names in needless.items()),
        Limit("PSS of all, after the bursts to before", ratio(after, before), most=MOST_GROWTH),
    ]  # fmt: skip


def add_options(parser: ArgumentParser) -> None:
    """Seconds, and the service."""
    add_service_options(parser, rows=10_000, sides="native,640,1280,4000")
    parser.add_argument("--seconds", type=float, default=8, help="that each route is used")


def run(given: Namespace, report: Report) -> list[Limit]:
    """Measure and print."""
    with served(settings_of(given, report), given.sides, given.rows) as service:
        found = measure(service, given.seconds)
    tell(report, found)
    return limits(found)
