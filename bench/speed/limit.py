"""The same models in one process, in full batches and nothing else: the limit of the service.

A child process looks for the fastest way to spread the work over the cores (`bench.speed.works`),
then measures that way alone as often as it is asked to. A machine that others share is faster or
slower from minute to minute, so the limit is measured beside every load.
"""

import json
import os
import subprocess
import sys
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import suppress
from dataclasses import asdict, dataclass, field
from itertools import cycle, islice
from pathlib import Path
from typing import TYPE_CHECKING, Any, Literal, Self

from bench.load.photos import NAMES
from bench.report import cores

if TYPE_CHECKING:
    from bench.speed.works import Pipeline, Way, Work

Model = Literal["clip", "yolo", "yolo, drawn"]
DRAWN: Model = "yolo, drawn"
_PASSIVE = "PASSIVE"
"""Threads that wait do not keep a core from those that decode: without it two torch threads beside
two that decode take up to ten times as long."""
_BATCHES = ((16, 32), (4, 1))
"""Ever larger ones, and ever smaller ones, than the first."""
_FIRST_BATCH, _FINALISTS = 8, 2
_MOST_DRAWN = 8
"""Whole pictures stay in memory until they are drawn into: large batches take gigabytes."""
_TRIAL_S, _MEASURE_S, _PLAIN_S = 2.0, 10.0, 5.0
_PLAIN_BATCH = 16
_ENVIRONMENT = {
    # As the service's own decoders have it: fresh pages for every picture cost more than decoding.
    "PILLOW_BLOCKS_MAX": "16",
    "MALLOC_MMAP_THRESHOLD_": str(1 << 30),
    "MALLOC_TRIM_THRESHOLD_": str(1 << 30),
}


@dataclass
class Found:
    """The fastest way, and what was measured.

    Attributes:
        rate: pictures per second.
        way: fields of a `Way`.
        words: the same in words.
        tried: pictures per second of every way that was tried.
        plain_rate: of the libraries' own way, in fp32.
    """

    rate: float
    way: dict[str, Any]
    words: str
    tried: dict[str, float] = field(default_factory=dict)
    plain_rate: float | None = None


class Child:
    """Process that measures one job after the other and keeps the models it loaded.

    Args:
        settings: of the models.
        groups: paths of JPEG files by photograph.
        waits: `OMP_WAIT_POLICY`, which torch reads once; empty for the default.
    """

    def __init__(
        self, settings: Mapping[str, str], groups: Mapping[str, Sequence[str]], waits: str
    ) -> None:
        environment = {**os.environ, **_ENVIRONMENT, **settings}
        if waits:
            environment["OMP_WAIT_POLICY"] = waits
        self._waits = waits
        self._process = subprocess.Popen(
            [sys.executable, "-m", __name__, json.dumps(groups)],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            text=True,
            env=environment,
        )

    def close(self) -> None:
        """End the child."""
        self._process.kill()
        self._process.communicate()

    def ask(self, model: Model, way: Mapping[str, Any] | None = None) -> Found:
        """Look for the fastest way, or measure the given one.

        Raises:
            RuntimeError: the child failed; what it said is on standard error.
        """
        told, said = self._process.stdin, self._process.stdout
        assert told is not None and said is not None  # noqa: S101, PT018 - for mypy
        with suppress(BrokenPipeError):  # it has ended, and there is no line to read
            told.write(json.dumps({"model": model, "way": way}) + "\n")
            told.flush()
        line = said.readline()
        if not line:
            raise RuntimeError(f"the limit of {model} could not be measured")
        found = Found(**json.loads(line))
        found.words += f", {self._waits.lower() or 'default'} waits"
        return found


class Limits:
    """Limits of one run: how they are reached, and what they are now.

    Args:
        files: photographs by name.
        settings: of the service and of the limit.

    Attributes:
        found: the fastest way by model.
        rates: pictures per second by model, each time that it was measured.
    """

    def __init__(self, files: Mapping[str, Path], settings: Mapping[str, str]) -> None:
        self._settings = settings
        self._groups = {
            name: [str(path) for file, path in files.items() if file.startswith(f"{name}-")]
            for name in NAMES
        }
        self._children: dict[Model, Child] = {}
        self.found: dict[Model, Found] = {}
        self.rates: dict[Model, list[float]] = {}

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        for child in set(self._children.values()):
            child.close()

    def find(self, models: Sequence[Model]) -> None:
        """Look for the fastest way of each of these models."""
        for model in dict.fromkeys(models):
            self.rates[model] = []
            if model == DRAWN:  # told for information, so that the detector's way will do
                way = self.found["yolo"].way
                way = {**way, "batch": min(way["batch"], _MOST_DRAWN)}
                self._children[model] = self._children["yolo"]
                self.found[model] = Found(0.0, way, "")
            else:
                self._find(model)

    def measure(self, models: Sequence[Model]) -> dict[Model, float]:
        """Pictures per second of these models now, each by itself."""
        for model in models:
            again = self._children[model].ask(model, self.found[model].way)
            self.found[model].words = again.words
            self.rates[model].append(again.rate)
        return {model: self.rates[model][-1] for model in models}

    def _find(self, model: Model) -> None:
        """With passive waits, then the best way with default ones; in children that are new."""
        passive = self._child(_PASSIVE)
        best = passive.ask(model)
        passive.close()  # it holds a model for each way that was tried
        default = self._child("")
        is_passive = default.ask(model, best.way).rate <= best.rate
        if is_passive:
            default.close()
        self.found[model] = best
        self._children[model] = self._child(_PASSIVE) if is_passive else default

    def _child(self, waits: str) -> Child:
        return Child(self._settings, self._groups, waits)


