"""Relevance: words and vectors together against either, by the benchmark itself, on fewer rows."""

import asyncio
from collections.abc import Callable

import numpy as np
import pytest
import torch

from bench.relevance.collection import Collection, halves, ndcg
from bench.relevance.cutoffs import CAPTION, DRAWN, PICTURE, SHAPE, f1_table
from bench.relevance.measure import RANKINGS, by_reciprocal_rank, qualities
from bench.relevance.scenes import Scenes
from demo.scenes.seeds import HELD_OUT_SEEDS, SHOW_SEEDS

ROWS = 300
WORDS, VECTORS, BY_RANK, FUSED = range(len(RANKINGS))


@pytest.fixture(scope="module")
def scenes() -> Scenes:
    torch.set_num_threads(1)
    return Scenes(SHOW_SEEDS[:ROWS])


@pytest.mark.parametrize(
    ("collection", "most_behind", "least_ahead_of_ranks"),
    [
        (lambda scenes: scenes.with_captions(60), 0.005, 0.01),
        (lambda scenes: scenes.with_names(60), 0, 0.2),
        (lambda scenes: scenes.with_both(90), -0.1, 0.1),
    ],
    ids=["captions", "names", "both"],
)
def test_words_and_vectors_together_are_as_good_as_the_better_of_them(
    scenes: Scenes,
    collection: Callable[[Scenes], Collection],
    most_behind: float,
    least_ahead_of_ranks: float,
) -> None:
    found = asyncio.run(qualities(collection(scenes))).mean(axis=0)
    assert found[FUSED] >= max(found[WORDS], found[VECTORS]) - most_behind
    assert found[FUSED] >= found[BY_RANK] + least_ahead_of_ranks


def test_the_cutoff_ends_where_what_fits_ends() -> None:
    torch.set_num_threads(1)
    found = f1_table(HELD_OUT_SEEDS[:ROWS], range(100, 104))
    for kind, least in ((CAPTION, 0.8), (PICTURE, 0.9), (DRAWN, 0.9), (SHAPE, 0.65)):
        assert (found[kind]["all"] or 0) >= least, kind


def test_ndcg_is_that_of_the_definition() -> None:
    gains = np.array([0, 3, 2, 0, 1], np.float32)
    best = 3 + 2 / np.log2(3) + 1 / 2
    assert ndcg([1, 2, 4], gains) == pytest.approx(1)
    assert ndcg([4, 0, 1], gains) == pytest.approx((1 + 3 / 2) / best)
    assert ndcg([0, 3], gains) == 0
    assert ndcg([*range(5, 15), 1], np.concatenate([gains, np.zeros(10, np.float32)])) == 0


def test_half_of_the_queries_are_held_out() -> None:
    assert halves(101).sum() == 50
    assert (halves(101) == halves(101)).all()


def test_ranks_are_fused_by_the_formula() -> None:
    assert by_reciprocal_rank([7, 8], [8, 9]) == [8, 7, 9]
