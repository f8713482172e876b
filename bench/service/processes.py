"""Processes of a running service: CPU time, memory by library, and samples while it is loaded."""

import contextlib
import re
import threading
import time
from collections import Counter
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass, field
from http import HTTPStatus
from pathlib import Path

import psutil
import requests

EMBEDDER, DETECTOR, API_WORKER, DECODER = "ClipEmbedder", "YoloDetector", "API worker", "decoder"
_MIB = 1 << 20
_HEADER = re.compile(r"^[0-9a-f]+-[0-9a-f]+ ")
LIBRARIES: Mapping[str, re.Pattern[str]] = {
    "CUDA": re.compile(r"/(nvidia|triton)/|libtorch_cuda|libc10_cuda|/libcu\w+\.so|/libnv\w+\.so"),
    "torch": re.compile(r"/torch/|/torchvision/"),
    "LanceDB": re.compile(r"/lancedb/|/lance/"),
    "Arrow": re.compile(r"/pyarrow/"),
    "OpenCV": re.compile(r"/cv2/|/opencv"),
    "Pillow": re.compile(r"/PIL/|/pillow"),
}
"""Heavy libraries by the paths of their files; the first that fits counts."""


@dataclass(frozen=True)
class Memory:
    """Memory of a process in MiB.

    Attributes:
        rss: all that is resident.
        pss: the same, shared pages divided by their users, so that processes add up.
        uss: freed if the process ended.
        libraries: resident parts of the files of each library that is mapped at all.
    """

    rss: float
    pss: float
    uss: float
    libraries: dict[str, float]


def processes_of(root: int) -> dict[str, psutil.Process]:
    """Processes of a service by role, numbered where there are several.

    Args:
        root: pid of the supervisor.
    """
    supervisor = psutil.Process(root)
    found = {"supervisor": supervisor}
    seen: Counter[str] = Counter()
    for child in supervisor.children(recursive=True):
        with contextlib.suppress(psutil.Error):  # gone meanwhile
            role = _role(child, supervisor)
            seen[role] += 1
            found[role if seen[role] == 1 else f"{role} {seen[role]}"] = child
    return found


def cpu_seconds(root: int) -> dict[str, float]:
    """CPU time of each process of a service since its start, decoders together."""
    found: dict[str, float] = {}
    for name, process in processes_of(root).items():
        role = DECODER if name.startswith(DECODER) else name
        with contextlib.suppress(psutil.Error):  # gone meanwhile
            times = process.cpu_times()
            found[role] = found.get(role, 0.0) + times.user + times.system
    return found


def memory(process: psutil.Process) -> Memory:
    """Memory of a process now.

    Raises:
        psutil.Error: it is gone.
        OSError: likewise.
    """
    full = process.memory_full_info()
    smaps = Path(f"/proc/{process.pid}/smaps").read_text(encoding="utf-8", errors="replace")
    return Memory(full.rss / _MIB, full.pss / _MIB, full.uss / _MIB, mapped_libraries(smaps))


def memory_by_process(root: int) -> dict[str, Memory]:
    """Memory of every process of a service now."""
    found = {}
    for name, process in processes_of(root).items():
        with contextlib.suppress(psutil.Error, OSError):  # gone meanwhile
            found[name] = memory(process)
    return found


def mapped_libraries(smaps: str) -> dict[str, float]:
    """Resident MiB by library, from the text of `/proc/PID/smaps`; unmapped ones are left out."""
    found: dict[str, float] = {}
    library: str | None = None
    for line in smaps.splitlines():
        if _HEADER.match(line):
            path = line.split(maxsplit=5)[-1]
            library = next((name for name, each in LIBRARIES.items() if each.search(path)), None)
            if library is not None:
                found.setdefault(library, 0.0)
        elif library is not None and line.startswith("Rss:"):
            found[library] += int(line.split()[1]) / 1024
    return found


def _role(child: psutil.Process, supervisor: psutil.Process) -> str:
    words = " ".join(child.cmdline())
    for model in (EMBEDDER, DETECTOR):
        if model in words:
            return model
    parent = child.parent()
    if parent is not None and parent.pid != supervisor.pid:
        return DECODER
    return API_WORKER if "ImageSearch" in words else "other"


@dataclass
class Watch:
    """Samples of a service, taken by threads of the benchmark's own process.

    Attributes:
        samples: time, MiB of all processes (shared pages count for each), CPU time by process.
        heartbeats: time, milliseconds, whether it was answered 200.
    """

    samples: list[tuple[float, float, dict[str, float]]] = field(default_factory=list)
    heartbeats: list[tuple[float, float, bool]] = field(default_factory=list)

    def memory_between(self, start: float, end: float) -> list[float]:
        """MiB in a span of `time.monotonic`."""
        return [mib for when, mib, _ in self.samples if start <= when < end]

    def cores_between(self, start: float, end: float) -> dict[str, float]:
        """Cores that each process took in a span, on average."""
        inside = [(when, cpu) for when, _, cpu in self.samples if start <= when < end]
        if len(inside) < 2:
            return {}
        (began, first), (ended, last) = inside[0], inside[-1]
        return {name: (last[name] - first.get(name, 0.0)) / (ended - began) for name in last}

    def heartbeats_between(self, start: float, end: float) -> list[tuple[float, bool]]:
        """Milliseconds and success of the heartbeats of a span."""
        return [(ms, is_well) for when, ms, is_well in self.heartbeats if start <= when < end]


@contextmanager
def watched(root: int, url: str, beat_s: float = 0.1, sample_s: float = 1.0) -> Iterator[Watch]:
    """Sample a service until the block ends.

    Args:
        root: pid of its supervisor.
        url: of its API.
        beat_s: pause between two heartbeats, all on one connection.
        sample_s: pause between two samples of memory and CPU.
    """
    watch, ended, session = Watch(), threading.Event(), requests.Session()

    def beat() -> None:
        while not ended.wait(beat_s):
            began = time.monotonic()
            try:
                status = session.get(f"{url}/heartbeat", timeout=30).status_code
            except requests.RequestException:
                status = 0
            took_ms = (time.monotonic() - began) * 1e3
            watch.heartbeats.append((began, took_ms, status == HTTPStatus.OK))

    def sample() -> None:
        while not ended.wait(sample_s):
            with contextlib.suppress(psutil.Error):  # gone meanwhile: the next look will do
                rss = sum(each.memory_info().rss for each in processes_of(root).values())
                watch.samples.append((time.monotonic(), rss / _MIB, cpu_seconds(root)))

    threads = [threading.Thread(target=work, daemon=True) for work in (beat, sample)]
    for thread in threads:
        thread.start()
    try:
        yield watch
    finally:
        ended.set()
        for thread in threads:
            thread.join()
