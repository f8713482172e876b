"""The workloads that `limit` times: decode, prepare and run a model, in one process.

JPEG files go through the decoding and preparation of `images` and the plain model classes of
`runners`. There is no server, no queue, no network and no table.
"""

import time
from collections.abc import Callable, Sequence
from concurrent.futures import ThreadPoolExecutor
from itertools import cycle
from typing import Any, NamedTuple

import numpy as np
import torch

from api.pipeline.boxes import in_picture, largest, padded
from api.settings import ApiSettings
from bench.load.generator import Span, rate
from images.decode.decode import decode_pixels, open_header
from images.decode.prepare import clip_pixels, letterbox
from images.settings import DecodeSettings
from runners.clip.recipe import load_clip
from runners.schemas import Runtime
from runners.settings import ModelSettings
from runners.yolo.recipe import load_yolo

_LIMITS = DecodeSettings().limits
_LEAST_BATCHES = 2
_EMBEDDED_AT_ONCE = 32
RUNTIMES: tuple[Runtime, ...] = ("torch", "openvino")
Work = Callable[[Sequence[bytes]], Sequence[Any]]
"""Everything from a batch of JPEG files to answers."""


def clip_work(runtime: Runtime, threads: int) -> Work:
    """What added and searched pictures need: embeddings."""
    model = load_clip(ModelSettings(runtime=runtime, threads=threads))
    model.warm_up()
    info = model.info
    how = (info.image_size, info.interpolation, info.resize_mode, info.fill_color)

    def work(files: Sequence[bytes]) -> Sequence[Any]:
        pixels = [clip_pixels(decode_pixels(open_header(data, _LIMITS)), *how) for data in files]
        return list(model.encode_images(np.stack(pixels)))

    return work


def yolo_work(runtime: Runtime, threads: int) -> Work:
    """What pictures need whose objects are found: boxes in the pictures' own pixels."""
    model = load_yolo(ModelSettings(runtime=runtime, threads=threads))
    model.warm_up()
    size, stride = model.info.image_size, model.info.stride

    def work(files: Sequence[bytes]) -> Sequence[Any]:
        pictures = [decode_pixels(open_header(data, _LIMITS)) for data in files]
        boxed = [letterbox(np.asarray(picture), size, stride) for picture in pictures]
        found = model.detect([each.pixels for each in boxed])
        pairs = zip(boxed, found, strict=True)
        return [box.to_original(rows[:, :4].astype(np.float32)) for box, rows in pairs]

    return work


def objects_work(runtime: Runtime, threads: int) -> Work:
    """What added pictures need whose objects are indexed: embeddings of them and of each object."""
    settings = ModelSettings(runtime=runtime, threads=threads)
    clip, yolo = load_clip(settings), load_yolo(settings)
    clip.warm_up()
    yolo.warm_up()
    info, size, stride = clip.info, yolo.info.image_size, yolo.info.stride
    how = info.image_size, info.interpolation
    most = ApiSettings().objects_max

    def work(files: Sequence[bytes]) -> Sequence[Any]:
        pictures = [decode_pixels(open_header(data, _LIMITS)) for data in files]
        boxed = [letterbox(np.asarray(picture), size, stride) for picture in pictures]
        pixels = [clip_pixels(each, *how, info.resize_mode, info.fill_color) for each in pictures]
        found = yolo.detect([each.pixels for each in boxed])
        for picture, box, rows in zip(pictures, boxed, found, strict=True):
            for own in largest(in_picture(rows, box, yolo.info.class_names), most):
                part = picture.crop(padded(own, picture.size))
                pixels.append(clip_pixels(part, *how, "squash", 0))
        batches = range(0, len(pixels), _EMBEDDED_AT_ONCE)
        return [
            clip.encode_images(np.stack(pixels[first : first + _EMBEDDED_AT_ONCE]))
            for first in batches
        ]

    return work


MAKES = {"clip": clip_work, "yolo": yolo_work, "objects": objects_work}


class Way(NamedTuple):
    """Batches of so many pictures in so many lanes at once, each with a model of so many threads;
    one lane decodes while another computes.
    """

    lanes: int
    threads: int
    batch: int
    runtime: Runtime

    def __str__(self) -> str:
        lane = f"{self.threads} threads of {self.runtime}"
        return f"{self.lanes} lanes x {lane}, batches of {self.batch}"


def ways(cores: int) -> list[Way]:
    """Ways to spread work over so many cores, one of which is the fastest."""
    spread = dict.fromkeys([(cores, 1), (cores + 1, 1), (1, cores), (2, cores)])
    return [Way(*each, batch, by) for by in RUNTIMES for each in spread for batch in (8, 32)]


class Pipeline:
    """Runs work in any way and measures its rate; `make` loads a model by a runtime and threads.
    Batches are of JPEG files of one shape, as the detector computes only those together.
    """

    def __init__(
        self, make: Callable[[Runtime, int], Work], groups: Sequence[Sequence[bytes]]
    ) -> None:
        self._make, self._groups = make, groups
        self._works: dict[tuple[Runtime, int], list[Work]] = {}

    def rate(self, way: Way, seconds: float) -> float:
        """Pictures per second, from when every lane has done its first batch."""
        works = self._works.setdefault((way.runtime, way.threads), [])
        while len(works) < way.lanes:
            works.append(self._make(way.runtime, way.threads))
        until = time.perf_counter() + seconds
        with ThreadPoolExecutor(way.lanes) as pool:
            running = [pool.submit(self._lane, work, way, until) for work in works[: way.lanes]]
            lanes = [each.result() for each in running]
        start, end = max(lane[0].done for lane in lanes), min(lane[-1].done for lane in lanes)
        return rate((span for lane in lanes for span in lane), start, end)

    def _lane(self, work: Work, way: Way, until: float) -> list[Span]:
        """Batches of one group after the other until it is time, but some at least."""
        torch.set_num_threads(way.threads)
        spans: list[Span] = []
        began = time.perf_counter()
        for turn in cycle([cycle(group) for group in self._groups]):
            work([next(turn) for _ in range(way.batch)])
            spans.append(Span(began, time.perf_counter(), way.batch))
            began = spans[-1].done
            if began >= until and len(spans) >= _LEAST_BATCHES:
                break
        return spans
