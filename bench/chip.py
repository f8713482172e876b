"""What a chip could do at most, and how much of that a model needs."""

import time
from collections.abc import Callable
from typing import Any

import torch
from torch.utils.flop_counter import FlopCounterMode

PRECISIONS: dict[str, torch.dtype] = {
    "fp32": torch.float32,
    "bf16": torch.bfloat16,
    "fp16": torch.float16,
}
_SIDES = {"cpu": 2048, "cuda": 8192}


def waited(device: str) -> None:
    """Return once the device has done what it was given; a CPU has by then."""
    if torch.device(device).type == "cuda":
        torch.cuda.synchronize(device)


def seconds_each(call: Callable[[], Any], device: str, seconds: float) -> float:
    """The mean time of a call, repeated for so long; once before to warm up.

    A GPU works on after a call has returned, so the clock is read when it is done.
    """
    call()
    waited(device)
    began, calls = time.perf_counter(), 0
    while calls < 2 or time.perf_counter() - began < seconds:
        call()
        calls += 1
        waited(device)
    return (time.perf_counter() - began) / calls


def peak_flops(device: str, dtype: torch.dtype, seconds: float = 1.0) -> float:
    """Floating-point operations per second of a large product of matrices.

    Half of what is asked of it are additions, half multiplications, as they are counted for models.
    """
    side = _SIDES[torch.device(device).type]
    left, right = (torch.randn(side, side, device=device).to(dtype) for _ in range(2))
    with torch.inference_mode():
        return 2.0 * side**3 / seconds_each(lambda: left @ right, device, seconds)


def flops_of(call: Callable[[], Any]) -> float:
    """Floating-point operations of a forward pass, as torch counts them.

    With gradients, as without them torch takes a fused attention that it does not count.
    """
    counter = FlopCounterMode(display=False)
    with counter:
        call()
    return float(counter.get_total_flops())