def fastest(pipeline: "Pipeline", ways: Callable[[int], Sequence["Way"]]) -> Found:
    """Try all ways with one size of batch, the best with the others, the very best for longer.

    Larger batches are tried for as long as they are faster, and so are smaller ones.
    """
    tried = {way: pipeline.rate(way, _TRIAL_S) for way in ways(_FIRST_BATCH)}
    best = sorted(range(len(tried)), key=list(tried.values()).__getitem__)[-_FINALISTS:]
    for sizes in _BATCHES:
        for batch in sizes:
            before = max(tried.values())
            finalists = [ways(batch)[n] for n in best]
            tried |= {way: pipeline.rate(way, _TRIAL_S) for way in finalists}
            if max(tried.values()) == before:
                break
    finalists = sorted(tried, key=tried.__getitem__)[-_FINALISTS:]
    rates = {way: pipeline.rate(way, _MEASURE_S / _FINALISTS) for way in finalists}
    way = max(rates, key=rates.__getitem__)
    return Found(rates[way], asdict(way), str(way), {str(each): r for each, r in tried.items()})


def plain_rate(model: Model, files: Sequence[str]) -> float:
    """Pictures per second of open_clip's transform and model, or of ultralytics' `predict`."""
    import torch  # noqa: PLC0415 - heavy

    torch.set_num_threads(cores())
    step = _plain_clip() if model == "clip" else _plain_yolo()
    turn: Iterator[str] = cycle(files)
    step(list(islice(turn, _PLAIN_BATCH)))
    began, done = time.perf_counter(), 0
    while time.perf_counter() < began + _PLAIN_S:
        step(list(islice(turn, _PLAIN_BATCH)))
        done += _PLAIN_BATCH
    return done / (time.perf_counter() - began)


def clip_network() -> tuple[Any, Any]:
    """open_clip's model of the settings in fp32, and its transform."""
    import open_clip  # noqa: PLC0415 - brings torch

    from runners.settings import ModelSettings  # noqa: PLC0415
    from runners.weights.source import clip_source  # noqa: PLC0415

    source = clip_source(ModelSettings())
    weights = str(source.path or source.name)
    model, _, transform = open_clip.create_model_and_transforms(
        source.architecture, pretrained=weights
    )
    return model.eval(), transform


def yolo_model() -> Any:
    """Ultralytics' model of the settings."""
    from ultralytics import YOLO  # noqa: PLC0415 - reads its environment once, at import

    from runners.settings import ModelSettings  # noqa: PLC0415
    from runners.weights.source import yolo_source  # noqa: PLC0415

    source = yolo_source(ModelSettings())
    return YOLO(str(source.path or source.name))


def _plain_clip() -> Callable[[list[str]], Any]:
    import torch  # noqa: PLC0415 - heavy
    from PIL import Image  # noqa: PLC0415

    model, transform = clip_network()

    def encode(files: list[str]) -> Any:
        pixels = torch.stack([transform(Image.open(file)) for file in files])
        with torch.no_grad():
            return model.encode_image(pixels, normalize=True)

    return encode


def _plain_yolo() -> Callable[[list[str]], Any]:
    model = yolo_model()
    return lambda files: model.predict(files, device="cpu", verbose=False, save=False)


def main() -> None:
    """Answer the questions of standard input, a line each."""
    from bench.speed.works import ClipWork, Pipeline, Way, YoloWork, ways  # noqa: PLC0415 - torch

    answers = os.fdopen(os.dup(1), "w")
    os.dup2(2, 1)  # what libraries print must not come between the answers
    groups: dict[str, list[str]] = json.loads(sys.argv[1])
    files = [[Path(path).read_bytes() for path in group] for group in groups.values()]
    pipelines: dict[Model, Pipeline] = {}
    for line in sys.stdin:
        asked = json.loads(line)
        model: Model = asked["model"]

        def make(threads: int, model: Model = model) -> "Work":
            clip = model == "clip"
            return ClipWork(threads) if clip else YoloWork(threads, draws=model == DRAWN)

        pipeline = pipelines.setdefault(model, Pipeline(make, files))
        if asked["way"]:
            way = Way(**asked["way"])
            found = Found(pipeline.rate(way, _MEASURE_S), asked["way"], str(way))
        else:
            found = fastest(pipeline, lambda batch: ways(cores(), batch))
            found.plain_rate = plain_rate(
                model, [path for group in groups.values() for path in group]
            )
        print(json.dumps(asdict(found)), file=answers, flush=True)


if __name__ == "__main__":
    main()
