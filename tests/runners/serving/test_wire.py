"""The wire format of calls from other hosts: it brings batches over as they are, nothing else."""

import pickle
from typing import Any

import numpy as np
import pytest
from safetensors.numpy import save

from runners.serving.wire import MAX_ITEMS, WireError, decode, encode

RANDOM = np.random.default_rng(0)


def test_an_array() -> None:
    for array in (
        RANDOM.integers(0, 256, (3, 8, 9, 3), np.uint8),
        RANDOM.random((2, 5), np.float32),
        np.zeros((0, 512), np.float32),
        RANDOM.integers(0, 256, (4, 4, 3), np.uint8)[:, ::2],  # not contiguous
    ):
        found = decode(encode(array))
        assert (found.dtype, found.shape) == (array.dtype, array.shape)
        np.testing.assert_array_equal(found, array)


def test_arrays_of_many_shapes_in_their_order() -> None:
    arrays = [RANDOM.random((n % 5, 6), np.float32) for n in range(40)]
    found = decode(encode(arrays))
    assert [one.shape for one in found] == [one.shape for one in arrays]
    for one, expected in zip(found, arrays, strict=True):
        np.testing.assert_array_equal(one, expected)


def test_texts_in_their_order() -> None:
    texts = ["", "a red star", "ein Stern \N{WHITE STAR}", *map(str, range(20))]
    assert decode(encode(texts)) == texts


@pytest.mark.parametrize(
    "body",
    [
        b"",
        b"{}",
        pickle.dumps({"array": np.zeros(3)}),
        save({"array": np.zeros(3, np.uint8)})[:-1],
        b"\xff" * 8 + b"{}",
        save({"other": np.zeros(3, np.uint8)}),
        save({"array.1": np.zeros(3, np.uint8)}),
        save({"array.x": np.zeros(3, np.uint8)}),
        save({"array.0": np.zeros(3, np.uint8), "text.1": np.zeros(3, np.uint8)}),
        save({"text.0": np.array([0xFF], np.uint8)}),
        save({"text.0": np.zeros(3, np.float32)}),
        save({f"array.{n}": np.zeros(1, np.uint8) for n in range(MAX_ITEMS + 1)}),
    ],
)
def test_what_is_no_batch_is_refused(body: bytes) -> None:
    with pytest.raises(WireError):
        decode(body)


def test_no_items_are_no_items() -> None:
    empty: list[Any] = []
    assert decode(encode(empty)) == empty
