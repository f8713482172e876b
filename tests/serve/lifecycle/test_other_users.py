"""A second user of the machine reads nothing that the service made, and stops nothing."""

import fcntl
import json
import os
import socket
import stat
from collections.abc import Callable, Iterator
from contextlib import suppress
from pathlib import Path
from typing import Any

import pytest
import requests

from demo.process import ServiceProcess
from demo.server import PictureServer
from image_search import Client
from tests.running import APART, OWN_MODELS, own_models
from tests.serve.lifecycle.test_supervisor import everyone

NOBODY = 65_534
TEMPORARY, METRICS, UMASK = "TMPDIR", "PROMETHEUS_MULTIPROC_DIR", "0077"
SPILLED = ".tmpSPILL"

pytestmark = pytest.mark.skipif(
    os.geteuid() != 0, reason="needs root, who alone can become another user"
)


def as_another(attempt: Callable[[], Any]) -> Any:
    """What an attempt comes to that another user of the machine makes, in a process of theirs."""
    reading, writing = os.pipe()
    if (pid := os.fork()) == 0:
        try:
            os.setgroups([])
            os.setgid(NOBODY)
            os.setuid(NOBODY)
            said = json.dumps(attempt())
        except BaseException as error:
            said = json.dumps(f"failed: {error!r}")
        os.write(writing, said.encode())
        os._exit(0)
    os.close(writing)
    with os.fdopen(reading, "rb") as pipe:
        said = pipe.read().decode()
    os.waitpid(pid, 0)
    return json.loads(said)


@pytest.fixture
def folder(service: ServiceProcess) -> Iterator[Path]:
    """The table's folder, whose parents let everybody through while the test runs."""
    index = service.log.parent / "index"
    closed = [each for each in index.parents if not each.stat().st_mode & stat.S_IXOTH]
    before = {each: stat.S_IMODE(each.stat().st_mode) for each in closed}
    for each in closed:
        each.chmod(0o755)
    yield index
    for each, mode in before.items():
        each.chmod(mode)


@pytest.fixture
def made(service: ServiceProcess, folder: Path, pictures: PictureServer) -> list[str]:
    """Every path that the service has made: table, originals, metrics, temporary files, sockets."""
    with Client(service.url) as client:
        client.add(pictures.url + "3.jpg", {"other_users": "secret"})
        client.add(image=requests.get(pictures.url + "5.jpg", timeout=60).content)
    variables = [one.environ() for one in everyone(service)[1:]]
    folders = {
        folder,
        *(Path(each[name]) for each in variables for name in (TEMPORARY, METRICS) if name in each),
        *(Path(name).parent for name in sockets(service)),
    }
    assert len(folders) == (3 if APART in os.environ else 4)  # sockets lead to own models alone
    # As LanceDB does while it builds an index of many rows, but open to all.
    spilled = next(Path(each[TEMPORARY]) for each in variables if TEMPORARY in each) / SPILLED
    spilled.mkdir(exist_ok=True)
    (spilled / "rows").touch()
    return sorted({str(path) for each in folders for path in (each, *each.rglob("*"))})


def sockets(service: ServiceProcess) -> list[str]:
    found = [one.net_connections("unix") for one in everyone(service)]
    return sorted({str(one.laddr) for each in found for one in each if str(one.laddr)[:1] == "/"})


def readable(paths: list[str]) -> list[str]:
    """Those of some paths that can be opened, or of which it can be said what they are."""
    found = []
    for path in paths:
        try:
            os.close(os.open(path, os.O_RDONLY | os.O_NONBLOCK))
        except OSError:
            continue
        found.append(path)
    return found


def lockable(paths: list[str]) -> list[str]:
    found = []
    for path in readable(paths):
        with open(path) as file:  # noqa: PTH123 - as a stranger does
            fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
            found.append(path)
    return found


def connectable(names: list[str]) -> list[str]:
    found = []
    for name in names:
        with socket.socket(socket.AF_UNIX) as client:
            if client.connect_ex(name) == 0:
                found.append(name)
    return found


def reachable(pids: list[int]) -> list[str]:
    """What of some processes another user can look into or signal."""
    looks: dict[str, Callable[[Path], Any]] = {
        **dict.fromkeys(("environ", "maps", "mem"), lambda path: path.open("rb").close()),
        **dict.fromkeys(("root", "cwd", "exe"), lambda path: path.readlink()),
        "fd": lambda path: list(path.iterdir()),
        "status": lambda path: os.kill(int(path.parent.name), 0),  # who may do this may end it
    }
    found = []
    for pid in pids:
        for name, look in looks.items():
            with suppress(PermissionError):
                look(Path(f"/proc/{pid}/{name}"))
                found.append(f"{pid} {name}")
    return found


def test_nothing_that_the_service_made_can_be_read_or_locked(
    service: ServiceProcess, made: list[str]
) -> None:
    kinds = {".lance", ".write", ".door", ".db", *(() if APART in os.environ else (".sock",))}
    assert {Path(path).suffix for path in made} >= kinds
    assert any("originals" in path for path in made)
    assert any("thumbnails" in path for path in made)
    assert as_another(lambda: readable(made)) == []
    assert as_another(lambda: lockable(made)) == []
    assert as_another(lambda: readable(["/etc/passwd"])) == ["/etc/passwd"]  # they can try
    assert len(readable(made)) > len(made) / 2  # and the others can be read by their owner


def test_each_file_is_its_owners_by_its_own_mode(made: list[str]) -> None:
    """Also one of which a stranger has the name, and a way in, from elsewhere."""
    files = [path for path in made if Path(path).is_file() and SPILLED not in path]
    assert {stat.S_IMODE(Path(path).stat().st_mode) & 0o077 for path in files} == {0}


@own_models
def test_no_socket_takes_a_connection(service: ServiceProcess, made: list[str]) -> None:
    names = sockets(service)
    assert len(names) >= 2
    assert as_another(lambda: connectable(names)) == []


def test_no_process_can_be_looked_into_or_signalled(
    service: ServiceProcess, made: list[str]
) -> None:
    pids = [one.pid for one in everyone(service)]
    assert len(pids) >= 2 + OWN_MODELS
    assert as_another(lambda: reachable(pids)) == []
    assert {umask_of(pid) for pid in pids} == {UMASK}


def test_the_service_goes_on_taking_writes(
    service: ServiceProcess, made: list[str], pictures: PictureServer
) -> None:
    locks = [path for path in made if "/.locks/" in path or path.endswith(".acknowledged")]
    assert len(locks) >= 3
    assert as_another(lambda: lockable(locks)) == []
    with Client(service.url) as client:
        assert client.add(pictures.url + "3.jpg", {"other_users": "again"}).id


def umask_of(pid: int) -> str:
    lines = Path(f"/proc/{pid}/status").read_text().splitlines()
    return next(line.split()[1] for line in lines if line.startswith("Umask:"))


def test_temporary_files_lie_in_a_folder_of_the_services_own(service: ServiceProcess) -> None:
    workers = everyone(service)[0].children()
    [folder] = {one.environ().get(TEMPORARY, "") for one in workers}
    assert folder.endswith(f"image-search-temporary-{os.getuid()}-{service.port}")
