"""Seeded vectors for the benchmarks: clusters on the unit sphere, and queries among them."""

from collections.abc import Iterator

import numpy as np
from numpy.typing import NDArray

Matrix = NDArray[np.float32]
DIM = 512
BATCH_ROWS = 20_000
# The noise is as long as the centre: rows of a cluster have a similarity of about 0.5 to each
# other and of 0 to the rest, the pictures of one kind in a real index.
SPREAD = 1.0


class Clusters:
    """Points around random centres; the same seed gives the same points.

    Points of an even number lie around other centres than those of an odd one.

    Args:
        clusters: how many centres; two at least.
        spread: length of the noise around a centre, whose own length is one.
        seed: of the centres and all that is drawn.
        dim: length of the vectors.
    """

    def __init__(
        self, clusters: int, spread: float = SPREAD, seed: int = 7, dim: int = DIM
    ) -> None:
        self._seed = seed
        self._spread = spread
        self._centres = _unit(np.random.default_rng(seed).normal(size=(max(2, clusters), dim)))

    def batches(self, rows: int, stream: int = 0) -> Iterator[Matrix]:
        """Yields float32 [up to BATCH_ROWS, dim] of unit length, `rows` in all."""
        rng = np.random.default_rng((self._seed, stream))
        for start in range(0, rows, BATCH_ROWS):
            yield self._draw(rng, min(BATCH_ROWS, rows - start))

    def rows(self, rows: int, stream: int = 0) -> Matrix:
        """The same, float32 [rows, dim], in one piece."""
        return np.concatenate(list(self.batches(rows, stream)))

    def _draw(self, rng: np.random.Generator, rows: int) -> Matrix:
        noise = rng.standard_normal((rows, self._centres.shape[1]), dtype=np.float32)
        # BATCH_ROWS is even, so each batch begins with an even number.
        numbers = 2 * rng.integers(len(self._centres) // 2, size=rows) + np.arange(rows) % 2
        centres = self._centres[numbers]
        return _unit(centres + noise * np.float32(self._spread / np.sqrt(noise.shape[1])))


def recall(found: list[list[int]], exact: Matrix | NDArray[np.int64]) -> float:
    """The mean share of each exact answer that was found."""
    pairs = zip(found, exact.tolist(), strict=True)
    return float(np.mean([len(set(got) & set(right)) / len(right) for got, right in pairs]))


def _unit(vectors: NDArray[np.float64] | Matrix) -> Matrix:
    lengths = np.linalg.norm(vectors, axis=1, keepdims=True)
    return np.asarray(vectors / lengths, np.float32)
