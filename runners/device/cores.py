"""Cores and GPUs: the workers of a model service and their devices; a batch split over cores.

Imports torch only where a model runs: the API worker needs the number of workers and batches too.
"""

import os
import threading
from collections.abc import Callable, Iterator, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from itertools import repeat
from pathlib import Path
from typing import TYPE_CHECKING, Any, Protocol

import numpy as np
import pynvml

from runners.device.cgroups import processor_quota
from runners.errors import DeviceError
from runners.schemas import Pixels
from runners.settings import ModelSettings

if TYPE_CHECKING:
    import torch

MAX_CONCURRENT_BATCHES = 8
"""On more cores each batch has several: so many requests at once that each core has a batch of its
own are rare."""

_ITEMS_ON_CPU = 8
_ITEMS_ON_GPU = 16
_AMD_DRIVER = Path("/dev/kfd")


def available_cores(quota: Callable[[], float | None] = processor_quota) -> int:
    """Number of cores that this process may really use: its affinity, cut by a container's quota.

    Without the quota a container limited to 2 CPUs on a 64-core machine would start 64 threads
    and spend its time being throttled.

    Args:
        quota: processors' time that its control groups allow; whole ones count, one at least.
    """
    cores = len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count()
    cores, allowed = cores or 1, quota()
    return cores if allowed is None else max(1, min(cores, int(allowed)))


class Parts(Protocol):
    """Calls a function for the parts of a batch."""

    def compute(
        self, function: Callable[[Any], None], groups: Sequence[Sequence[int]], most: int
    ) -> None:
        """Call it for each part of at most so many items of one group."""


class InTurn:
    """Parts one after the other, where the function has all cores by itself."""

    def compute(
        self, function: Callable[[Any], None], groups: Sequence[Sequence[int]], most: int
    ) -> None:
        """Call a function for each part of a batch; see `Cores.compute`."""
        for part in _parts(groups, most, 1):
            function(part)


def _parts(groups: Sequence[Sequence[int]], most: int, threads: int) -> Iterator[Sequence[int]]:
    """Each group in parts of equal size, one for each thread, and of so many items at most."""
    for group in groups:
        size = max(1, min(most, -(-len(group) // threads)))
        for start in range(0, len(group), size):
            yield group[start : start + size]


class Cores:
    """The cores of a process, shared by the batches that torch computes at the same time.

    A batch that is alone has all of them. One that comes while others are computed has its equal
    part, and they keep what they have until they end.

    Args:
        threads: of them all; 0 means one for each core that this process may use.
    """

    def __init__(self, threads: int) -> None:
        self.threads = threads or available_cores()
        self._pool = ThreadPoolExecutor(self.threads, "compute")
        self._lock = threading.Lock()
        self._batches = 0

    def compute(
        self, function: Callable[[Any], None], groups: Sequence[Sequence[int]], most: int
    ) -> None:
        """Call a function for each part of a batch: side by side, one thread each.

        A lone part has all threads. Parts that do not wait for each other use two cores as well as
        two processes would, whatever else the machine does meanwhile. The threads within one
        forward pass meet after every layer, where all of them wait for the one that had to lend its
        core to somebody.

        Args:
            function: takes a part, a slice of a group; sets torch's inference mode itself, which is
                each thread's own.
            groups: indexes of the batch's items, by what can be computed in one forward pass.
            most: items of a part.
        """
        with self._lock:
            self._batches += 1
            threads = max(1, self.threads // self._batches)
        try:
            parts = list(_parts(groups, most, threads))
            share = max(1, threads // max(1, len(parts)))
            if threads == 1 or len(parts) < 2:
                for part in parts:
                    _on_threads(function, part, share)
            else:  # `list` waits for all of them, and raises what one of them raised
                list(self._pool.map(_on_threads, repeat(function), parts, repeat(share)))
        finally:
            with self._lock:
                self._batches -= 1


def _on_threads(function: Callable[[Any], None], part: Any, threads: int) -> None:
    """Compute a part on so many threads of torch's, this one included."""
    import torch  # noqa: PLC0415 - see above

    if torch.get_num_threads() != threads:
        torch.set_num_threads(threads)  # of this thread alone: OpenMP counts for each by itself
    function(part)


def to_device(pixels: Pixels, device: str) -> "torch.Tensor":
    """Bytes as a tensor on a device; to a GPU by way of memory that it can fetch from itself."""
    import torch  # noqa: PLC0415 - see above

    # `array` copies: torch warns about what it may not write.
    tensor = torch.from_numpy(np.array(pixels))
    return tensor if device == "cpu" else tensor.pin_memory().to(device, non_blocking=True)


def resolve_device(device: str) -> str:
    """Name of the torch device that a setting means.

    Args:
        device: `auto`, `auto:N`, `cpu`, `cuda` or `cuda:N`. `auto:N` is the N-th GPU, counted
            round and round, or the CPU where there is none.

    Returns:
        `cpu` or `cuda:N`.

    Raises:
        DeviceError: If the setting names a GPU that does not exist.
    """
    kind, _, number = device.partition(":")
    if kind == "cpu" or (kind == "auto" and not (_installed_gpus() or _AMD_DRIVER.exists())):
        return "cpu"
    import torch  # noqa: PLC0415 - see above

    count = torch.cuda.device_count() if torch.cuda.is_available() else 0
    if kind == "auto" and not count:
        return "cpu"
    index = int(number or 0)
    if kind == "auto":
        return f"cuda:{index % count}"
    if index >= count:
        raise DeviceError(
            f"IMAGE_SEARCH_DEVICE={device}: torch sees {count} CUDA device(s) here; use cpu or auto"
        )
    return f"cuda:{index}"


def workers_of(device: str) -> int:
    """Number of workers of a model service: one for each GPU, and one without a GPU."""
    return max(1, visible_gpus()) if device in {"auto", "cuda"} else 1


def device_of(device: str, worker_index: int | None) -> str:
    """Device of one worker of a model service.

    Args:
        device: `auto`, `cpu`, `cuda` or `cuda:N`.
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
