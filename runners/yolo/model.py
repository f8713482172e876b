"""YOLO without a server: letterboxed pictures to detections, whatever computes them."""

from collections import defaultdict
from collections.abc import Sequence
from typing import Protocol

import numpy as np

from runners.device.cores import Parts
from runners.device.precision import Precision
from runners.schemas import DetectionRows, Pixels, Predictions, Runtime, YoloInfo

_NO_DETECTIONS: DetectionRows = np.empty((0, 6), np.float32)


class Forward(Protocol):
    """What computes the network: one pass at a time, for any number of threads."""

    runtime: Runtime
    precision: Precision
    most: int
    end2end: bool

    @property
    def cores(self) -> Parts:
        """What the parts of a batch are computed on."""

    def release(self) -> None:
        """Give back what only loading needs of memory, once it has computed something."""

    def predict(self, batch: Pixels) -> Predictions:
        """What the network says of uint8 [n, height, width, 3]."""

    def detect(self, batch: Pixels, confidence: float) -> list[DetectionRows]:
        """The detections in them that are surer than so much."""


class YoloModel:
    """An ultralytics detection model on one device and all given cores, for any number of threads.

    The network and its fusing are ultralytics' own, so that detections stay right for every kind of
    head that the installed version knows.

    Attributes:
        info: What the model is, and how pictures must be letterboxed for it.
        forward: What computes it.
        min_confidence: Detections below it are not told.
    """

    def __init__(self, forward: Forward, info: YoloInfo, min_confidence: float) -> None:
        self.info = info
        self.forward = forward
        self.min_confidence = min_confidence

    @property
    def precision(self) -> Precision:
        """What its layers but the head compute in."""
        return self.forward.precision

    def warm_up(self) -> None:
        """Run the model once at full size, so that the first request does not pay for it."""
        self.detect([np.zeros((self.info.image_size, self.info.image_size, 3), np.uint8)])
        self.forward.release()

    def detect(self, pictures: Sequence[Pixels]) -> list[DetectionRows]:
        """Find the objects in pictures; those of one shape share forward passes.

        Args:
            pictures: n pictures, uint8 [height, width, 3], RGB, letterboxed: both sides multiples
                of `info.stride`.

        Returns:
            n arrays, in the order of `pictures`, the most confident detection first. Coordinates
            are pixels of the letterboxed picture.

        Raises:
            ValueError: If a picture has another type or shape.
        """
        rows: list[DetectionRows] = [_NO_DETECTIONS] * len(pictures)
        by_shape: defaultdict[tuple[int, ...], list[int]] = defaultdict(list)
        for index, picture in enumerate(pictures):
            self._check(picture)
            by_shape[picture.shape].append(index)

        def detect(indexes: Sequence[int]) -> None:
            batch = np.stack([pictures[index] for index in indexes])
            found = self.forward.detect(batch, self.min_confidence)
            for index, one in zip(indexes, found, strict=True):
                rows[index] = one

        self.forward.cores.compute(detect, list(by_shape.values()), self.forward.most)
        return rows

    def _check(self, picture: Pixels) -> None:
        height, width, channels = picture.shape if picture.ndim == 3 else (0, 0, 0)
        stride = self.info.stride
        fits = channels == 3 and height * width > 0 and height % stride == width % stride == 0
        if not fits or picture.dtype != np.uint8:
            raise ValueError(
                f"expected uint8 [height, width, 3] with sides that are multiples of {stride}, "
                f"got {picture.dtype} {list(picture.shape)}"
            )
