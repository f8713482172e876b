"""Collections to search: rows with vectors and texts, queries, and what is relevant to each."""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from store.schemas import FloatVector

Gains = NDArray[np.float32]
DEPTH = 10
"""How many results count."""


@dataclass(frozen=True, eq=False)
class Collection:
    """Rows, queries and judgements.

    Attributes:
        name: what it is.
        vectors: of the rows, float32 [rows, dim], unit length.
        metadata: of the rows.
        texts: the queries.
        text_vectors: of the queries, float32 [queries, dim], unit length.
        gains: how relevant each row is to each query, float32 [queries, rows]; 0 where it is not.
        without_itself: the nth query is the nth row's text, which is no result of it.
    """

    name: str
    vectors: FloatVector
    metadata: Sequence[dict[str, Any]]
    texts: Sequence[str]
    text_vectors: FloatVector
    gains: Gains
    without_itself: bool = False

    def ndcg(self, query: int, order: Sequence[int]) -> float:
        """nDCG@10 of what one query found, best first."""
        own = query if self.without_itself else -1
        return ndcg([row for row in order if row != own], self.gains[query])


def ndcg(order: Sequence[int], gains: Gains) -> float:
    """nDCG@10: Järvelin and Kekäläinen, ACM TOIS 20(4), 2002, discounted by log2(1 + rank).

    Args:
        order: the rows that were found, best first.
        gains: of all rows, float32 [rows]; one at least is above 0.
    """
    discounts = 1 / np.log2(np.arange(2, DEPTH + 2))
    found = gains[list(order[:DEPTH])]
    best = np.sort(gains)[::-1][:DEPTH]
    return float(found @ discounts[: len(found)] / (best @ discounts[: len(best)]))


def halves(queries: int) -> NDArray[np.bool_]:
    """Which queries are held out, half of them at random: rules are chosen on the others."""
    order = np.random.default_rng(19).permutation(queries)
    return np.asarray(order % 2 == 1)
