"""A service's processes while it runs: memory, descriptors, threads; and is the heartbeat there?"""

import contextlib
import http.client
import threading
import time
from collections import Counter
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field

import psutil

EMBEDDER, DETECTOR, API_WORKER = "ClipEmbedder", "YoloDetector", "API worker"
DECODER = "decoder"
_MIB = 1 << 20


@dataclass(frozen=True)
class Taken:
    """What a process holds."""

    rss_mib: float
    descriptors: int
    threads: int


def named(root: int) -> dict[str, psutil.Process]:
    """The processes of a service by their role, numbered where there are several.

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


def taken(process: psutil.Process) -> Taken:
    """What it holds now.

    Raises:
        psutil.Error: it is gone.
    """
    with process.oneshot():
        return Taken(process.memory_info().rss / _MIB, process.num_fds(), process.num_threads())


def cpu_seconds(process: psutil.Process) -> float:
    """CPU that it has taken since its start.

    Raises:
        psutil.Error: it is gone.
    """
    times = process.cpu_times()
    return float(times.user + times.system)


def _role(child: psutil.Process, supervisor: psutil.Process) -> str:
    words = " ".join(child.cmdline())
    for model in (EMBEDDER, DETECTOR):
        if model in words:
            return model
    parent = child.parent()
    if parent is not None and parent.pid != supervisor.pid:
        return DECODER if "decode" in words else "other child of a worker"
    return API_WORKER if "ImageSearch" in words else "other"


@dataclass
class Watch:
    """Samples of a service, from threads of the benchmark's own process.

    Attributes:
        samples: times, MiB of all its processes together (what they share counts for each), and
            seconds of CPU that each has taken.
        beats: times, milliseconds, and whether the heartbeat answered 200.
    """

    samples: list[tuple[float, float, dict[str, float]]] = field(default_factory=list)
    beats: list[tuple[float, float, bool]] = field(default_factory=list)

    def memory_between(self, start: float, end: float) -> list[float]:
        """The samples of a span of `time.monotonic`."""
        return [mib for when, mib, _ in self.samples if start <= when < end]

    def cores_between(self, start: float, end: float) -> dict[str, float]:
        """Cores that each process took in a span, on average."""
        inside = [(when, cpu) for when, _, cpu in self.samples if start <= when < end]
        if len(inside) < 2:
            return {}
        (began, first), (ended, last) = inside[0], inside[-1]
        return {name: (last[name] - first.get(name, 0.0)) / (ended - began) for name in last}

    def beats_between(self, start: float, end: float) -> list[tuple[float, bool]]:
        """The heartbeats of a span, as milliseconds and success."""
        return [(ms, answered) for when, ms, answered in self.beats if start <= when < end]


@contextmanager
def watched(root: int, port: int, beat_s: float = 0.1, sample_s: float = 1.0) -> Iterator[Watch]:
    """Samples a service until the block ends.

    Args:
        root: pid of its supervisor.
        port: of its API.
        beat_s: pause between two heartbeats, each on the same kept connection.
        sample_s: pause between two looks at memory and CPU.
    """
    watch, ended = Watch(), threading.Event()

    def beat() -> None:
        connection = http.client.HTTPConnection("127.0.0.1", port, timeout=30)
        while not ended.wait(beat_s):
            began = time.monotonic()
            answered = _heartbeat(connection)
            watch.beats.append((began, (time.monotonic() - began) * 1e3, answered))
        connection.close()

    def sample() -> None:
        while not ended.wait(sample_s):
            with contextlib.suppress(psutil.Error):  # gone meanwhile: the next look will do
                watch.samples.append(_sample(named(root)))

    threads = [threading.Thread(target=work, daemon=True) for work in (beat, sample)]
    for thread in threads:
        thread.start()
    try:
        yield watch
    finally:
        ended.set()
        for thread in threads:
            thread.join()


def _sample(processes: dict[str, psutil.Process]) -> tuple[float, float, dict[str, float]]:
    mib, cpu = 0.0, {}
    for name, process in processes.items():
        mib += process.memory_info().rss / _MIB
        cpu[name] = cpu_seconds(process)
    return time.monotonic(), mib, cpu


def _heartbeat(connection: http.client.HTTPConnection) -> bool:
    for _ in range(2):  # a kept connection may have been closed after the last one
        try:
            connection.request("GET", "/heartbeat")
            answer = connection.getresponse()
            answer.read()
        except (http.client.RemoteDisconnected, ConnectionResetError, BrokenPipeError):
            connection.close()
        except OSError:
            connection.close()
            return False
        else:
            return answer.status == 200
    return False
