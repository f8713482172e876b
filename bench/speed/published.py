"""Pictures per second of published architectures by torch and OpenVINO: the rows of docs/models.md.

Random weights, the plain model classes, from bytes to embeddings or boxes, on all cores. One
process for each model and precision; both runtimes in turn in it. What a runtime or a precision
cannot compute near enough to torch in fp32, or not on this machine, has no figure.
"""

import json
import sys
import tempfile
import time
from argparse import ArgumentParser, ArgumentTypeError, Namespace
from collections.abc import Callable, Sequence
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np

from bench.report import Cell, Report, median
from bench.service.child import answer_of
from bench.service.models import PREFIX, SIZES, random_weights
from bench.speed.works import RUNTIMES
from cli.models.published import clip_entries, yolo_entries

_PRECISIONS = {"fp32": "fp32", "bf16": "auto"}
"""By the figure's name: the setting, of which `auto` is bf16 where the CPU multiplies in it."""
_SIDE = 640
_BATCH = 8
_MOST_GFLOP = 200
Measured = dict[str, list[list[float]]]
"""By runtime, seconds and seconds of processor of each round."""


def published_names() -> tuple[str, ...]:
    """Detectors, then CLIP architectures with a picture tower of their own; fast ones first."""
    clip = sorted(clip_entries(), key=lambda one: one.picture)
    return (*(one.weights for one in yolo_entries()), *(one.model for one in clip if not one.tower))


def names_of_all() -> tuple[str, ...]:
    """Those that two cores can do: the others take a quarter of an hour and 16 GiB each."""
    large = {one.model for one in clip_entries() if one.picture > _MOST_GFLOP}
    return tuple(name for name in published_names() if name not in large)


def sizes_or_names(text: str) -> str | tuple[str, ...]:
    """Value of `--models`: a size, or names of docs/models.md; `all` for all but the largest."""
    if text in SIZES:
        return text
    names = names_of_all() if text == "all" else tuple(text.split(","))
    if unknown := sorted(set(names) - set(published_names())):
        known = ", ".join(published_names())
        raise ArgumentTypeError(f"{', '.join(unknown)} is none of {known}")
    return names


def add_options(parser: ArgumentParser) -> None:
    parser.add_argument(
        "--models",
        type=sizes_or_names,
        default="full",
        help="full, demo; names of docs/models.md with commas between, or all: a row each",
    )
    parser.add_argument(
        "--seconds", type=float, default=60, help="of a named model: no round begins after these"
    )


def run(given: Namespace, report: Report) -> None:
    """Print a row for each named model: pictures per second, milliseconds of processor for one."""
    of_each = [f"{by}{unit}" for unit in (" /s", " ms") for by in RUNTIMES]
    head = ["model", *(f"{precision} {each}" for precision in _PRECISIONS for each in of_each)]
    rows: dict[str, list[float | None]] = {}
    for name in given.models:
        with tempfile.TemporaryDirectory(prefix="image-search-bench-") as folder:
            rows[name] = _cells(name, Path(folder), given)
        report.table(head, [(name, *rows[name])])
    same = {one.model: rows[one.tower] for one in clip_entries() if one.tower in rows}
    table: list[tuple[Cell, ...]] = [(name, *cells) for name, cells in (rows | same).items()]
    report.table(head, table, f"all: {_BATCH} pictures in a call; ms of processor for one picture")


def _cells(name: str, folder: Path, given: Namespace) -> list[float | None]:
    weights = random_weights(name, folder)
    is_yolo = weights.suffix == ".pt"
    own = {"MODELS": "pretrained", "DEVICE": "cpu", "CACHE_DIR": str(folder)}
    own["YOLO_WEIGHTS" if is_yolo else "CLIP_PRETRAINED"] = str(weights)
    own |= {} if is_yolo else {"CLIP_MODEL": name}
    cells: list[float | None] = []
    for figure, precision in _PRECISIONS.items():
        settings = {f"{PREFIX}{key}": text for key, text in {**own, "PRECISION": precision}.items()}
        cells += figures(_in_child(name, figure, given, settings), _BATCH)
    return cells


def figures(found: Measured, batch: int) -> list[float | None]:
    """By runtime pictures per second of the best round, then the median's ms of processor each."""
    of = [found.get(runtime) for runtime in RUNTIMES]
    rates = [batch / min(wall for wall, _ in each) if each else None for each in of]
    return [
        *rates,
        *(1000 * median([cpu for _, cpu in each]) / batch if each else None for each in of),
    ]


def _in_child(name: str, figure: str, given: Namespace, settings: dict[str, str]) -> Measured:
    words = name, figure, given.rounds, given.seconds
    found: Measured = answer_of(__name__, settings, *words)
    return found


def measure(name: str, figure: str, rounds: int, seconds: float) -> Measured:
    """Time calls by the runtimes that compute the model so, in turn; the first does not count."""
    pairs = ((runtime, _call(name, figure, runtime)) for runtime in RUNTIMES)
    calls = {runtime: call for runtime, call in pairs if call is not None}
    found: Measured = {runtime: [] for runtime in calls}
    until = time.perf_counter() + seconds
    for turn in range(rounds + 1):
        if turn > 1 and time.perf_counter() > until:
            break
        for runtime, call in calls.items():
            began = time.perf_counter(), time.process_time()
            call()
            took = [time.perf_counter() - began[0], time.process_time() - began[1]]
            found[runtime] += [took] if turn else []
    return found


def _call(name: str, figure: str, runtime: Any) -> Callable[[], Any] | None:
    """A call of several pictures; None where the model falls back to something else."""
    from runners.clip.recipe import load_clip  # noqa: PLC0415 - torch, in the child alone
    from runners.settings import ModelSettings  # noqa: PLC0415
    from runners.yolo.recipe import load_yolo  # noqa: PLC0415

    settings = ModelSettings(runtime=runtime)
    model: Any
    if name.endswith(".pt"):
        model = load_yolo(settings)
        call = partial(model.detect, list(_pictures(_SIDE)))
    else:
        _make_tokenizers_here()
        model = load_clip(settings)
        call = partial(model.encode_images, _pictures(model.info.image_size))
    return call if (model.forward.runtime, model.precision) == (runtime, figure) else None


def _pictures(side: int) -> Any:
    return np.random.default_rng(7).integers(0, 256, (_BATCH, side, side, 3), np.uint8)


class _Numbers:
    """Stands in for a tokenizer that open_clip would download: texts are not measured here."""

    def __init__(self, context_length: int) -> None:
        self.context_length = context_length

    def __call__(self, texts: Sequence[str]) -> Any:
        import torch  # noqa: PLC0415

        lengths = torch.tensor([[len(text)] for text in texts])
        return (lengths + torch.arange(self.context_length)) % 1000 + 1


def _make_tokenizers_here() -> None:
    import open_clip  # noqa: PLC0415

    plain = open_clip.get_tokenizer

    def get_tokenizer(name: str, **options: Any) -> Any:
        texts = open_clip.get_model_config(name)["text_cfg"]
        has_own = "hf_tokenizer_name" not in texts
        return plain(name, **options) if has_own else _Numbers(texts.get("context_length", 77))

    open_clip.get_tokenizer = get_tokenizer


if __name__ == "__main__":
    _name, _figure, _rounds, _seconds = sys.argv[1:]
    print(json.dumps(measure(_name, _figure, int(_rounds), float(_seconds))))
