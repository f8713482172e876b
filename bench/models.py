"""The models' code alone: pictures per second by batch, precision, threads and device.

The plain model classes on prepared pictures, in this process, beside what the chip reaches with one
large product of matrices in the same precision, and beside what decoding on all cores allows. At
last the preparation: with Pillow on the CPU, or by torch on the device, where pictures go whole::

    uv run python -m bench.models
    uv run python -m bench.models --device cuda --precision fp32,bf16,fp16

Without a GPU the same runs on the CPU, by numbers of threads.
"""

import argparse
import os
import tempfile
from collections.abc import Callable, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from functools import partial
from itertools import cycle, islice
from pathlib import Path
from time import perf_counter
from typing import Any

import numpy as np
import torch
from PIL import Image

from bench.chip import PRECISIONS, flops_of, peak_flops, seconds_each
from bench.device_prepare import Placed, compared
from bench.ending import end_on_signals
from bench.photos import NAMES, photo_files, sides_of
from bench.pipeline import ClipWork, Work, YoloWork
from bench.plain import clip_network, yolo_model
from bench.report import Cell, Report, cores
from bench.settings import numbers, service_settings, tell_settings
from bench.weights import SIZES
from runners.device.cores import resolve_device

BATCHES = (1, 4, 8, 16, 32, 64)
DECODED = 32
"""Pictures that are decoded for each rate."""
PREPARED_SIDE, PREPARED = "1280", 8
"""Size and number of the pictures that are prepared on the CPU and on the device."""


@dataclass(frozen=True)
class Wanted:
    """How it is measured.

    Attributes:
        device: of torch, one that is there.
        batches: sizes of batches.
        seconds: for each figure.
    """

    device: str
    batches: tuple[int, ...]
    seconds: float

    @property
    def threads(self) -> tuple[int, ...]:
        """Of torch; they matter on a CPU alone."""
        return tuple(sorted({1, cores()})) if self.device == "cpu" else (cores(),)


@dataclass(frozen=True)
class Subject:
    """A model that is measured.

    Attributes:
        name: in the tables.
        threads: of torch.
        work: the model.
        prepared: one picture.
        flops: floating-point operations for it.
    """

    name: str
    threads: int
    work: Work
    prepared: Any
    flops: float


@dataclass(frozen=True)
class Chip:
    """What it is measured on, and reached with a product of matrices.

    Attributes:
        precision: of `PRECISIONS`.
        peak: floating-point operations per second.
    """

    precision: str
    peak: float


def by_batch(report: Report, subjects: Sequence[Subject], chip: Chip, wanted: Wanted) -> None:
    """Print a model's rate by batch and threads, and how much of the chip's limit it is.

    Args:
        report: to print with.
        subjects: the same model with several numbers of threads.
        chip: that it runs on.
        wanted: batches, and how long.
    """
    rows: list[tuple[Cell, ...]] = []
    for subject in subjects:
        torch.set_num_threads(subject.threads)
        for batch in wanted.batches:
            call = partial(subject.work.compute, [subject.prepared] * batch)
            took = seconds_each(call, wanted.device, wanted.seconds)
            done = batch * subject.flops / took
            share = done / chip.peak
            rows.append((subject.threads, batch, took * 1e3, batch / took, done / 1e9, share))
    torch.set_num_threads(cores())
    columns = ("threads", "batch", "ms a batch", "pictures/s", "GFLOP/s", "of the chip's limit")
    title = f"{subjects[0].name}, {chip.precision}: {subjects[0].flops / 1e9:.2f} GFLOP a picture"
    report.table(columns, rows, f"{title}; the chip's limit is {chip.peak / 1e9:,.0f} GFLOP/s")


def by_size(report: Report, files: Mapping[str, Path], works: Mapping[str, Work]) -> None:
    """Print how many pictures all cores decode and prepare: no model can be fed with more."""
    rows: list[tuple[Cell, ...]] = []
    with ThreadPoolExecutor(cores()) as pool:
        for name, path in files.items():
            rates = []
            for work in works.values():
                began = perf_counter()
                list(pool.map(work.prepare, [path.read_bytes()] * DECODED))
                rates.append(DECODED / (perf_counter() - began))
            rows.append((name, *rates))
    columns = ("photograph", *(f"for {name}, pictures/s" for name in works))
    report.table(columns, rows, f"decoding and preparation on {cores()} cores")


