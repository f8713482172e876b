"""Drawn images with objects, laid down in a table, and the exact answers to searches for them.

Nothing of it is kept in memory: the same vectors are drawn again for the exact answers.
"""

import asyncio
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from datetime import UTC, datetime
from itertools import islice
from typing import Any

import numpy as np
from numpy.typing import NDArray

from bench.service.table import DIM, RARE_ROWS, Clusters, Matrix, url_of
from store.index import ImageIndex
from store.metadata.columns import Registry
from store.metadata.objects import new_key
from store.metadata.rows import Row, to_arrow
from store.objects.names import object_rows, objects_name
from store.schemas import (
    Detector,
    ModelIdentity,
    NewImage,
    NewObjects,
    ObjectBox,
    ObjectSet,
)
from store.settings import StoreSettings
from store.table.connection import connect
from store.table.names import FIRST_TABLE

EACH = 5
"""Objects of an image."""
TOP = 10
CLASSES = ("even", "odd")
"""Of objects, by their number: those of one lie around other centres than those of the other."""
SIZE = (640, 480)
_BOX = (0.25, 0.25, 0.5, 0.5)
_AT_ONCE = 4000
Numbers = NDArray[np.int64]


@dataclass(frozen=True)
class Kind:
    """Searches of one kind: the filter, the class, and which images and objects that leaves."""

    name: str
    filter: dict[str, Any] | None
    only: dict[str, Any] | None
    images: Callable[[Numbers], NDArray[np.bool_]]

    @property
    def query(self) -> dict[str, Any]:
        return {"filter": self.filter, "limit": TOP}


def kinds(count: int) -> list[Kind]:
    rare = _rare(count)
    return [
        Kind("all", None, None, lambda n: n >= 0),
        Kind("a fifth", {"percent": {"$lt": 20}}, None, lambda n: n % 100 < 20),
        Kind("a hundredth", {"percent": 7}, None, lambda n: n % 100 == 7),
        Kind("seven", {"rare": 3}, None, lambda n: n % rare == 3),
        Kind("another class", None, {"class_name": "odd"}, lambda n: n >= 0),
    ]


def queries(count: int, some: int) -> Matrix:
    """Vectors near the objects of the first class, float32 [some, dim]."""
    return Clusters(EACH * count).rows(2 * some, stream=3)[::2]


@dataclass(frozen=True, eq=False)
class Part:
    """Some images in the order of their numbers, with their vectors and those of their objects."""

    first: int
    vectors: Matrix
    objects: Matrix

    @property
    def numbers(self) -> Numbers:
        return self.first + np.arange(len(self.vectors))


def parts(count: int) -> Iterator[Part]:
    """All images, 20,000 at a time."""
    objects, first = Clusters(EACH * count).batches(EACH * count, stream=2), 0
    for vectors in Clusters(count).batches(count, stream=1):
        yield Part(first, vectors, np.concatenate([*islice(objects, EACH)]))
        first += len(vectors)


async def opened() -> ImageIndex:
    """The index of the settings in the environment, which has upkeep only when it is told to."""
    settings = StoreSettings(store_upkeep_minutes=1440, store_upkeep_every=1000)
    detector = Detector("bench", "drawn")
    return await ImageIndex.open(settings, ModelIdentity("bench", "drawn", DIM), detector=detector)


async def lay_down(count: int, *, at_once: bool) -> float:
    """Add everything: image by image, or by a commit for each part; images a second."""
    index, began = await opened(), time.monotonic()
    if not at_once:
        for part in parts(count):
            await _add(index, part, _rare(count))
    else:
        await index.upsert(_image(next(parts(1)), 0, _rare(count)))  # which makes the columns
    await index.close()
    if at_once:
        await _append(count)
    return count / (time.monotonic() - began)


async def _add(index: ImageIndex, part: Part, rare: int) -> None:
    for first in range(0, len(part.vectors), _AT_ONCE):
        places = range(first, min(first + _AT_ONCE, len(part.vectors)))
        await asyncio.gather(*(index.upsert(_image(part, n, rare)) for n in places))


async def _append(count: int) -> None:
    """Add the rows of all images but the first to both tables, as the store lays rows out."""
    connection = await connect(StoreSettings())
    images = await connection.open_table(FIRST_TABLE)
    objects = await connection.open_table(objects_name(FIRST_TABLE))
    await images.delete("true")
    await objects.delete("true")
    schema, of_objects = await images.schema(), await objects.schema()
    registry = Registry.from_schema(schema)
    for part in parts(count):
        made = [_image(part, place, _rare(count)) for place in range(len(part.vectors))]
        sets = [_set(each.objects) for each in made if each.objects is not None]
        vectors = part.objects.reshape(len(sets), EACH, -1)
        await objects.add(object_rows(list(zip(sets, vectors, strict=True)), of_objects))
        rows = [_row(each, own, registry) for each, own in zip(made, sets, strict=True)]
        await images.add(to_arrow(rows, registry, schema))
    connection.close()


def _image(part: Part, place: int, rare: int) -> NewImage:
    number, first = part.first + place, EACH * place
    boxes = tuple(ObjectBox(CLASSES[(EACH * number + n) % 2], 0.5, _BOX) for n in range(EACH))
    metadata = {"percent": number % 100, "rare": number % rare}
    found = NewObjects(SIZE, boxes, 0, part.objects[first : first + EACH])
    return NewImage(url_of(number), part.vectors[place], metadata, objects=found)


def _set(found: NewObjects) -> ObjectSet:
    return ObjectSet(found.size, found.boxes, found.left_out, new_key())


def _row(image: NewImage, own: ObjectSet, registry: Registry) -> Row:
    assert isinstance(image.metadata, dict)  # noqa: S101 - for mypy
    values, _ = registry.place(image.metadata)
    now = datetime.now(UTC)
    return Row(image.id, image.url, image.vector, now, None, None, None, values, own)


def _rare(count: int) -> int:
    return max(1, count // RARE_ROWS)


def least_scores(count: int, vectors: Matrix) -> dict[str, Matrix]:
    """By kind the score of each query's tenth image, or of the last where there are fewer."""
    best = {kind.name: np.full((len(vectors), TOP), -np.inf, np.float32) for kind in kinds(count)}
    for part in parts(count):
        scores = (vectors @ part.objects.T).reshape(len(vectors), -1, EACH)
        is_odd = (EACH * part.numbers[:, None] + np.arange(EACH)) % 2 == 1
        odd = np.where(is_odd, scores, -np.inf).max(axis=2)
        every = scores.max(axis=2)
        for kind in kinds(count):
            found = (every if kind.only is None else odd)[:, kind.images(part.numbers)]
            joined = np.concatenate([best[kind.name], found], axis=1)
            best[kind.name] = np.partition(joined, -TOP, axis=1)[:, -TOP:]
    return {name: np.where(each > -np.inf, each, np.inf).min(axis=1) for name, each in best.items()}
