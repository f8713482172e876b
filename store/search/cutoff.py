"""Where relevance ends: the score below which a hit is irrelevant for this very query.

No flat threshold does: what a score means differs from model to model and from query to query. What
is usual for this query is known, though, from its scores against a sample of all rows, its
background. Most rows are irrelevant to most queries, so their median is the middle of what is
irrelevant, and the way from there down to the 16th percentile its deviation (one sigma of a normal
distribution; the upper half may hold relevant rows). Then, in this order:

1. The best score stands out if fewer than `CHANCE` rows of a table of this size would reach it by
   chance (the expected maximum of a normal sample). Relevant is what would stand out by the same
   measure and has fallen by no more than 35 % of the way from the best score to the median.
2. If it does not, perhaps most rows are relevant. The scores then fall in two groups: Otsu's method
   (IEEE Trans. SMC 9(1), 1979) parts them, and if that explains at least 80 % of their variance
   (64 % can be had of one normal distribution, 75 % of a uniform one), the cut is in the middle of
   the two means.
3. Else no score stands out: all rows fit alike, or none does; relative scores cannot tell these two
   apart, ``min_score`` can. Only what scores less than half as much as the best is left out.

The numbers are those of the best mean F1, of the rules and numbers tried, over the demo models'
captions, shapes and pictures in tables of 10 to 1500 scenes, and over drawn scores in the ranges of
ViT-B-32 with one, some, most, all or none of 10 to 20,000 rows relevant.
"""

import math
from statistics import NormalDist

import numpy as np

from store.schemas import FloatVector

KEEP_ALL = -1.0
# Fewer rows do not show what is usual.
LEAST_ROWS = 8
CHANCE = 0.3
LEAST_SHARE = 0.65
LEAST_EXPLAINED = 0.8
LEAST_OF_BEST = 0.5
# Float32 carries no more: below, scores are equal.
_EQUAL = 1e-6


def cutoff_score(best: float, scores: FloatVector, rows: int) -> float:
    """The least score of a relevant row.

    Args:
        best: the best score among the rows that the search is about.
        scores: of a sample of all rows, float32 [n].
        rows: of the table.
    """
    if len(scores) < LEAST_ROWS or best - float(scores.min()) < _EQUAL:
        return KEEP_ALL
    median, low = (float(each) for each in np.quantile(scores, [0.5, 0.16]))
    chance = NormalDist().inv_cdf(1 - CHANCE / max(rows, len(scores)))
    unusual = median + chance * (median - low)
    if best >= unusual and best - median > _EQUAL:
        return max(unusual, median + LEAST_SHARE * (best - median))
    middle = _middle(scores)
    return LEAST_OF_BEST * best if middle == KEEP_ALL and best > 0 else middle


def _middle(scores: FloatVector) -> float:
    """The middle between two groups of scores, if they are two."""
    falling = np.sort(scores.astype(np.float64))[::-1]
    upper = np.arange(1, len(falling))
    sums = np.cumsum(falling)
    upper_mean = sums[:-1] / upper
    lower_mean = (sums[-1] - sums[:-1]) / (len(falling) - upper)
    share = upper / len(falling)
    between = share * (1 - share) * (upper_mean - lower_mean) ** 2
    best = int(between.argmax())
    total = float(falling.var())
    if math.sqrt(total) < _EQUAL or between[best] < LEAST_EXPLAINED * total:
        return KEEP_ALL
    return float(upper_mean[best] + lower_mean[best]) / 2