def by_place(report: Report, photos: Sequence[Path], precision: str, wanted: Wanted) -> None:
    """Print what the preparation costs with Pillow, and on the device."""
    network, transform = clip_network()
    decoded = [np.array(Image.open(path)) for path in photos]
    pictures = list(islice(cycle(decoded), PREPARED))
    size = int(transform.transforms[1].size[0])
    rows, cosine = compared(
        network, pictures, size, Placed(wanted.device, PRECISIONS[precision]), wanted.seconds
    )
    columns = ("prepared with", "preparation, ms a picture", "with the forward", "pictures/s")
    title = f"preparation of decoded pictures of {PREPARED_SIDE} pixels, batch {PREPARED}"
    report.table(columns, rows, f"{title}, {precision}; least cosine between both {cosine:.5f}")


def flops_by_model(photo: bytes, works: Mapping[str, Work]) -> dict[str, float]:
    """Floating-point operations for one picture."""
    (clip, _), detector = clip_network(), yolo_model().model
    boxed, _ = works["yolo"].prepare(photo)
    height, width = boxed.pixels.shape[:2]
    size = works["clip"].prepare(photo).shape[0]
    return {
        "clip": flops_of(lambda: clip.encode_image(torch.zeros(1, 3, size, size))),
        "yolo": flops_of(lambda: detector(torch.zeros(1, 3, height, width))),
    }


MODELS: Mapping[str, Callable[[int], Work]] = {"clip": ClipWork, "yolo": YoloWork}


def measure(report: Report, files: Mapping[str, Path], wanted: Wanted) -> None:
    """Everything with the settings in the environment."""
    photo = files[f"{NAMES[0]}-{PREPARED_SIDE}.jpg"].read_bytes()
    works = {
        name: {threads: make(threads) for threads in wanted.threads}
        for name, make in MODELS.items()
    }
    one_each = {name: next(iter(each.values())) for name, each in works.items()}
    for name, flops in flops_by_model(photo, one_each).items():
        precision, prepared = one_each[name].precision, one_each[name].prepare(photo)
        chip = Chip(precision, peak_flops(wanted.device, PRECISIONS[precision], wanted.seconds))
        subjects = [
            Subject(name, threads, work, prepared, flops) for threads, work in works[name].items()
        ]
        by_batch(report, subjects, chip, wanted)
    by_size(report, files, one_each)
    photos = [files[f"{name}-{PREPARED_SIDE}.jpg"] for name in NAMES]
    by_place(report, photos, one_each["clip"].precision, wanted)


def main() -> None:
    """Measures and prints."""
    parser = argparse.ArgumentParser(description=(__doc__ or "").splitlines()[0])
    parser.add_argument("--models", choices=SIZES, default="full")
    parser.add_argument("--device", default="auto", help="auto, cpu, cuda, cuda:1, ...")
    parser.add_argument("--precision", help=f"of {', '.join(PRECISIONS)}; several with commas")
    parser.add_argument("--batches", type=numbers, default=BATCHES)
    parser.add_argument("--sides", type=sides_of, default=sides_of("640,1280,4000"))
    parser.add_argument("--seconds", type=float, default=2, help="for each figure")
    parser.add_argument("--json", type=Path)
    given = parser.parse_args()
    end_on_signals()
    report = Report(f"The models alone: {given.models}")
    wanted = Wanted(resolve_device(given.device), given.batches, given.seconds)
    report.say(f"device: {chip_of(wanted.device)}\n")
    sides = tuple(dict.fromkeys((PREPARED_SIDE, *given.sides)))
    with tempfile.TemporaryDirectory() as folder:
        files = photo_files(Path(folder), sides)
        for precision in given.precision.split(",") if given.precision else [None]:
            settings = service_settings(given.models, precision, device=wanted.device)
            tell_settings(report, settings)
            os.environ.update(settings)
            measure(report, files, wanted)
    if given.json:
        report.json(given.json)


def chip_of(device: str) -> str:
    """A device's name."""
    return device if device == "cpu" else f"{device}, {torch.cuda.get_device_name(device)}"


if __name__ == "__main__":
    main()
