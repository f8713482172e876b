"""Reciprocal rank fusion of ranked lists."""

from collections import defaultdict
from collections.abc import Iterable, Sequence

# Cormack, Clarke and Büttcher, "Reciprocal Rank Fusion outperforms Condorcet and individual Rank
# Learning Methods", SIGIR 2009: k = 60 did best in their pilot study and is in general use since.
RRF_K = 60


def fuse(rankings: Iterable[Sequence[str]]) -> list[str]:
    """Fuses lists of ids, each best first: an id counts 1 / (60 + its rank) in each list.

    Returns:
        All ids, best first; equal ones in the order of the ids.
    """
    totals: defaultdict[str, float] = defaultdict(float)
    for ranking in rankings:
        for rank, each in enumerate(ranking, start=1):
            totals[each] += 1 / (RRF_K + rank)
    # A sort keeps the order of what is equal.
    return sorted(sorted(totals), key=totals.__getitem__, reverse=True)
