"""Memory of the whole service, process by process: at the start, in use, and after bursts.

Every route is used, then 200 requests come at once to each, and a few seconds later it is looked
again. What each process has mapped of the heavy libraries says whether it holds what it does not
use::

    uv run python -m bench.memory

Exits with 1 if torch is mapped anywhere but in the models' workers, LanceDB anywhere but in the
API's, or all processes together (PSS) hold more than 1.1 times as much after the bursts as before.
"""

import argparse
import sys
import time
from collections.abc import Mapping
from pathlib import Path

from bench.ending import end_on_signals
from bench.held_memory import FAMILIES, Held, held
from bench.photos import sides_of
from bench.processes import API_WORKER, DETECTOR, EMBEDDER, named
from bench.report import Cell, Report
from bench.served import Served, photographs, served
from bench.settings import models_of, service_settings, tell_settings
from bench.traffic import ROUTES
from bench.verdict import Limit, judged, ratio
from bench.weights import SIZES
from runners.weights.source import WeightsSource, clip_source, yolo_source

MOST_GROWTH = 1.1
BURST = 200
CLIENTS = 16
SETTLES_S = 5.0
USERS = {"torch": (EMBEDDER, DETECTOR), "CUDA": (EMBEDDER, DETECTOR), "LanceDB": (API_WORKER,)}
"""Who may have mapped a library."""
_MIB = 1 << 20
Looked = dict[str, Held]
"""What each process held at one moment."""


def look(service: Served) -> Looked:
    """What every process holds."""
    return {name: held(process) for name, process in named(service.root).items()}


def measure(service: Served, seconds: float) -> dict[str, Looked]:
    """Use it, and look at it in between."""
    looked = {"start": look(service)}
    for route in ROUTES:
        service.measured(service.load(route, CLIENTS, seconds))
        looked[f"after {route}"] = look(service)
    for turn in ("first", "second"):
        for route in ROUTES:
            service.measured(service.load(route, BURST, 0))
        time.sleep(SETTLES_S)
        looked[f"after the {turn} bursts"] = look(service)
    return looked


def tell(report: Report, looked: Mapping[str, Looked], weights: Mapping[str, float]) -> None:
    """Print every process at every moment, and what it has mapped at the end."""
    names = list(dict.fromkeys(name for each in looked.values() for name in each))
    for kind in ("rss", "pss", "uss"):
        rows: list[tuple[Cell, ...]] = [
            (
                name,
                *(getattr(each[name], kind) if name in each else None for each in looked.values()),
            )
            for name in names
        ]
        together = (sum(getattr(one, kind) for one in each.values()) for each in looked.values())
        rows.append(("all", *together))
        report.table(["process", *looked], rows, f"{kind.upper()}, MiB")
    last = list(looked.values())[-1]
    report.table(
        ["process", "weights on disk", *FAMILIES],
        [
            (name, weights.get(name), *(one.libraries.get(family) for family in FAMILIES))
            for name, one in last.items()
        ],
        "MiB: a model's file, and what is resident of the libraries' files (- is not mapped)",
    )


def weights_mib(settings: Mapping[str, str]) -> dict[str, float]:
    """The size of each model's file, by the process that loads it."""
    models = models_of(settings)
    sources: dict[str, WeightsSource] = {
        EMBEDDER: clip_source(models),
        DETECTOR: yolo_source(models),
    }
    return {
        name: source.path.stat().st_size / _MIB for name, source in sources.items() if source.path
    }


def verdicts(looked: Mapping[str, Looked]) -> list[Limit]:
    """What must be kept."""
    moments = list(looked.values())
    before, after = moments[-3], moments[-1]
    needless = {
        family: {
            name
            for each in moments
            for name, one in each.items()
            if family in one.libraries and not name.startswith(users)
        }
        for family, users in USERS.items()
    }
    together = [sum(one.pss for one in each.values()) for each in (before, after)]
    return [
        *(
            Limit(f"processes that map {family} and do not use it", len(names), most=0)
            for family, names in needless.items()
        ),
        Limit(
            "PSS of all, after the bursts to before",
            ratio(together[1], together[0]),
            most=MOST_GROWTH,
        ),
    ]


def main() -> None:
    """Runs and exits with 1 if a limit was not kept."""
    parser = argparse.ArgumentParser(description=(__doc__ or "").splitlines()[0])
    parser.add_argument("--models", choices=SIZES, default="full")
    parser.add_argument("--rows", type=int, default=10_000)
    parser.add_argument("--seconds", type=float, default=8, help="that each route is used")
    parser.add_argument("--sides", type=sides_of, default=sides_of("native,640,1280,4000"))
    parser.add_argument("--precision", help="of both models")
    parser.add_argument("--json", type=Path)
    given = parser.parse_args()
    end_on_signals()
    report = Report(f"Memory: {given.models} models, {given.rows:,} rows")
    settings = service_settings(given.models, given.precision)
    tell_settings(report, settings)
    with (
        photographs(given.sides) as files,
        served(settings, files, given.rows) as service,
    ):
        looked = measure(service, given.seconds)
    tell(report, looked, weights_mib(settings))
    kept = judged(report, verdicts(looked))
    if given.json:
        report.json(given.json)
    sys.exit(0 if kept else 1)


if __name__ == "__main__":
    main()
