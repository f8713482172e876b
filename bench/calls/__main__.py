"""Count the calls and files of an add, a search with a filter and a detection.

Starts the service with the demo models, sends each request a number of times and prints, of the
project's own code, how many functions one request calls and in how many files, for each process.
What fewer than half of the requests call (upkeep, gauges) is no part of a request's way.

    uv run python -m bench.calls [--project FOLDER] [--rows]

`--project` takes another checkout of the project, so that two commits are counted alike.
"""

import argparse
import itertools
import json
import sys
import tempfile
import time
from collections import Counter
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import requests

_HERE = Path(__file__).resolve().parent
_WARM_UP, _COUNTED = 12, 20


@dataclass(frozen=True)
class Way:
    """The calls of one kind of request: (file, function) to calls per request."""

    name: str
    calls: dict[tuple[str, str], float]

    @property
    def total(self) -> int:
        """Calls of one request."""
        return round(sum(self.calls.values()))

    @property
    def files(self) -> int:
        """Files that one request enters."""
        return len({file for file, _ in self.calls})


class Recorder:
    """Turns the counting of every process of a service on and off.

    Args:
        folder: takes the flag and the counts.
        project: root of the code that is counted.
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


def _measure(project: Path, rows: bool) -> None:
    sys.path.insert(0, str(project))
    from PIL import Image  # noqa: PLC0415

    from demo.process import ServiceProcess  # noqa: PLC0415 - the one of `project`
    from demo.server import PictureServer  # noqa: PLC0415

    with tempfile.TemporaryDirectory() as name, PictureServer() as pictures:
        folder = Path(name)
        recorder = Recorder(folder, project)
        environment = {
            "IMAGE_SEARCH_MODELS": "demo",
            "IMAGE_SEARCH_DEVICE": "cpu",
            "IMAGE_SEARCH_STORE_URI": str(folder / "index"),
            "IMAGE_SEARCH_ALLOW_NETWORKS": "127.0.0.1/32",
            **recorder.environment,
        }

        def urls() -> Iterator[str]:
            for n in itertools.count():
                picture = Image.effect_noise((320, 240), 60 + n).convert("RGB")
                yield pictures.add(f"{n}.jpg", picture)

        new = urls()
        metadata = {"shop": "A", "price": 12.5, "tags": ["new"]}
        kinds: dict[str, tuple[str, Iterator[dict[str, Any]]]] = {
            "add": (
                "post_image_to_index",
                ({"url": url, "metadata": metadata} for url in new),
            ),
            "search": (
                "search_simmilar_images",
                ({"url": url, "metadata": {"shop": "A", "price": {"$lt": 20}}} for url in new),
            ),
            "detect": ("run_object_detection", ({"url": url} for url in new)),
        }
        with ServiceProcess(environment, folder / "log", target=str(project)) as service:
            for kind, (route, bodies) in kinds.items():
                send = _sent(service.url, route, bodies)
                for _ in range(_WARM_UP):
                    next(send)
                _print(kind, _ways(recorder.record(send)), rows)


def _print(kind: str, ways: list[Way], rows: bool) -> None:
    for way in ways:
        print(f"{kind:7} {way.name:13} {way.total:5} calls in {way.files:3} files")
        if rows:
            for (file, function), count in sorted(way.calls.items()):
                print(f"    {count:6.2f}  {file}  {function}")
    total = sum(way.total for way in ways)
    everywhere = {file for way in ways for file, _ in way.calls}
    print(f"{kind:7} {'altogether':13} {total:5} calls in {len(everywhere):3} files")


def main() -> None:
    """The command."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--project", type=Path, default=_HERE.parents[1])
    parser.add_argument("--rows", action="store_true", help="each function with its calls")
    asked = parser.parse_args()
    _measure(asked.project.resolve(), asked.rows)


if __name__ == "__main__":
    main()
