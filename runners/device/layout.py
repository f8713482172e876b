"""Layout of a model service: its workers, the GPU of each, and how many batches each computes.

Found out without torch, as the API worker needs to know it too.
"""

import os
from collections.abc import Mapping

import pynvml

from runners.device.cores import available_cores
from runners.settings import ModelSettings

MAX_CONCURRENT_BATCHES = 8
"""On more cores each batch has several: so many requests at once that each core has a batch of its
own are rare."""

_ITEMS_ON_CPU = 8
_ITEMS_ON_GPU = 16


def workers_of(device: str) -> int:
    """Number of workers of a model service: one for each GPU, and one without a GPU.

    Args:
        device: `auto`, `cpu`, `cuda` or `cuda:N`.
    """
    return max(1, visible_gpus()) if device in {"auto", "cuda"} else 1


def device_of(device: str, worker_index: int | None) -> str:
    """Device of one worker of a model service.

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


def concurrent_batches(settings: ModelSettings) -> int:
    """Number of batches that each worker computes at the same time.

    On a CPU one for each core. If one batch has all cores, each core that has done its part waits
    for the slowest one, then all of them for the next batch: of 32 requests in flight, two cores
    stood idle for a seventh of the time. A GPU computes one; no other number was measured there.
    """
    if _has_gpu(settings):
        return 1
    return min(settings.threads or available_cores(), MAX_CONCURRENT_BATCHES)


def max_call_items(settings: ModelSettings) -> int:
    """Maximum number of items in one call of a model service.

    On a CPU larger batches are no faster, and every item of a batch waits for its end: what would
    fill a batch of twice the size is done sooner as two.
    """
    return _ITEMS_ON_GPU if _has_gpu(settings) else _ITEMS_ON_CPU


def visible_gpus(environment: Mapping[str, str] = os.environ) -> int:
    """Number of GPUs that torch will see: the machine's, cut by `CUDA_VISIBLE_DEVICES`.

    Its entries are numbers or unique names; what follows an invalid one does not count (CUDA's
    programming guide, "CUDA Environment Variables").
    """
    installed = _installed_gpus()
    chosen = environment.get("CUDA_VISIBLE_DEVICES")
    if chosen is None or not installed:
        return installed
    visible = 0
    for entry in filter(None, (part.strip() for part in chosen.split(","))):
        is_valid = int(entry) < installed if entry.isdecimal() else entry[:4] in {"GPU-", "MIG-"}
        if not is_valid:
            break
        visible += 1
    return visible


def _has_gpu(settings: ModelSettings) -> bool:
    return settings.device.startswith("cuda") or (settings.device == "auto" and visible_gpus() > 0)


def _installed_gpus() -> int:
    try:
        pynvml.nvmlInit()
    except (pynvml.NVMLError, OSError):  # no driver here
        return 0
    try:
        return int(pynvml.nvmlDeviceGetCount())
    finally:
        pynvml.nvmlShutdown()
