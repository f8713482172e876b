"""The service's models with decoding and preparation, as one process runs them in full batches.

JPEG files go through the decoding and preparation of `images` and the plain model classes of
`runners`. There is no server, no queue, no network and no table.
"""

import time
from collections import defaultdict, deque
from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import Future, ThreadPoolExecutor
from dataclasses import dataclass
from itertools import cycle
from typing import Any, Protocol

import numpy as np
import torch
from numpy.typing import NDArray
from PIL import Image

from bench.load.generator import Span, rate
from images.decode.decode import decode_pixels, open_header
from images.decode.draw import draw_boxes, encode_jpeg
from images.decode.prepare import clip_pixels, letterbox
from images.schemas import LabelledBox, Letterboxed
from images.settings import DecodeSettings
from runners.clip.model import ClipModel
from runners.settings import ModelSettings
from runners.yolo.model import YoloModel

_LIMITS = DecodeSettings().limits
_QUALITY = 90
_DECODED_AHEAD = 2
"""Batches that are decoded before the model is free for them."""
_LEAST_BATCHES = 3


class Work(Protocol):
    """A model with what comes before it, and after it; `precision` is what it computes in."""

    precision: str

    def prepare(self, data: bytes) -> Any:
        """From a file to the model's input; in any thread."""

    def compute(self, prepared: Sequence[Any]) -> Sequence[Any]:
        """The model on a batch; in one thread at a time."""

    def finish(self, prepared: Any, computed: Any, /) -> Any:
        """What is left to do for one picture; in any thread."""


class ClipWork:
    """An added or searched picture.

    Args:
        threads: of torch; 0 leaves them to the settings.
    """

    def __init__(self, threads: int = 0) -> None:
        self.model = ClipModel.load(_settings(threads))
        self.model.warm_up()
        self.precision = str(self.model.precision)

    def prepare(self, data: bytes) -> NDArray[np.uint8]:
        """Decode, scale and crop: uint8 [size, size, 3]."""
        info = self.model.info
        how = (info.image_size, info.interpolation, info.resize_mode, info.fill_color)
        return clip_pixels(decode_pixels(open_header(data, _LIMITS)), *how)

    def compute(self, prepared: Sequence[NDArray[np.uint8]]) -> Sequence[Any]:
        """Embeddings."""
        return list(self.model.encode_images(np.stack(prepared)))

    def finish(self, _prepared: Any, computed: Any) -> Any:
        """Nothing."""
        return computed


class YoloWork:
    """A picture whose objects are found.

    Args:
        threads: of torch; 0 leaves them to the settings.
        draws: draw them into the picture and encode it.
    """

    def __init__(self, threads: int = 0, *, draws: bool = False) -> None:
        self._model = YoloModel.load(_settings(threads))
        self._model.warm_up()
        self.precision = str(self._model.precision)
        self._draws = draws

    def prepare(self, data: bytes) -> tuple[Letterboxed, Image.Image | None]:
        """Decode, scale and pad; the whole picture goes along only where it is drawn into."""
        picture, info = decode_pixels(open_header(data, _LIMITS)), self._model.info
        boxed = letterbox(np.asarray(picture), info.image_size, info.stride)
        return boxed, picture if self._draws else None

    def compute(self, prepared: Sequence[tuple[Letterboxed, Any]]) -> Sequence[Any]:
        """Detections."""
        return self._model.detect([boxed.pixels for boxed, _ in prepared])

    def finish(self, prepared: tuple[Letterboxed, Image.Image | None], computed: Any) -> Any:
        """Back to the original's pixels; then drawing and encoding."""
        boxed, picture = prepared
        boxes = [
            LabelledBox(
                tuple(boxed.to_original(np.array([found.xyxy], np.float32))[0].tolist()),
                found.confidence,
                found.class_id,
                found.class_name,
            )
            for found in computed
        ]
        return boxes if picture is None else encode_jpeg(draw_boxes(picture, boxes), _QUALITY)


def _settings(threads: int) -> ModelSettings:
    return ModelSettings(threads=threads) if threads else ModelSettings()


