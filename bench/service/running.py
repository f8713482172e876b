"""A running service under load: started from a checkout, with its file server and table."""

import itertools
import sys
import tempfile
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from statistics import fmean

import psutil

from bench.load.fileserver import FileServer
from bench.load.generator import OK, Load, Sent, send
from bench.load.photos import photographs
from bench.load.traffic import ALLOWED, Fresh
from bench.report import PROJECT
from bench.service.models import PREFIX
from bench.service.processes import cpu_seconds
from demo.process import ServiceProcess

GENERATOR, FILES = "generator", "file server"
_WARM_UP = 5


@dataclass(frozen=True)
class Measured:
    """What a load came to.

    Attributes:
        sent: answers.
        cpu_s: CPU time of each process, generator and file server included.
        seconds: from the first request to the last answer.
    """

    sent: Sent
    cpu_s: dict[str, float]
    seconds: float

    @property
    def cpu_ms(self) -> float:
        """CPU time of the service's own processes for one good answer, in milliseconds."""
        own = sum(cpu for name, cpu in self.cpu_s.items() if name not in {GENERATOR, FILES})
        return own / max(1, len(self.sent.good)) * 1e3

    @property
    def cores(self) -> dict[str, float]:
        """Cores that each process took on average."""
        return {name: cpu / self.seconds for name, cpu in self.cpu_s.items()}


@dataclass
class Service:
    """A running service.

    Attributes:
        process: of the service.
        files: server of its pictures.
        photos: names of the JPEG files there.
        numbers: of pictures that no request was made for yet.
    """

    process: ServiceProcess
    files: FileServer
    photos: tuple[str, ...]
    numbers: Iterator[int] = field(default_factory=lambda: itertools.count(0, 1 << 16))

    @property
    def root(self) -> int:
        """Pid of the supervisor."""
        assert self.process.process is not None  # noqa: S101 - for mypy; it runs
        return self.process.process.pid

    def fresh(self, route: str, side: str = "") -> Fresh:
        """Requests for pictures that were never sent before, of one side or all."""
        photos = tuple(name for name in self.photos if name.endswith(f"{side}.jpg"))
        return Fresh(route, self.files.url, photos, next(self.numbers))

    def load(self, route: str, clients: int, seconds: float = 0.0, requests: int = 0) -> Measured:
        """Load the service with so many clients until the last answer.

        Args:
            route: of `bench.load.traffic.ROUTES`.
            clients: in flight.
            seconds: for which new requests are sent.
            requests: so many at least.
        """
        source = self.fresh(route)
        return self.measure(Load(self.process.port, source, seconds, clients, requests))

    def measure(self, load: Load) -> Measured:
        """Send a load and wait for its last answer."""
        before, files = cpu_seconds(self.root), self._files_cpu_s()
        sent = send(load)
        took = max((each.done for each in sent.answers), default=sent.began) - sent.began
        cpu = {name: s - before.get(name, 0.0) for name, s in cpu_seconds(self.root).items()}
        others = {GENERATOR: sent.cpu_s, FILES: self._files_cpu_s() - files}
        return Measured(sent, {**cpu, **others}, took)

    def lone_ms(self, route: str, requests: int, side: str = "") -> list[float]:
        """Latencies of lone requests in milliseconds, after a few to warm up.

        Raises:
            RuntimeError: an answer was not 200.
        """
        load = Load(self.process.port, self.fresh(route, side), 0, 1, _WARM_UP + requests)
        answers = send(load).answers
        if any(answer.status != OK for answer in answers):
            raise RuntimeError(
                f"lone requests were answered { ({each.status for each in answers}) }"
            )
        return [(each.done - each.sent) * 1e3 for each in answers[_WARM_UP:]]

    def _files_cpu_s(self) -> float:
        if self.files.process is None:
            return 0.0
        times = psutil.Process(self.files.process.pid).cpu_times()
        return float(times.user + times.system)


@contextmanager
def started(
    settings: Mapping[str, str],
    folder: Path,
    *,
    store: Path | None = None,
    project: Path = PROJECT,
    log: Path | None = None,
) -> Iterator[ServiceProcess]:
    """A service until the block ends.

    Args:
        settings: without the table and the networks.
        folder: of its table and log.
        store: of another table.
        project: checkout whose code is served, by its own interpreter.
        log: file for what the service prints.
    """
    environment = {
        **settings,
        f"{PREFIX}STORE_URI": str(store or folder / "index"),
        f"{PREFIX}ALLOW_NETWORKS": ALLOWED,
    }
    with ServiceProcess(
        environment,
        log or folder / "log",
        target=str(project),
        cwd=project,
        python=interpreter(project),
    ) as process:
        yield process


@contextmanager
def served(
    settings: Mapping[str, str],
    sides: Sequence[str],
    rows: int = 0,
    *,
    store: Path | None = None,
    log: Path | None = None,
) -> Iterator[Service]:
    """This checkout's service and a file server with photographs, until the block ends.

    Args:
        settings: without the table and the networks.
        sides: of the photographs.
        rows: in the table from the start.
        store: folder with a table, in place of a new one.
        log: file for what the service prints.
    """
    with (
        tempfile.TemporaryDirectory() as name,
        photographs(sides) as photos,
        FileServer(photos) as files,
    ):
        folder = Path(name)
        if rows:
            from bench.service.table import fill  # noqa: PLC0415 - LanceDB

            fill({**settings, f"{PREFIX}STORE_URI": str(folder / "index")}, rows)
        with started(settings, folder, store=store, log=log) as process:
            yield Service(process, files, tuple(photos))


def interpreter(project: Path) -> Path:
    """Python of a checkout's own environment."""
    return Path(sys.executable) if project == PROJECT else project / ".venv" / "bin" / "python"


def mean_cores(loads: Sequence[Measured]) -> dict[str, float]:
    """Cores by process, means of several loads."""
    names = dict.fromkeys(name for load in loads for name in load.cpu_s)
    return {name: fmean(load.cores.get(name, 0.0) for load in loads) for name in names}
