"""Which GPU each worker of a model computes on, found out without torch."""

import os
from collections.abc import Mapping

import pynvml


def workers_of(device: str) -> int:
    """How many workers a model is to have: one for each GPU, and one without a GPU.

    Args:
        device: `auto`, `cpu`, `cuda` or `cuda:N`.
    """
    return max(1, visible_gpus()) if device in {"auto", "cuda"} else 1


def device_of(device: str, worker_index: int | None) -> str:
    """The device of one worker of a model.

    Args:
        device: as for `workers_of`.
        worker_index: from 1, as BentoML counts; None outside a worker.

    Returns:
        Such as `cuda:1`; for `auto` it is `auto:1`, as torch may see fewer GPUs than there are, or
        none, where its driver is too old or it was built without.
    """
    if worker_index is None or workers_of(device) == 1:
        return device
    return f"{device}:{(worker_index - 1) % workers_of(device)}"


def visible_gpus(environment: Mapping[str, str] = os.environ) -> int:
    """GPUs that torch will see: those of the machine, cut by `CUDA_VISIBLE_DEVICES`.

    Its entries are numbers or unique names, and what follows a senseless one does not count (CUDA's
    programming guide, "CUDA Environment Variables").
    """
    installed = _installed_gpus()
    chosen = environment.get("CUDA_VISIBLE_DEVICES")
    if chosen is None or not installed:
        return installed
    visible = 0
    for entry in filter(None, (part.strip() for part in chosen.split(","))):
        is_there = int(entry) < installed if entry.isdecimal() else entry[:4] in {"GPU-", "MIG-"}
        if not is_there:
            break
        visible += 1
    return visible


def _installed_gpus() -> int:
    try:
        pynvml.nvmlInit()
    except (pynvml.NVMLError, OSError):  # no driver here
        return 0
    try:
        return int(pynvml.nvmlDeviceGetCount())
    finally:
        pynvml.nvmlShutdown()
