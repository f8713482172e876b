"""How much memory does every process hold at the start, in use and after bursts?

Every route is used, then 200 requests come at once to each, twice. torch may be mapped in the
models' workers alone, LanceDB in the API's, and all processes together (PSS) may hold 1.1 times as
much after the bursts as before them::

    uv run python -m bench memory               # about four minutes
"""

from argparse import ArgumentParser, Namespace

from bench.report import Cell, Limit, Report, ratio
from bench.service.models import add_service_options, settings_of
from bench.service.processes import API_WORKER, DETECTOR, EMBEDDER, Memory, memory_by_process
from bench.service.running import served

MOST_GROWTH = 1.1
BURST, CLIENTS = 200, 16
USERS = {"torch": (EMBEDDER, DETECTOR), "lancedb": (API_WORKER,)}
"""Processes that may have mapped a library."""
_ROUTES = ("add", "detect", "boxes", "search", "text")


def add_options(parser: ArgumentParser) -> None:
    add_service_options(parser, rows=10_000, sides="native,640,1280,4000")
    parser.add_argument("--seconds", type=float, default=8, help="that each route is used")


def run(given: Namespace, report: Report) -> list[Limit]:
    found: dict[str, dict[str, Memory]] = {}
    with served(settings_of(given, report), given.sides, given.rows) as service:
        found["start"] = memory_by_process(service.root)
        for route in _ROUTES:
            service.load(route, CLIENTS, given.seconds)
        found["in use"] = memory_by_process(service.root)
        for turn in ("first", "second"):
            for route in _ROUTES:
                service.load(route, BURST)
            found[f"after the {turn} bursts"] = memory_by_process(service.root)
    last = found["after the second bursts"]
    rows: list[tuple[Cell, ...]] = []
    for name, one in last.items():
        pss = [moment[name].pss if name in moment else None for moment in found.values()]
        rows.append((name, *pss, one.rss, one.uss, ", ".join(sorted(one.libraries))))
    sums = {when: sum(one.pss for one in moment.values()) for when, moment in found.items()}
    rows.append(("all", *sums.values(), None, None, None))
    report.table(["PSS, MiB", *found, "RSS", "USS", "has mapped"], rows)
    limits = []
    for library, users in USERS.items():
        needless = [n for n, one in last.items() if library in one.libraries and n not in users]
        limits.append(Limit(f"processes that map {library} needlessly", len(needless), most=0))
    growth = ratio(sums["after the second bursts"], sums["in use"])
    return [*limits, Limit("PSS of all, after the bursts to before", growth, most=MOST_GROWTH)]
