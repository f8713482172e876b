"""The libraries' own way, in fp32, as their pages show it: what the limit is told beside."""

import time
from collections.abc import Callable, Iterator, Sequence
from itertools import cycle, islice
from typing import Any

import open_clip
import torch
from PIL import Image

from bench.report import cores
from runners.clip import weights as clip_weights
from runners.settings import ModelSettings
from runners.weights.source import clip_source, yolo_source

_BATCH = 16
_SECONDS = 5.0


def plain_rate(model: str, files: Sequence[str], seconds: float = _SECONDS) -> float:
    """Pictures per second of open_clip's transform and model, or of ultralytics' `predict`.

    Args:
        model: `clip`, or the detector.
        files: JPEG files, gone through in turn.
        seconds: to measure for, after one batch to warm up.
    """
    torch.set_num_threads(cores())
    step = _clip() if model == "clip" else _yolo()
    batches = _batches(files)
    step(next(batches))
    began, done = time.perf_counter(), 0
    while time.perf_counter() < began + seconds:
        done += len(step(next(batches)))
    return done / (time.perf_counter() - began)


def clip_network() -> tuple[Any, Any]:
    """open_clip's model of the settings in fp32, and its transform."""
    source = clip_source(ModelSettings())
    clip_weights.check_published(source)
    model, _, transform = open_clip.create_model_and_transforms(
        source.architecture, pretrained=str(source.path or source.name)
    )
    return model.eval(), transform


def yolo_model() -> Any:
    """Ultralytics' model of the settings."""
    from ultralytics import YOLO  # noqa: PLC0415 - reads its environment once, at import

    source = yolo_source(ModelSettings())
    return YOLO(str(source.path or source.name))


def _clip() -> Callable[[list[str]], Any]:
    model, transform = clip_network()

    def encode(files: list[str]) -> Any:
        pixels = torch.stack([transform(Image.open(file)) for file in files])
        with torch.no_grad():
            return model.encode_image(pixels, normalize=True)

    return encode


def _yolo() -> Callable[[list[str]], Any]:
    model = yolo_model()
    return lambda files: model.predict(files, device="cpu", verbose=False, save=False)


def _batches(files: Sequence[str]) -> Iterator[list[str]]:
    turn = cycle(files)
    while True:
        yield list(islice(turn, _BATCH))
