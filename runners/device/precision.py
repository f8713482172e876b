"""The number format that a model computes in: fp32, or bf16 or fp16 where that is faster.

Only the layers that multiply matrices, which take nearly all of the time, get the shorter format.
What they add to (the residual stream), normalisation and the last steps stay fp32: the embeddings
are then ten times nearer to those of fp32 than with the whole model in bf16 (cosine 0.99999, no
cosine between two pictures moved by more than 0.0012, ViT-B-32 with random weights), at the same
speed. Vectors of one model at different precisions therefore share a table.
"""

import logging
from collections.abc import Callable
from typing import Any, Literal

import torch

Precision = Literal["fp32", "bf16", "fp16"]
MIN_COSINE = 0.999
"""Least cosine to fp32; a model below it on its own test inputs is computed in fp32."""

DTYPES = {"bf16": torch.bfloat16, "fp16": torch.float16}
_TENSOR_CORES = (7, 0)
_log = logging.getLogger(__name__)


def resolve_precision(precision: Precision | Literal["auto"], device: str) -> Precision:
    """The number format that a setting means on a device.

    Returns:
        For `auto` what is fast there: fp16 on a GPU with tensor cores, as its mantissa is longer
        than bf16's; bf16 on a CPU that multiplies in it; else fp32.
    """
    if precision != "auto":
        return precision
    if device != "cpu":
        return "fp16" if torch.cuda.get_device_capability(device) >= _TENSOR_CORES else "fp32"
    return "bf16" if _multiplies_bf16() else "fp32"


def _multiplies_bf16() -> bool:
    # Without these instructions torch computes bf16 too, but by way of fp32 and slower.
    capabilities: Any = getattr(torch.cpu, "get_capabilities", dict)()
    return bool(capabilities.get("avx512_bf16") or capabilities.get("amx_bf16"))


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


def warn_of_fallback(label: str, precision: Precision) -> None:
    """Log that a model is computed in fp32 although a shorter format was chosen."""
    _log.warning(
        "%s: computed in fp32; in %s it does not run, or its results differ too much",
        label,
        precision,
    )
