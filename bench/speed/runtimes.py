"""Which runtime computes the models faster, with less of the processor? Is any faster than ours?

The plain model classes, from bytes to embeddings or boxes, on all cores, by torch and by OpenVINO;
and forward passes of the same models by other runtimes (`bench.speed.peers`). All in turn, in one
process for each precision. Rates are of the best round, processor time is the median's::

    uv run --group peers python -m bench runtimes --rounds 7
    uv run python -m bench runtimes --models all  # the speeds of docs/models.md: `published`

`IMAGE_SEARCH_RUNTIME=auto` chooses by processor time, and on the machine that it runs on.
"""

import json
import sys
import time
from argparse import ArgumentParser, Namespace
from collections.abc import Callable
from functools import partial
from typing import Any

import numpy as np

from bench.report import Cell, Limit, Report, median, ratio
from bench.service.child import answer_of
from bench.service.models import SIZES, numbers, service_settings
from bench.speed import published
from bench.speed.peers import COMPILED, ONNX, forwards
from bench.speed.works import RUNTIMES
from runners.clip.recipe import load_clip
from runners.settings import ModelSettings
from runners.yolo.recipe import load_yolo

_TEXT = "a photograph of two red buses in the rain"
_HEIGHT, _WIDTH = 640, 640
_COLUMNS = (*RUNTIMES, COMPILED, ONNX)
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


def _peers(precision: Any, batch: int) -> dict[str, dict[str, Callable[[], Any]]]:
    side = load_clip(ModelSettings()).info.image_size
    given = {"CLIP": _pictures(batch, side, side), "YOLO": _pictures(batch, _HEIGHT, _WIDTH)}
    return {
        runtime: {
            f"pictures by {name}": partial(forward, given[name]) for name, forward in of.items()
        }
        for runtime, of in forwards(precision).items()
    }


def measure(precision: str, batch: int, rounds: int) -> dict[str, Measured]:
    """Time each call by all runtimes in turn; the first round does not count."""
    calls = {runtime: _calls(runtime, batch) for runtime in RUNTIMES}
    calls |= _peers(precision, batch)  # type: ignore[arg-type] # whose names are others
    found: dict[str, Measured] = {name: {} for name in calls[RUNTIMES[0]]}
    for turn in range(rounds + 1):
        for name, of in found.items():
            for runtime in (one for one in calls if name in calls[one]):
                began = time.perf_counter(), time.process_time()
                calls[runtime][name]()
                took = [time.perf_counter() - began[0], time.process_time() - began[1]]
                of.setdefault(runtime, []).extend([took] if turn else [])
    return found


def add_options(parser: ArgumentParser) -> None:
    parser.add_argument("--batches", type=numbers, default=(1, 8, 32))
    parser.add_argument("--rounds", type=int, default=7)
    published.add_options(parser)


def run(given: Namespace, report: Report) -> list[Limit]:
    if given.models not in SIZES:
        published.run(given, report)
        return []
    limits = []
    for precision in ("fp32", "bf16"):
        rows: list[tuple[Cell, ...]] = []
        for batch in given.batches:
            for name, of in _in_child(given, precision, batch).items():
                rates = {one: batch / min(wall for wall, _ in of[one]) for one in of}
                used = [median([cpu for _, cpu in of[runtime]]) for runtime in RUNTIMES]
                ours = max(rates[one] for one in RUNTIMES)
                rows.append((name, batch, *map(rates.get, _COLUMNS), ratio(*used)))
                best = ratio(ours, max(rates.values()))
                limits.append(Limit(f"{name}, {batch}, {precision}: to the best", best, least=0.97))
        head = [f"{each} /s" for each in _COLUMNS]
        report.table(["what", "in a call", *head, "less processor time"], rows, precision)
    return limits


def _in_child(given: Namespace, precision: str, batch: int) -> dict[str, Measured]:
    settings = service_settings(given.models, precision)
    found: dict[str, Measured] = answer_of(__name__, settings, precision, batch, given.rounds)
    return found


if __name__ == "__main__":
    print(json.dumps(measure(sys.argv[1], *(int(each) for each in sys.argv[2:]))))
