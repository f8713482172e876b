"""How fast are the models alone, on a CPU or a GPU, beside what the chip can do?

The plain model classes on prepared pictures, by batch, precision and threads, beside what the chip
reaches with one large product of matrices in the same precision; and how many pictures all cores
decode and prepare, as no model can be fed with more::

    uv run python -m bench models               # about three minutes on a CPU
    uv run python -m bench models --device cuda --precision fp32,bf16,fp16
"""

import os
import time
from argparse import ArgumentParser, Namespace
from collections.abc import Callable, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from functools import partial
from pathlib import Path
from typing import Any

import torch
from torch.utils.flop_counter import FlopCounterMode

from bench.load.photos import NAMES, photographs
from bench.report import Cell, Limit, Report, cores
from bench.service.models import add_options as add_service_options
from bench.service.models import numbers, settings_of
from bench.speed.limit import clip_network, yolo_model
from bench.speed.works import ClipWork, YoloWork
from runners.device.cores import resolve_device

BATCHES = (1, 4, 8, 16, 32, 64)
_DECODED = 32
"""Pictures that are decoded for each rate."""
_SIDE = "1280"
_PRECISIONS = {"fp32": torch.float32, "bf16": torch.bfloat16, "fp16": torch.float16}
_MATRIX = {"cpu": 2048, "cuda": 8192}


def seconds_each(call: Callable[[], Any], device: str, seconds: float) -> float:
    """Mean time of a call, repeated for so long; once before to warm up.

    A GPU works on after a call has returned, so the clock is read when it is done.
    """

    def wait() -> None:
        if device.startswith("cuda"):
            torch.cuda.synchronize(device)

    call()
    wait()
    began, calls = time.perf_counter(), 0
    while calls < 2 or time.perf_counter() - began < seconds:
        call()
        calls += 1
        wait()
    return (time.perf_counter() - began) / calls


def peak_flops(device: str, precision: str, seconds: float) -> float:
    """Floating-point operations per second of a large product of matrices."""
    dtype = _PRECISIONS[precision]
    side = _MATRIX[device.split(":", maxsplit=1)[0]]
    left, right = (torch.randn(side, side, device=device).to(dtype) for _ in range(2))
    with torch.inference_mode():
        return 2.0 * side**3 / seconds_each(lambda: left @ right, device, seconds)


def flops_of(call: Callable[[], Any]) -> float:
    """Floating-point operations of a forward pass, as torch counts them.

    With gradients, as without them torch takes a fused attention that it does not count.
    """
    counter = FlopCounterMode(display=False)
    with counter:
        call()
    return float(counter.get_total_flops())


def by_batch(
    report: Report, name: str, works: Mapping[int, Any], photo: bytes, given: Namespace
) -> None:
    """Print a model's rate by batch and threads, and how much of the chip's limit it is.

    Args:
        report: to print with.
        name: of the model.
        works: the model by threads.
        photo: JPEG file of every picture.
        given: device, batches, and how long.
    """
    work = next(iter(works.values()))
    peak = peak_flops(given.device, work.precision, given.seconds)
    prepared = work.prepare(photo)
    flops = _flops(name, prepared)
    rows: list[tuple[Cell, ...]] = []
    for threads, each in works.items():
        torch.set_num_threads(threads)
        for batch in given.batches:
            call = partial(each.compute, [prepared] * batch)
            took = seconds_each(call, given.device, given.seconds)
            done = batch * flops / took
            rows.append((threads, batch, took * 1e3, batch / took, done / 1e9, done / peak))
    torch.set_num_threads(cores())
    columns = ("threads", "batch", "ms a batch", "pictures/s", "GFLOP/s", "of the chip's limit")
    title = f"{name}, {work.precision}: {flops / 1e9:.2f} GFLOP a picture"
    report.table(columns, rows, f"{title}; the chip's limit is {peak / 1e9:,.0f} GFLOP/s")


def _flops(name: str, prepared: Any) -> float:
    if name == "clip":
        network, _ = clip_network()
        size = prepared.shape[0]
        return flops_of(lambda: network.encode_image(torch.zeros(1, 3, size, size)))
    height, width = prepared[0].pixels.shape[:2]
    detector = yolo_model().model.float()
    return flops_of(lambda: detector(torch.zeros(1, 3, height, width)))


def decoding(report: Report, files: Mapping[str, Path], works: Mapping[str, Any]) -> None:
    """Print how many pictures all cores decode and prepare."""
    rows: list[tuple[Cell, ...]] = []
    with ThreadPoolExecutor(cores()) as pool:
        for name, path in files.items():
            pictures = [path.read_bytes()] * _DECODED
            rates = []
            for work in works.values():
                list(pool.map(work.prepare, pictures[: cores()]))
                began = time.perf_counter()
                list(pool.map(work.prepare, pictures))
                rates.append(_DECODED / (time.perf_counter() - began))
            rows.append((name, *rates))
    columns = ["photograph", *(f"for {name}, pictures/s" for name in works)]
    report.table(columns, rows, f"decoding and preparation on {cores()} cores")


def measure(report: Report, files: Mapping[str, Path], given: Namespace) -> None:
    """Everything with the settings in the environment."""
    photo = files[f"{NAMES[0]}-{_SIDE}.jpg"].read_bytes()
    threads = sorted({1, cores()}) if given.device == "cpu" else [cores()]
    works: dict[str, dict[int, Any]] = {
        "clip": {n: ClipWork(n) for n in threads},
        "yolo": {n: YoloWork(n) for n in threads},
    }
    for name, each in works.items():
        by_batch(report, name, each, photo, given)
    decoding(report, files, {name: next(iter(each.values())) for name, each in works.items()})


def add_options(parser: ArgumentParser) -> None:
    """Device, batches and seconds, and the models."""
    add_service_options(parser, rows=0, sides="640,1280,4000")
    parser.add_argument("--device", default="auto", help="auto, cpu, cuda, cuda:1, ...")
    parser.add_argument("--batches", type=numbers, default=BATCHES)
    parser.add_argument("--seconds", type=float, default=2, help="for each figure")


def run(given: Namespace, report: Report) -> Sequence[Limit]:
    """Measure and print; no limits."""
    given.device = resolve_device(given.device)
    report.say(f"device: {given.device}\n")
    sides = tuple(dict.fromkeys((_SIDE, *given.sides)))
    with photographs(sides) as files:
        for precision in given.precision.split(",") if given.precision else [None]:
            given.precision = precision
            os.environ.update({**settings_of(given, report), "IMAGE_SEARCH_DEVICE": given.device})
            measure(report, files, given)
    return []
