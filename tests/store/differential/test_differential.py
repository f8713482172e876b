"""The table agrees with a plain model of it, over thousands of random operations."""

from itertools import pairwise

import numpy as np
import pytest

from tests.store.differential.__main__ import check
from tests.store.differential.strategies import POOL

OPERATIONS = 300


@pytest.mark.timeout(600)
def test_the_table_and_the_model_answer_equally() -> None:
    counts = check(OPERATIONS, steps=40, machines=4)
    assert counts.total() >= OPERATIONS


def test_the_vectors_are_far_enough_apart_to_be_put_in_order_by_anyone() -> None:
    for vector in POOL:
        scores = sorted(float(np.float64(vector) @ other) for other in POOL)
        assert all(above - below > 1e-4 for below, above in pairwise(scores))
