"""Processes of a running service by role: CPU time and memory."""

import contextlib
from collections import Counter, defaultdict

import psutil

EMBEDDER, DETECTOR, API_WORKER, DECODER = "ClipEmbedder", "YoloDetector", "API worker", "decoder"


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
    return sum(cpu_by_role(root).values())


def cpu_by_role(root: int) -> dict[str, float]:
    """CPU seconds of a service's processes since their starts, those of one role together."""
    total: defaultdict[str, float] = defaultdict(float)
    for name, process in processes_of(root).items():
        with contextlib.suppress(psutil.Error):  # gone meanwhile
            times = process.cpu_times()
            total[name.rstrip(" 0123456789")] += times.user + times.system
    return total


def resident_mib(*processes: psutil.Process) -> float:
    return sum(process.memory_info().rss for process in processes) / 2**20
