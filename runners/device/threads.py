"""Device, cores and CPU threads of a model's process."""

import os
import threading
from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, TypeVar

import numpy as np

from runners.errors import DeviceError
from runners.schemas import Pixels

if TYPE_CHECKING:
    import torch

_CGROUP_QUOTA = Path("/sys/fs/cgroup/cpu.max")
_Job = TypeVar("_Job")
_Result = TypeVar("_Result")


def available_cores(quota_file: Path = _CGROUP_QUOTA) -> int:
    """Cores that this process may really use: its affinity, cut by a container's CPU quota.

    Without the quota a container limited to 2 CPUs on a 64-core machine would start 64 threads
    and spend its time being throttled.
    """
    cores = len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count()
    cores = cores or 1
    try:
        quota, period = quota_file.read_text().split()
    except (OSError, ValueError):
        return cores
    return cores if quota == "max" else max(1, min(cores, int(quota) // int(period)))


@dataclass(frozen=True)
class Share:
    """The cores that one batch may use.

    Attributes:
        threads: how many.
        pool: of threads to compute in.
    """

    threads: int
    pool: ThreadPoolExecutor

    def map(self, compute: Callable[[_Job], _Result], jobs: Sequence[_Job]) -> list[_Result]:
        """Compute every job, starting with the first; results in the order of the jobs.

        Side by side, one thread each; a lone job on all threads together. Jobs that do not wait for
        each other use two cores as well as two processes would, whatever else the machine does
        meanwhile. The threads within one forward pass meet after every layer, where all of them
        wait for the one that had to lend its core to somebody.

        What torch sets for a thread, such as the inference mode, `compute` sets itself.
        """
        if self.threads < 2 or len(jobs) < 2:
            return [_on(self.threads, compute, job) for job in jobs]
        share = max(1, self.threads // len(jobs))
        return list(self.pool.map(lambda job: _on(share, compute, job), jobs))


class Cores:
    """Shares the cores out to the batches that are computed at the same time.

    One that is alone has all of them. One that comes while others are computed has its equal part,
    and they keep what they have until they end.

    Args:
        threads: of them all; 0 means one for each core that this process may use.
    """

    def __init__(self, threads: int) -> None:
        self.threads = threads or available_cores()
        self._pool = ThreadPoolExecutor(self.threads, "compute")
        self._lock = threading.Lock()
        self._batches = 0

    @contextmanager
    def share(self) -> Iterator[Share]:
        """What a batch may use until the block ends."""
        with self._lock:
            self._batches += 1
            threads = max(1, self.threads // self._batches)
        try:
            yield Share(threads, self._pool)
        finally:
            with self._lock:
                self._batches -= 1


def _on(threads: int, compute: Callable[[_Job], _Result], job: _Job) -> _Result:
    import torch  # noqa: PLC0415 - heavy, and this module is imported where no model runs

    if torch.get_num_threads() != threads:
        torch.set_num_threads(threads)  # of this thread alone: OpenMP counts for each by itself
    return compute(job)


def to_device(pixels: Pixels, device: str) -> "torch.Tensor":
    """Bytes as a tensor on a device; to a GPU by way of memory that it can fetch from itself.

    Args:
        pixels: of any shape; as another process sent them they may be read-only.
        device: `cpu` or `cuda:N`.
    """
    import torch  # noqa: PLC0415 - see _on

    # `array` copies: torch warns about what it may not write.
    tensor = torch.from_numpy(np.array(pixels))
    return tensor if device == "cpu" else tensor.pin_memory().to(device, non_blocking=True)


def resolve_device(device: str) -> str:
    """Turn a setting into the name of an existing torch device.

    Args:
        device: `auto`, `auto:N`, `cpu`, `cuda` or `cuda:N`. `auto:N` is the N-th GPU, counted
            round and round, or the CPU where there is none.

    Returns:
        `cpu` or `cuda:N`.

    Raises:
        DeviceError: If a GPU is asked for that is not there.
    """
    import torch  # noqa: PLC0415 - see _on

    count = torch.cuda.device_count() if torch.cuda.is_available() else 0
    kind, _, number = device.partition(":")
    if kind == "cpu" or (kind == "auto" and not count):
        return "cpu"
    index = int(number or 0)
    if kind == "auto":
        return f"cuda:{index % count}"
    if index >= count:
        raise DeviceError(
            f"IMAGE_SEARCH_DEVICE={device}: torch sees {count} CUDA device(s) here; use cpu or auto"
        )
    return f"cuda:{index}"
