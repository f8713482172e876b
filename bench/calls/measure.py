"""How many functions does a request call, and in how many files?

Starts the service with the demo models, sends each request a number of times and prints, of the
project's own code, how many functions one request calls and in how many files, for each process.
What fewer than half of the requests call (upkeep, gauges) is no part of a request's way::

    uv run python -m bench calls --project ../other       # another checkout, counted alike
"""

import itertools
import json
import tempfile
import time
from argparse import ArgumentParser, Namespace
from collections import Counter
from collections.abc import Callable, Iterator
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
_METADATA = {"shop": "A", "price": 12.5, "tags": ["new"]}
_FILTER = {"shop": "A", "price": {"$lt": 20}}
_KINDS: dict[str, tuple[str, dict[str, Any]]] = {
    "add": ("post_image_to_index", {"metadata": _METADATA}),
    "search": ("search_simmilar_images", {"metadata": _FILTER}),
    "detect": ("run_object_detection", {}),
}
Calls = dict[str, Counter[tuple[str, str]]]
"""By process: calls of each function by file and name."""


def counted(folder: Path, send: Callable[[], None]) -> Calls:
    """Count while requests are sent; the flag's file turns the recorders of all processes on."""
    for old in folder.glob("*.json"):
        old.unlink()
    flag = (folder / "flag").open("r+b", buffering=0)
    flag.write(b"\1")
    time.sleep(0.3)
    for _ in range(_COUNTED):
        send()
        time.sleep(0.05)  # what is left to do after the answer belongs to it
    flag.seek(0)
    flag.write(b"\0")
    flag.close()
    time.sleep(1)
    found: Calls = {}
    for path in folder.glob("*.json"):
        told = json.loads(path.read_text())
        counts = found.setdefault(_process(told["command"]), Counter())
        for file, function, count in told["calls"]:
            counts[file, function] += count
    for counts in found.values():
        for key in [key for key, count in counts.items() if count < _COUNTED / 2]:
            del counts[key]
    return {name: found[name] for name in sorted(found) if found[name]}


def _process(command: list[str]) -> str:
    text = " ".join(command)
    for name in ("ClipEmbedder", "YoloDetector"):
        if name in text:
            return name
    return "API" if "serve" in text or "worker" in text else command[0] if command else "?"


def _rows(kind: str, found: Calls) -> Iterator[tuple[Cell, ...]]:
    for name, counts in found.items():
        files = {file for file, _ in counts}
        yield kind, name, round(counts.total() / _COUNTED), len(files)
    files = {file for counts in found.values() for file, _ in counts}
    yield kind, "all", sum(round(each.total() / _COUNTED) for each in found.values()), len(files)


def add_options(parser: ArgumentParser) -> None:
    parser.add_argument("--project", type=Path, default=PROJECT, help="checkout to be counted")


def run(given: Namespace, report: Report) -> list[Limit]:
    project = given.project.resolve()
    rows: list[tuple[Cell, ...]] = []
    with tempfile.TemporaryDirectory() as name, PictureServer() as pictures:
        folder, numbers = Path(name), itertools.count()
        (folder / "flag").write_bytes(b"\0")
        settings = model_environment("demo") | {
            "CALLS_FLAG": str(folder / "flag"),
            "CALLS_ROOT": str(project),
            "PYTHONPATH": str(_HERE),
            # Upkeep is no part of a request's way.
            "IMAGE_SEARCH_STORE_UPKEEP_EVERY": "1000",
        }
        with started(settings, folder, project=project) as service:
            for kind, (route, fields) in _KINDS.items():

                def send(route: str = route, fields: dict[str, Any] = fields) -> None:
                    n = next(numbers)
                    picture = Image.effect_noise((320, 240), 60 + n).convert("RGB")
                    body = {"url": pictures.add(f"{n}.jpg", picture), **fields}
                    requests.post(f"{service.url}/{route}", json=body).raise_for_status()  # noqa: S113

                for _ in range(_WARM_UP):
                    send()
                rows += _rows(kind, counted(folder, send))
    report.table(["request", "process", "calls", "files"], rows, f"calls and files of {project}")
    return []
