"""The service that a benchmark of speed measures, with its file server, and one load put on it."""

import itertools
import tempfile
import time
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager, suppress
from dataclasses import dataclass, field
from pathlib import Path

import psutil

from bench.fileserver import FileServer
from bench.filled import fill
from bench.generator import Load, Running
from bench.photos import photo_files
from bench.processes import DECODER, cpu_seconds, named
from bench.timing import Span, rate
from bench.traffic import ALLOWED, Stream
from bench.verdict import percentile
from bench.wire import Answer
from demo.process import ServiceProcess

_RAMP = 0.2
"""Share of a run's time until it counts."""


@dataclass(frozen=True)
class Measured:
    """What one load came to.

    Attributes:
        rate: requests per second that were answered 200, between the ramp and the sending's end.
        whole_rate: the same from the first request to the last answer.
        ms: of every answer that was 200, from when it was sent.
        failed: answers of another status, or none.
        refused: of these, the ones that were answered 429.
        cores: that each process took.
        seconds: from the first request to the last answer.
    """

    rate: float
    whole_rate: float
    ms: list[float]
    failed: int
    refused: int
    cores: dict[str, float]
    seconds: float

    def p(self, percent: float) -> float:
        """A percentile of the latency, in milliseconds."""
        return percentile(self.ms, percent)

    def core_ms(self) -> float:
        """CPU of the service's own processes for one answer, in milliseconds."""
        own = sum(each for name, each in self.cores.items() if name not in {GENERATOR, FILES})
        return own * self.seconds / max(1, len(self.ms)) * 1e3


GENERATOR, FILES = "generator", "file server"


@dataclass
class Served:
    """A running service.

    Attributes:
        service: its process.
        files: where its pictures come from.
        photos: the names of the files there.
        numbers: of pictures that no request was made for yet.
    """

    service: ServiceProcess
    files: FileServer
    photos: tuple[str, ...]
    numbers: Iterator[int] = field(default_factory=lambda: itertools.count(0, 1 << 16))

    @property
    def root(self) -> int:
        """The supervisor's pid."""
        assert self.service.process is not None  # noqa: S101 - for mypy; it runs
        return self.service.process.pid

    def stream(self, route: str, photos: Sequence[str] = ()) -> Stream:
        """Requests for pictures that were never asked for before."""
        return Stream(route, tuple(photos or self.photos), next(self.numbers))

    def load(self, route: str, clients: int, seconds: float, photos: Sequence[str] = ()) -> Load:
        """So many clients that ask one thing after another."""
        stream = self.stream(route, photos)
        return Load(self.service.port, self.files.url, 0, seconds, clients, stream=stream)

    def measured(self, load: Load) -> Measured:
        """Put a load on the service and wait for its last answer."""
        before, began = self._cpu(), time.monotonic()
        sent = Running(load).result()
        took, after = time.monotonic() - began, self._cpu()
        good = [answer for answer in sent.answers if answer.status == 200]
        start, end = sent.began + _RAMP * load.seconds, sent.began + load.seconds
        cores = {name: (cpu - before.get(name, 0.0)) / took for name, cpu in after.items()}
        return Measured(
            rate([Span(each.sent, each.done) for each in good], start, end),
            _whole_rate(good),
            [(each.done - each.sent) * 1e3 for each in good],
            len(sent.answers) - len(good) + sent.unsent,
            sum(answer.status == 429 for answer in sent.answers),
            {**cores, GENERATOR: sent.cpu * load.seconds / took},
            took,
        )

    def _cpu(self) -> dict[str, float]:
        """Seconds of CPU by process, the decoders together."""
        found: dict[str, float] = {}
        for name, process in named(self.root).items():
            role = DECODER if name.startswith(DECODER) else name
            with suppress(psutil.Error):  # gone meanwhile
                found[role] = found.get(role, 0.0) + cpu_seconds(process)
        if self.files.process is not None:
            found[FILES] = cpu_seconds(psutil.Process(self.files.process.pid))
        return found


def _whole_rate(answers: Sequence[Answer]) -> float:
    if not answers:
        return float("nan")
    began, ended = min(each.sent for each in answers), max(each.done for each in answers)
    return len(answers) / (ended - began)


@contextmanager
def photographs(sides: Sequence[str]) -> Iterator[dict[str, Path]]:
    """The files of `bench.photos`, until the block ends."""
    with tempfile.TemporaryDirectory() as folder:
        yield photo_files(Path(folder), sides)


@contextmanager
def served(
    settings: Mapping[str, str],
    photos: Mapping[str, Path],
    rows: int = 0,
    log: Path | None = None,
    store: Path | None = None,
) -> Iterator[Served]:
    """A service and a file server until the block ends.

    Args:
        settings: of the service, without the table and the networks.
        photos: files to serve, by name.
        rows: that the table has from the start.
        log: keep what the service prints.
        store: a folder with a table, in place of a new one.
    """
    with (
        tempfile.TemporaryDirectory() as folder,
        FileServer(photos, host="0.0.0.0") as files,  # noqa: S104 - all addresses of loopback
    ):
        environment = {
            **settings,
            "IMAGE_SEARCH_STORE_URI": str(store or Path(folder) / "index"),
            "IMAGE_SEARCH_ALLOW_NETWORKS": ALLOWED,
        }
        if rows:
            fill(environment, rows)
        with ServiceProcess(environment, log or Path(folder) / "log") as service:
            yield Served(service, files, tuple(photos))
