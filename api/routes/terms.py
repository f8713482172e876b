"""Several weighted embeddings as the one that is searched with."""

from collections.abc import Sequence

import numpy as np
from numpy.typing import NDArray

# What is left of terms that cancel each other is mostly rounding: vectors come as float32, and may
# have been stored with 16 bits, which moves each by up to 0.0005 of its length.
_LEAST_LEFT = 1e-3


class OpposedTermsError(Exception):
    """The terms cancel each other, so that no direction is left to search in."""


def combined(
    vectors: Sequence[NDArray[np.float32]], weights: Sequence[float]
) -> NDArray[np.float32]:
    """The direction of the weighted sum of unit vectors.

    This is the arithmetic of embeddings that Mikolov et al. showed for words ("king" - "man" +
    "woman", NAACL 2013) and that CLIP's common space of pictures and texts allows across both.

    Args:
        vectors: n of float32 [dim], each of unit length.
        weights: n finite numbers, positive to go near, negative to go away.

    Returns:
        float32 [dim], unit length. Only the weights' ratios matter.

    Raises:
        OpposedTermsError: the sum is shorter than a thousandth of the weights' absolute sum.
    """
    given = np.asarray(weights, np.float64)
    scale = given / np.abs(given).max()
    total = scale @ np.asarray(vectors, np.float64)
    length = float(np.linalg.norm(total))
    if length <= _LEAST_LEFT * float(np.abs(scale).sum()):
        raise OpposedTermsError("the terms cancel each other: change their weights")
    direction: NDArray[np.float32] = (total / length).astype(np.float32)
    return direction
