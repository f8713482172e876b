"""How soon is a service ready, and what memory do its models take: by torch, converting, converted?

The whole service, started over and over with an empty table: by torch; with nothing converted
(`auto` converts, compares and measures); and with what that has left::

    uv run python -m bench starts --rounds 3

The three take turns, and the median of each counts. Memory is resident, after a few requests.
"""

import tempfile
import time
from argparse import ArgumentParser, Namespace
from pathlib import Path

from bench.load.fileserver import FileServer
from bench.load.generator import Load, send
from bench.load.photos import photographs
from bench.load.traffic import Fresh
from bench.report import Cell, Limit, Report, median, ratio
from bench.service.models import PREFIX, SIZES, service_settings
from bench.service.processes import DETECTOR, EMBEDDER, processes_of, resident_mib
from bench.service.running import started

_WAYS = ("torch", "converting", "converted")
_SIDE, _CLIENTS, _REQUESTS = "640", 8, 32


def add_options(parser: ArgumentParser) -> None:
    parser.add_argument("--models", choices=SIZES, default="full")
    parser.add_argument("--precision", help="of both models")
    parser.add_argument("--rounds", type=int, default=3)


def run(given: Namespace, report: Report) -> list[Limit]:
    found: dict[str, list[tuple[float, float, float]]] = {way: [] for way in _WAYS}
    with photographs([_SIDE]) as photos, FileServer(photos) as files:
        sources = [Fresh(route, files.url, tuple(photos)) for route in ("add", "boxes")]
        for _ in range(given.rounds):
            with tempfile.TemporaryDirectory() as cache:
                for way in _WAYS:
                    found[way].append(_start(given, way, cache, sources))
    rows: list[tuple[Cell, ...]] = [
        (way, *(median(column) for column in zip(*times, strict=True)))
        for way, times in found.items()
    ]
    report.table(["", "ready after s", "CLIP's process MiB", "YOLO's process MiB"], rows)
    torch, converting, converted = ([float(str(each)) for each in row[1:]] for row in rows)
    return [
        Limit("ready when converted, to torch", ratio(converted[0], torch[0])),
        Limit("seconds more while converting", converting[0] - torch[0], most=5),
        Limit("both models' memory, to torch", ratio(sum(converted[1:]), sum(torch[1:])), most=0.5),
    ]


def _start(
    given: Namespace, way: str, cache: str, sources: list[Fresh]
) -> tuple[float, float, float]:
    settings = {
        **service_settings(given.models, given.precision),
        f"{PREFIX}CACHE_DIR": cache,
        f"{PREFIX}RUNTIME": "torch" if way == "torch" else "auto",
    }
    began = time.monotonic()
    with (
        tempfile.TemporaryDirectory() as folder,
        started(settings, Path(folder)) as service,
    ):
        ready = time.monotonic() - began
        for source in sources:
            send(Load(service.port, source, 0.0, _CLIENTS, _REQUESTS))
        assert service.process is not None  # noqa: S101 - for mypy; it runs
        processes = processes_of(service.process.pid)
        clip, yolo = (resident_mib(processes[name]) for name in (EMBEDDER, DETECTOR))
        return ready, clip, yolo
