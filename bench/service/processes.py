"""Processes of a running service by role: CPU time and memory."""

import contextlib
from collections import Counter
from pathlib import Path
from typing import NamedTuple

import psutil

EMBEDDER, DETECTOR, API_WORKER, DECODER = "ClipEmbedder", "YoloDetector", "API worker", "decoder"
LIBRARIES = ("torch", "lancedb")
_MIB = 1 << 20


class Memory(NamedTuple):
    """MiB of a process (resident; shared pages divided by their users, so that processes add up;
    freed if it ended), and which of `LIBRARIES` it has mapped.
    """

    rss: float
    pss: float
    uss: float
    libraries: frozenset[str]


def processes_of(root: int) -> dict[str, psutil.Process]:
    """Processes of a service by role, numbered where there are several; `root` is the first."""
    supervisor = psutil.Process(root)
    found = {"supervisor": supervisor}
    seen: Counter[str] = Counter()
    for child in supervisor.children(recursive=True):
        with contextlib.suppress(psutil.Error):  # gone meanwhile
            role = _role(child, supervisor)
            seen[role] += 1
            found[role if seen[role] == 1 else f"{role} {seen[role]}"] = child
    return found


def _role(child: psutil.Process, supervisor: psutil.Process) -> str:
    words = " ".join(child.cmdline())
    for model in (EMBEDDER, DETECTOR):
        if model in words:
            return model
    if child.ppid() != supervisor.pid:
        return DECODER
    return API_WORKER if "ImageSearch" in words else "other"


def cpu_seconds(root: int) -> float:
    """CPU time of all processes of a service since their starts."""
    total = 0.0
    for process in processes_of(root).values():
        with contextlib.suppress(psutil.Error):  # gone meanwhile
            times = process.cpu_times()
            total += times.user + times.system
    return total


def memory_by_process(root: int) -> dict[str, Memory]:
    found = {}
    for name, process in processes_of(root).items():
        with contextlib.suppress(psutil.Error, OSError):  # gone meanwhile
            full, maps = process.memory_full_info(), Path(f"/proc/{process.pid}/maps").read_text()
            libraries = frozenset(each for each in LIBRARIES if f"/site-packages/{each}/" in maps)
            found[name] = Memory(full.rss / _MIB, full.pss / _MIB, full.uss / _MIB, libraries)
    return found
