"""The objects of images with their vectors, as they are stored: what an export takes out."""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Self

import numpy as np

from store.metadata.objects import KEY
from store.metadata.rows import as_matrix
from store.metadata.values import text_in
from store.objects.detector import Detectors, detectors_in
from store.objects.names import objects_name
from store.schemas import Detector, FloatVector, NewObjects, ObjectSet
from store.table.connection import open_dataset
from store.table.names import schema_of

if TYPE_CHECKING:
    from lance import LanceDataset
    from lancedb import AsyncConnection


@dataclass(frozen=True, eq=False)
class WholeObjects:
    """A table of objects, to be read beside its images; get one with `beside`.

    What another detector than that of now has found counts as not looked for.
    """

    _detectors: Detectors
    _uri: str
    _options: dict[str, str] | None

    @classmethod
    async def beside(cls, connection: "AsyncConnection", images: str) -> Self | None:
        """That of a table of images; None where there is none."""
        name = objects_name(images)
        if await schema_of(connection, name) is None:
            return None
        table = await connection.open_table(name)
        detectors = detectors_in(await table.schema())
        uri, options = await table.uri(), await table.latest_storage_options()
        table.close()
        return cls(detectors, uri, options)

    @property
    def detector(self) -> Detector:
        """That finds them."""
        return self._detectors.now

    def of(self, sets: Sequence[ObjectSet | None]) -> list[NewObjects | None]:
        """These sets with their vectors; None for one that is not there. Blocks."""
        earlier = self._detectors.earlier
        sets = [None if each is None or earlier(each.key) else each for each in sets]
        return self.with_vectors(sets)

    def with_vectors(self, sets: Sequence[ObjectSet | None]) -> list[NewObjects | None]:
        """The same, whichever detector has found them. Blocks."""
        keys = [each.key for each in sets if each is not None and each.boxes]
        vectors = _vectors(open_dataset(self._uri, self._options), keys) if keys else {}
        return [None if each is None else _whole(each, vectors) for each in sets]


def _vectors(objects: "LanceDataset", keys: Sequence[str]) -> dict[tuple[str, int], FloatVector]:
    found = objects.scanner(columns=[KEY, "n", "vector"], filter=text_in(KEY, keys)).to_table()
    names = zip(found[KEY].to_pylist(), found["n"].to_pylist(), strict=True)
    return dict(zip(names, as_matrix(found["vector"]), strict=True))


def _whole(of: ObjectSet, vectors: dict[tuple[str, int], FloatVector]) -> NewObjects | None:
    own = [vectors.get((of.key, n)) for n in range(len(of.boxes))]
    there = [each for each in own if each is not None]
    if len(there) < len(own):
        return None
    stacked = np.stack(there) if there else np.empty((0, 0), np.float32)
    return NewObjects(of.size, of.boxes, of.left_out, stacked)
