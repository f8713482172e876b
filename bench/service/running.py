"""A running service under load: started from a checkout, with its file server and table."""

import itertools
import sys
import tempfile
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path

from bench.load.fileserver import FileServer
from bench.load.generator import Load, Sent, send
from bench.load.photos import photographs
from bench.load.traffic import ALLOWED, Fresh
from bench.report import PROJECT
from bench.service.models import PREFIX
from bench.service.processes import cpu_seconds
from demo.process import ServiceProcess


@dataclass(frozen=True)
class Measured:
    """What a load came to: answers, and milliseconds of the service's CPU time for a good one."""

    sent: Sent
    cpu_ms: float


@dataclass
class Service:
    """A running service, its file server with photographs, and numbers of unsent pictures."""

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
        """Load a route for some seconds, with so many requests at least."""
        source = self.fresh(route)
        return self.measure(Load(self.process.port, source, seconds, clients, requests))

    def measure(self, load: Load) -> Measured:
        """Send a load and wait for its last answer."""
        before = cpu_seconds(self.root)
        sent = send(load)
        took = cpu_seconds(self.root) - before
        return Measured(sent, took / max(1, len(sent.good)) * 1e3)


@contextmanager
def started(
    settings: Mapping[str, str],
    folder: Path,
    *,
    store: Path | None = None,
    project: Path = PROJECT,
    log: Path | None = None,
) -> Iterator[ServiceProcess]:
    """A service of a checkout, run by that checkout's interpreter, until the block ends.

    Table and log lie in `folder`, unless `store` or `log` name others.
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
def served(settings: Mapping[str, str], sides: Sequence[str], rows: int = 0) -> Iterator[Service]:
    """This checkout's service, its new table, and a file server with photographs."""
    with (
        tempfile.TemporaryDirectory() as name,
        photographs(sides) as photos,
        FileServer(photos) as files,
    ):
        folder = Path(name)
        if rows:
            from bench.service.table import fill  # noqa: PLC0415 - LanceDB

            fill({**settings, f"{PREFIX}STORE_URI": str(folder / "index")}, rows)
        with started(settings, folder) as process:
            yield Service(process, files, tuple(photos))


def interpreter(project: Path) -> Path:
    """Python of a checkout's own environment."""
    return Path(sys.executable) if project == PROJECT else project / ".venv" / "bin" / "python"
