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

Backgrounds have heavier tails than a normal distribution: among pictures of a red star and a blue
moon, those of a red star alone stand out, too. So where at most `NEAREST` rows are left, relevant
is what is above the widest gap between their scores. It counts as one if it is 14 % of the way from
the best score to the median wide, or 9 % where what is below it stands out little or not at all, by
less than 1.3 times the measure of step 1.

The numbers are those of the best mean F1, of the rules and numbers tried, over the demo models'
captions, shapes and pictures in tables of 10 to 1500 scenes, and over drawn scores in the ranges of
ViT-B-32 with one, some, most, all or none of 10 to 20,000 rows relevant. `bench.relevance` measures
them on other scenes and other draws.
"""

import math
from statistics import NormalDist

import numpy as np
from numpy.typing import NDArray

from store.schemas import FloatVector

Scores = NDArray[np.float64]
KEEP_ALL = -1.0
# Fewer rows do not show what is usual.
LEAST_ROWS = 8
CHANCE = 0.3
LEAST_SHARE = 0.65
LEAST_EXPLAINED = 0.8
LEAST_OF_BEST = 0.5
NEAREST = 128
"""Rows, the best ones, among whose scores a gap is looked for."""
LEAST_GAP = 0.14
LEAST_GAP_ABOVE_CHANCE = 0.09
LITTLE = 1.3
# Float32 carries no more: below, scores are equal.
_EQUAL = 1e-6


def cutoff_score(nearest: Scores, scores: FloatVector, rows: int) -> float:
    """The least score of a relevant row.

    Args:
        nearest: the `NEAREST` best scores of the rows that the search is about, or all, falling:
            float64 [some]; at least one.
        scores: of a sample of all rows, float32 [n].
        rows: of the table.
    """
    best = float(nearest[0])
    if len(scores) < LEAST_ROWS or best - float(scores.min()) < _EQUAL:
        return KEEP_ALL
    median, low = (float(each) for each in np.quantile(scores, [0.5, 0.16]))
    chance = NormalDist().inv_cdf(1 - CHANCE / max(rows, len(scores)))
    unusual = median + chance * (median - low)
    least = _level(best, scores, median, unusual)
    left = int(np.count_nonzero(nearest >= least))
    if least == KEEP_ALL or left == len(nearest) or best - median < _EQUAL:
        return least
    gap = _gap(nearest[: left + 1], median, median + LITTLE * (unusual - median))
    return least if gap is None else gap


def _level(best: float, scores: FloatVector, median: float, unusual: float) -> float:
    """The least score of what stands out, or of the upper of two groups."""
    if best >= unusual and best - median > _EQUAL:
        return max(unusual, median + LEAST_SHARE * (best - median))
    middle = _middle(scores)
    return LEAST_OF_BEST * best if middle == KEEP_ALL and best > 0 else middle


def _gap(falling: Scores, median: float, little: float) -> float | None:
    """The middle of the widest gap between scores, if it is one.

    Args:
        falling: the scores, the last of them of the first row that is left out anyway.
        median: of the background.
        little: what scores less hardly stands out.
    """
    gaps = falling[:-1] - falling[1:]
    shares = np.where(falling[1:] < little, LEAST_GAP_ABOVE_CHANCE, LEAST_GAP)
    gaps[gaps < shares * (falling[0] - median)] = 0
    widest = int(gaps.argmax())
    return float(falling[widest] + falling[widest + 1]) / 2 if gaps[widest] else None


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
