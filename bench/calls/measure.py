"""How many functions does a request call, and in how many files?

Starts the service with the demo models, sends each request a number of times and prints, of the
project's own code, how many functions one request calls and in how many files, for each process.
What fewer than half of the requests call (upkeep, gauges) is no part of a request's way::

    uv run python -m bench calls --rows                   # every function
    uv run python -m bench calls --project ../other       # another checkout, counted alike
"""

import itertools
import json
import tempfile
import time
from argparse import ArgumentParser, Namespace
from collections import Counter
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import requests
from PIL import Image

from bench.report import PROJECT, Cell, Limit, Report
from bench.service.models import model_environment
from bench.service.running import started
from demo.server import PictureServer

_HERE = Path(__file__).resolve().parent
_WARM_UP, _COUNTED = 12, 20


@dataclass(frozen=True)
class Way:
    """A process's calls for one request, by file and function."""

    name: str
    calls: dict[tuple[str, str], float]

    @property
    def total(self) -> int:
        return round(sum(self.calls.values()))

    @property
    def files(self) -> int:
        return len({file for file, _ in self.calls})


class Recorder:
    """Turns the counting of every process of a service on and off, by a flag in a folder that
    takes the counts as well.
    """

    def __init__(self, folder: Path, project: Path) -> None:
        self._folder = folder
        self._flag = folder / "flag"
        self._flag.write_bytes(b"\0")
        self.environment = {
            "CALLS_FLAG": str(self._flag),
            "CALLS_ROOT": str(project),
            "PYTHONPATH": str(_HERE),
        }

    def _set(self, value: bytes) -> None:
        with self._flag.open("r+b") as file:
            file.write(value)

    def record(self, send: Iterator[Any]) -> dict[str, Counter[tuple[str, str]]]:
        """Count while `_COUNTED` requests are sent; by process."""
        for old in self._folder.glob("*.json"):
            old.unlink()
        self._set(b"\1")
        time.sleep(0.3)
        for _ in range(_COUNTED):
            next(send)
            time.sleep(0.05)  # what is left to do after the answer belongs to it
        self._set(b"\0")
        time.sleep(1)
        found: dict[str, Counter[tuple[str, str]]] = {}
        for path in self._folder.glob("*.json"):
            told = json.loads(path.read_text())
            counts = found.setdefault(_process(told["command"]), Counter())
            for file, function, count in told["calls"]:
                counts[file, function] += count
        return found


def _process(command: list[str]) -> str:
    text = " ".join(command)
    for name in ("ClipEmbedder", "YoloDetector"):
        if name in text:
            return name
    return "API" if "serve" in text or "worker" in text else command[0] if command else "?"


def _ways(found: dict[str, Counter[tuple[str, str]]]) -> list[Way]:
    ways = []
    for name, counts in sorted(found.items()):
        each = {key: count / _COUNTED for key, count in counts.items() if count >= _COUNTED / 2}
        if each:
            ways.append(Way(name, each))
    return ways


def _sent(url: str, route: str, bodies: Iterator[dict[str, Any]]) -> Iterator[None]:
    for body in bodies:
        answer = requests.post(f"{url}/{route}", json=body, timeout=60)
        answer.raise_for_status()
        yield


def measure(report: Report, project: Path, *, rows: bool) -> None:
    """Count an add, a search with a filter and a detection of this checkout's service."""
    with tempfile.TemporaryDirectory() as name, PictureServer() as pictures:
        folder = Path(name)
        recorder = Recorder(folder, project)
        settings = {**model_environment("demo"), **recorder.environment}
        with started(settings, folder, project=project) as service:
            table: list[tuple[Cell, ...]] = []
            for kind, (route, bodies) in _kinds(pictures).items():
                send = _sent(service.url, route, bodies)
                for _ in range(_WARM_UP):
                    next(send)
                ways = _ways(recorder.record(send))
                table += _rows(kind, ways)
                if rows:
                    _tell_functions(report, kind, ways)
    report.table(["request", "process", "calls", "files"], table, f"calls and files of {project}")


def _kinds(pictures: PictureServer) -> dict[str, tuple[str, Iterator[dict[str, Any]]]]:
    def urls() -> Iterator[str]:
        for n in itertools.count():
            picture = Image.effect_noise((320, 240), 60 + n).convert("RGB")
            yield pictures.add(f"{n}.jpg", picture)

    new = urls()
    metadata = {"shop": "A", "price": 12.5, "tags": ["new"]}
    filter = {"shop": "A", "price": {"$lt": 20}}
    return {
        "add": ("post_image_to_index", ({"url": url, "metadata": metadata} for url in new)),
        "search": ("search_simmilar_images", ({"url": url, "metadata": filter} for url in new)),
        "detect": ("run_object_detection", ({"url": url} for url in new)),
    }


def _rows(kind: str, ways: list[Way]) -> list[tuple[Cell, ...]]:
    rows: list[tuple[Cell, ...]] = [(kind, way.name, way.total, way.files) for way in ways]
    everywhere = {file for way in ways for file, _ in way.calls}
    return [*rows, (kind, "all", sum(way.total for way in ways), len(everywhere))]


def _tell_functions(report: Report, kind: str, ways: list[Way]) -> None:
    report.table(
        ["process", "calls", "file", "function"],
        [
            (way.name, count, file, function)
            for way in ways
            for (file, function), count in sorted(way.calls.items())
        ],
        kind,
    )


def add_options(parser: ArgumentParser) -> None:
    parser.add_argument("--project", type=Path, default=PROJECT, help="checkout to be counted")
    parser.add_argument("--rows", action="store_true", help="each function with its calls")


def run(given: Namespace, report: Report) -> list[Limit]:
    measure(report, given.project.resolve(), rows=given.rows)
    return []
