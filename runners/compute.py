"""Device and CPU threads of a model's process."""

import os
from pathlib import Path

from runners.errors import DeviceError

_CGROUP_QUOTA = Path("/sys/fs/cgroup/cpu.max")


def available_cores(quota_file: Path = _CGROUP_QUOTA) -> int:
    """Cores that this process may really use: its affinity, cut by a container's CPU quota.

    Without the quota a container limited to 2 CPUs on a 64-core machine would start 32 threads
    and spend its time being throttled.
    """
    cores = len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count()
    cores = cores or 1
    try:
        quota, period = quota_file.read_text().split()
    except (OSError, ValueError):
        return cores
    return cores if quota == "max" else max(1, min(cores, int(quota) // int(period)))


def limit_threads(threads: int) -> None:
    """Set torch's threads; 0 means half of the cores, as two model processes share them."""
    import torch  # noqa: PLC0415 - heavy, and this module is imported where no model runs

    torch.set_num_threads(threads or max(1, available_cores() // 2))


def resolve_device(device: str) -> str:
    """Turn a setting into the name of an existing torch device.

    Args:
        device: `auto`, `cpu`, `cuda` or `cuda:N`.

    Returns:
        `cpu` or `cuda:N`.

    Raises:
        DeviceError: If a GPU is asked for that is not there.
    """
    import torch  # noqa: PLC0415 - see limit_threads

    count = torch.cuda.device_count() if torch.cuda.is_available() else 0
    if device == "cpu" or (device == "auto" and not count):
        return "cpu"
    index = int(device.partition(":")[2] or 0)
    if index >= count:
        raise DeviceError(
            f"IMAGE_SEARCH_DEVICE={device}: torch sees {count} CUDA device(s) here; use cpu or auto"
        )
    return f"cuda:{index}"
