"""Weighted embeddings summed up: against plain arithmetic, and where nothing is left."""

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from numpy.typing import NDArray

from api.errors import RequestError
from api.pipeline.query_vectors import combined

DIM = 16
weights = st.floats(-100, 100).filter(lambda weight: abs(weight) > 1e-3)


def unit(seed: int) -> NDArray[np.float32]:
    vector = np.random.default_rng(seed).normal(size=DIM)
    return (vector / np.linalg.norm(vector)).astype(np.float32)


def test_one_term_is_itself_whatever_its_weight() -> None:
    for weight in (5e-324, 0.001, 1, 100):
        np.testing.assert_allclose(combined([unit(1)], [weight]), unit(1), atol=1e-6)
    np.testing.assert_allclose(combined([unit(1)], [-2]), -unit(1), atol=1e-6)


@settings(deadline=None)
@given(st.lists(weights, min_size=1, max_size=16), st.floats(0.01, 100))
def test_it_is_the_sum_made_to_unit_length(given: list[float], factor: float) -> None:
    vectors = [unit(number) for number in range(len(given))]
    expected = np.sum([w * v.astype(float) for w, v in zip(given, vectors, strict=True)], axis=0)
    try:
        found = combined(vectors, given)
    except RequestError:
        assert np.linalg.norm(expected) < 0.01 * np.abs(given).sum()
        return
    assert found.dtype == np.float32
    np.testing.assert_allclose(found, expected / np.linalg.norm(expected), atol=1e-6)
    np.testing.assert_allclose(combined(vectors, [w * factor for w in given]), found, atol=1e-5)


def test_a_negative_term_pushes_away() -> None:
    alone, pushed = combined([unit(1)], [1]), combined([unit(1), unit(2)], [1, -0.5])
    assert pushed @ unit(2) < alone @ unit(2)


@pytest.mark.parametrize(
    ("seeds", "given"),
    [((1, 1), (1, -1)), ((1, 1, 1), (1, -0.5, -0.5)), ((1, 1), (100, -99.95))],
)
def test_nothing_left_is_an_error(seeds: tuple[int, ...], given: tuple[float, ...]) -> None:
    with pytest.raises(RequestError, match="cancel"):
        combined([unit(seed) for seed in seeds], given)


def test_two_encodings_of_one_picture_cancel_too() -> None:
    rounded = unit(1).astype(np.float16).astype(np.float32)
    with pytest.raises(RequestError):
        combined([unit(1), rounded], [1, -1])
