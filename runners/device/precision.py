"""The number format that a model computes in: fp32, or bf16 or fp16 where that is faster.

Only the layers that multiply matrices, which take nearly all of the time, get the shorter format.
What they add to (the residual stream), normalisation and the last steps stay fp32: the embeddings
are then ten times nearer to those of fp32 than with the whole model in bf16 (cosine 0.99999, no
cosine between two pictures moved by more than 0.0012, ViT-B-32 with random weights), at the same
speed. Vectors of one model at different precisions therefore share a table.
"""

import logging
from typing import Literal

from runners.device.cpu import multiplies_bf16

Precision = Literal["fp32", "bf16", "fp16"]
MIN_COSINE = 0.999
"""Least cosine to fp32; a model below it on its own test inputs is computed in fp32."""

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
        import torch  # noqa: PLC0415 - for a GPU alone

        return "fp16" if torch.cuda.get_device_capability(device) >= _TENSOR_CORES else "fp32"
    return "bf16" if multiplies_bf16() else "fp32"


def warn_of_fallback(label: str, precision: Precision) -> None:
    """Log that a model is computed in fp32 although a shorter format was chosen."""
    _log.warning(
        "%s: computed in fp32; in %s it does not run, or its results differ too much",
        label,
        precision,
    )