@dataclass(frozen=True)
class Way:
    """How the work is spread over the cores.

    Attributes:
        lanes: batches computed at the same time, each by a model of its own.
        threads: of torch, for each lane.
        decoders: threads that decode; 0 where each lane decodes for itself.
        beside: whether they decode while a batch is computed, or only between two.
        batch: pictures.
    """

    lanes: int
    threads: int
    decoders: int
    beside: bool
    batch: int

    def __str__(self) -> str:
        """As it stands in tables."""
        when = "beside it" if self.beside else "before it"
        decoding = f"{self.decoders} decoding threads {when}" if self.decoders else "decodes itself"
        lanes = f"{self.lanes} x " if self.lanes > 1 else ""
        return f"{lanes}{self.threads} torch threads, batch {self.batch}, {decoding}"


def ways(cores: int, batch: int) -> list[Way]:
    """Ways to spread work over so many cores, one of which is the fastest."""
    fewer = max(1, cores - 1)
    found = [
        Way(1, cores, cores, beside=False, batch=batch),
        Way(1, cores, cores, beside=True, batch=batch),
        Way(1, cores, 1, beside=True, batch=batch),
        Way(1, fewer, 1, beside=True, batch=batch),
        Way(1, fewer, cores, beside=True, batch=batch),
        Way(cores, 1, 0, beside=False, batch=batch),
    ]
    return list(dict.fromkeys(found))


class Pipeline:
    """Runs work in any way and measures its rate.

    Args:
        make: loads a model of so many threads; called once for each lane.
        groups: JPEG files, those of one shape together; a batch is of one group, as the detector
            computes only pictures of one shape together.
    """

    def __init__(self, make: Callable[[int], Work], groups: Sequence[Sequence[bytes]]) -> None:
        self._make, self._groups = make, groups
        self._works: defaultdict[int, list[Work]] = defaultdict(list)

    def rate(self, way: Way, seconds: float) -> float:
        """Pictures per second, from when every lane has done its first batch."""
        works = self._works[way.threads]
        while len(works) < way.lanes:
            works.append(self._make(way.threads))
        until = time.perf_counter() + seconds
        with ThreadPoolExecutor(max(1, way.decoders)) as pool, ThreadPoolExecutor(way.lanes) as all:
            running = [all.submit(self._run, work, way, pool, until) for work in works[: way.lanes]]
            lanes = [each.result() for each in running]
        start, end = max(lane[0].done for lane in lanes), min(lane[-1].done for lane in lanes)
        return rate((span for lane in lanes for span in lane), start, end)

    def _run(self, work: Work, way: Way, pool: ThreadPoolExecutor, until: float) -> list[Span]:
        """One lane: batches until it is time, but some at least."""
        torch.set_num_threads(way.threads)
        finishing: list[Future[Any]] = []
        spans: list[Span] = []
        began = time.perf_counter()
        for prepared in self._prepared(work, way, pool):
            pairs = list(zip(prepared, work.compute(prepared), strict=True))
            for each in finishing:  # at most one batch may wait
                each.result()
            if way.decoders:
                finishing = [pool.submit(work.finish, *pair) for pair in pairs]
            else:
                for pair in pairs:
                    work.finish(*pair)
            spans.append(Span(began, time.perf_counter(), len(prepared)))
            began = spans[-1].done
            if began >= until and len(spans) >= _LEAST_BATCHES:
                break
        for each in finishing:
            each.result()
        return spans

    def _prepared(self, work: Work, way: Way, pool: ThreadPoolExecutor) -> Iterator[list[Any]]:
        """Prepared batches without end, decoded as the way has it."""
        ahead = _DECODED_AHEAD if way.beside else 0
        waiting: deque[list[Future[Any]]] = deque()
        for batch in _batches(self._groups, way.batch):
            if not way.decoders:
                yield [work.prepare(data) for data in batch]
                continue
            waiting.append([pool.submit(work.prepare, data) for data in batch])
            if len(waiting) > ahead:
                yield [each.result() for each in waiting.popleft()]


def _batches(groups: Sequence[Sequence[bytes]], size: int) -> Iterator[list[bytes]]:
    """Batches without end, of one group after the other."""
    turns = [cycle(group) for group in groups]
    for turn in cycle(turns):
        yield [next(turn) for _ in range(size)]
