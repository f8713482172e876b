"""Layers of a torch network that compute in a shorter number format than the rest of it."""

from collections.abc import Callable
from typing import Any

import torch

from runners.device.precision import MIN_COSINE, Precision

DTYPES = {"bf16": torch.bfloat16, "fp16": torch.float16}


def compute_in(layer: Any, precision: Precision) -> None:
    """Let a layer compute in a shorter format: its weights and inputs, not its output."""
    dtype = DTYPES[precision]
    layer.to(dtype)
    layer.register_forward_pre_hook(_given(dtype), with_kwargs=True)
    layer.register_forward_hook(_returned)


def shorter(value: Any, dtype: torch.dtype) -> Any:
    """A tensor of floats in another format; other values as they are."""
    return value.to(dtype) if torch.is_tensor(value) and value.is_floating_point() else value


def _given(dtype: torch.dtype) -> Callable[..., tuple[Any, ...]]:
    def given(_: Any, args: Any, kwargs: Any) -> tuple[Any, ...]:
        # What is given twice stays the same tensor: attention takes one as query, key and value,
        # and projects it to all of them at once only if it is one.
        made = {id(value): shorter(value, dtype) for value in (*args, *kwargs.values())}
        named = {name: made[id(value)] for name, value in kwargs.items()}
        return tuple(made[id(value)] for value in args), named

    return given


def _returned(_: Any, __: Any, output: Any) -> Any:
    if isinstance(output, tuple):
        return (shorter(output[0], torch.float32), *output[1:])
    return shorter(output, torch.float32)


def near(one: torch.Tensor, other: torch.Tensor) -> bool:
    """Whether all rows of two results [n, ...] point the same way, as near as `MIN_COSINE`."""
    cosines = torch.cosine_similarity(one.float().flatten(1), other.float().flatten(1), dim=1)
    return bool((cosines >= MIN_COSINE).all())  # written so that a NaN counts as far
