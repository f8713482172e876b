"""Fusion of rankings, by a text's words and by vectors, into one.

A weighted sum of scores, as in Bruch, Gai and Ingber, "An Analysis of Fusion Functions for Hybrid
Retrieval", ACM TOIS 42(1), 2023, who find it ahead of reciprocal rank fusion. Ranks do not tell how
well the best fits: a made-up product name has nearest pictures, too, and "a crimson disc" matches
every text with an "a". Each score is made one that does tell, 1 at most:

- by words: how much of the text the row has, rare words counting more
  (`store.search.words.full_text.coverage`), and for `BM25_SHARE` of it, BM25 as a share of the best
  row's. BM25 alone puts one that has a word twice before one that has all of them;
- by a vector: how far the similarity stands out of those to a sample of all rows, in standard
  deviations from their median (see `store.search.cutoff`), as a share of the best row's, or of
  `STANDS_OUT` where that is more.

The numbers are among the best of those tried by nDCG@10 over half of the queries of
`bench.relevance`, which measures them on the other half; with others near them it is much the same.
"""

from collections.abc import Sequence

import numpy as np
from numpy.typing import NDArray

from store.schemas import FloatVector

Scores = NDArray[np.float64]
BM25_SHARE = 0.35
WORDS_SHARE = 0.6
STANDS_OUT = 5.0
"""Standard deviations; hardly a similarity out of a million reaches so many by chance."""

# Of models whose similarities are all but the same, rounding is no deviation.
_LEAST_DEVIATION = 1e-3
# What is below the median has hardly a share, but an order.
_BELOW = 1e-3


def by_words(bm25: Scores, covered: Scores) -> Scores:
    """The scores of rows by a text's words, 0 to 1: float64 [rows].

    Args:
        bm25: of the rows, float64 [rows], at least one, above 0.
        covered: how much of the text each has, 0 to 1: float64 [rows].
    """
    return np.asarray(covered * (1 - BM25_SHARE + BM25_SHARE * bm25 / bm25.max()))


def fuse(words: Scores, similarities: Sequence[Scores], samples: Sequence[FloatVector]) -> Scores:
    """What rows count by their words and by one or more vectors: float64 [rows].

    Args:
        words: scores of the rows, 0 to 1, 0 where they match no word: float64 [rows].
        similarities: of the rows to each vector, float64 [rows].
        samples: the similarities of a sample of all rows to each vector, float32 [some].
    """
    total = WORDS_SHARE * words
    for each, sample in zip(similarities, samples, strict=True):
        total = total + (1 - WORDS_SHARE) * _standing_out(each, sample)
    return total


def _standing_out(similarities: Scores, sample: FloatVector) -> Scores:
    """How far similarities stand out of a sample's, 1 at most."""
    median, low = (float(each) for each in np.quantile(sample, [0.5, 0.16]))
    far = (similarities - median) / max(median - low, _LEAST_DEVIATION)
    far = np.maximum(far, _BELOW * far)
    return np.asarray(far / max(float(far.max()), STANDS_OUT))
