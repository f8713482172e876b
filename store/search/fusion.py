"""Reciprocal rank fusion of ranked lists."""

from collections.abc import Sequence

import numpy as np
from numpy.typing import NDArray

from store.snapshot.fragments import RowIds

# Cormack, Clarke and Büttcher, "Reciprocal Rank Fusion outperforms Condorcet and individual Rank
# Learning Methods", SIGIR 2009: k = 60 did best in their pilot study and is in general use since.
RRF_K = 60


def fuse(rankings: Sequence[RowIds]) -> tuple[RowIds, NDArray[np.float64]]:
    """Fuses lists of rows, each best first: a row counts 1 / (60 + its rank) in each list.

    Returns:
        All rows, each once and in no order, and what they count: float64 [rows].
    """
    counts = [1 / (RRF_K + np.arange(1, len(each) + 1)) for each in rankings]
    rows, places = np.unique(np.concatenate(rankings), return_inverse=True)
    totals = np.bincount(places, weights=np.concatenate(counts), minlength=len(rows))
    return rows, np.asarray(totals, np.float64)
