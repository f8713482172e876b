"""What is known of a table's files, for all its versions, and samples of its columns."""

from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from store.snapshot.mapped_vectors import MappedVectors
from store.snapshot.object_sets import ObjectSets
from store.snapshot.vocabulary import Vocabulary

SAMPLE_DRIFT = 0.02
_SEED = 20


@dataclass(frozen=True)
class Sample:
    """Values of a column.

    Attributes:
        values: rising, those that there are.
        size: of how many rows.
        rows: that the table had.
        version: of the table.
    """

    values: list[Any]
    size: int
    rows: int
    version: int


class KnownFiles:
    """What is known of a table's files, for all its versions: they never change; and samples."""

    def __init__(self) -> None:
        self.vectors = MappedVectors()
        self.vocabulary = Vocabulary()
        self.sets = ObjectSets()
        self.samples: dict[frozenset[int], Sample] = {}


def sampled(rows: int, size: int) -> NDArray[np.int64]:
    """The places of some of a table's rows, of all where there are not more; rising.

    They are the same for the same number of rows.
    """
    if rows <= size:
        return np.arange(rows)
    drawn = np.random.default_rng(_SEED).random(size) * rows
    return np.unique(drawn.astype(np.int64))
