"""Which runtime computes the models faster, and with less of the processor: torch or OpenVINO?

The plain model classes, from bytes to embeddings or boxes, on all cores: both runtimes in turn, in
one process for each precision. Rates are of the best round, processor time is the median's::

    uv run python -m bench runtimes --rounds 7
    uv run python -m bench runtimes --models all  # the speeds of docs/models.md: `published`

`IMAGE_SEARCH_RUNTIME=auto` chooses by processor time, and on the machine that it runs on: no limit.
"""

import json
import os
import subprocess
import sys
import time
from argparse import ArgumentParser, Namespace
from collections.abc import Callable
from typing import Any

import numpy as np

from bench.report import Cell, Limit, Report, median, ratio
from bench.service.models import SIZES, numbers, service_settings
from bench.speed import published
from bench.speed.works import RUNTIMES
from runners.clip.recipe import load_clip
from runners.settings import ModelSettings
from runners.yolo.recipe import load_yolo

_TEXT = "a photograph of two red buses in the rain"
_HEIGHT, _WIDTH = 640, 640
Measured = dict[str, list[list[float]]]
"""By runtime, seconds and seconds of processor of each round."""


def _pictures(count: int, height: int, width: int) -> Any:
    drawn = np.random.default_rng(7).integers(0, 256, (count, height, width, 3))
    return drawn.astype(np.uint8)


def _calls(runtime: Any, batch: int) -> dict[str, Callable[[], Any]]:
    settings = ModelSettings(runtime=runtime)
    clip, yolo = load_clip(settings), load_yolo(settings)
    side = clip.info.image_size
    pixels, boxed = _pictures(batch, side, side), list(_pictures(batch, _HEIGHT, _WIDTH))
    return {
        "pictures by CLIP": lambda: clip.encode_images(pixels),
        "texts by CLIP": lambda: clip.encode_texts([f"{_TEXT} {n}" for n in range(batch)]),
        "pictures by YOLO": lambda: yolo.detect(boxed),
    }


def measure(batch: int, rounds: int) -> dict[str, Measured]:
    """Time each call by both runtimes in turn; the first round does not count."""
    calls = {runtime: _calls(runtime, batch) for runtime in RUNTIMES}
    found: dict[str, Measured] = {
        name: {runtime: [] for runtime in RUNTIMES} for name in calls[RUNTIMES[0]]
    }
    for turn in range(rounds + 1):
        for name, of in found.items():
            for runtime in RUNTIMES:
                began = time.perf_counter(), time.process_time()
                calls[runtime][name]()
                took = [time.perf_counter() - began[0], time.process_time() - began[1]]
                of[runtime] += [took] if turn else []
    return found


def add_options(parser: ArgumentParser) -> None:
    parser.add_argument("--batches", type=numbers, default=(1, 8, 32))
    parser.add_argument("--rounds", type=int, default=7)
    published.add_options(parser)


def run(given: Namespace, report: Report) -> list[Limit]:
    if given.models not in SIZES:
        published.run(given, report)
        return []
    for precision in ("fp32", "bf16"):
        rows: list[tuple[Cell, ...]] = []
        for batch in given.batches:
            for name, of in _in_child(given, precision, batch).items():
                rates = [batch / min(wall for wall, _ in of[runtime]) for runtime in RUNTIMES]
                used = [median([cpu for _, cpu in of[runtime]]) for runtime in RUNTIMES]
                rows.append((name, batch, *rates, ratio(*rates[::-1]), ratio(*used)))
        head = ["what", "in a call", "torch /s", "OpenVINO /s", "faster", "less processor time"]
        report.table(head, rows, precision)
    return []


def _in_child(given: Namespace, precision: str, batch: int) -> dict[str, Measured]:
    command = [sys.executable, "-m", __name__, str(batch), str(given.rounds)]
    environment = {**os.environ, **service_settings(given.models, precision)}
    done = subprocess.run(command, env=environment, check=True, stdout=subprocess.PIPE)
    found: dict[str, Measured] = json.loads(done.stdout.splitlines()[-1])
    return found


if __name__ == "__main__":
    print(json.dumps(measure(*(int(each) for each in sys.argv[1:]))))
