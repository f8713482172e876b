"""Objects for the store's tests: boxes and vectors that are drawn from a number."""

import numpy as np

from store.schemas import Detector, NewImage, NewObjects, ObjectBox
from tests.store.support import DIM, url_of, vector

DETECTOR = Detector("yolo-test.pt", "squash, 0.05")


def boxes(*names: str) -> tuple[ObjectBox, ...]:
    return tuple(
        ObjectBox(name, 0.5 + n / 16, (n / 16, 0.25, (n + 1) / 16, 0.5))
        for n, name in enumerate(names)
    )


def objects(n: int, *names: str, left_out: int = 0) -> NewObjects:
    own = boxes(*names)
    vectors = [vector(1000 * n + place) for place in range(len(own))]
    stacked = np.stack(vectors) if vectors else np.empty((0, DIM), np.float32)
    return NewObjects((640, 480), own, left_out, stacked)


def showing(n: int, *names: str, metadata: object = None, left_out: int = 0) -> NewImage:
    """An image with objects of these classes."""
    return NewImage(url_of(n), vector(n), metadata, objects=objects(n, *names, left_out=left_out))
