"""A container of the service, started by the documented line."""

import json
import os
import signal
import subprocess
import time
from pathlib import Path

import requests

from image_search import Client, Retries
from tests.container.documented import line, shell
from tests.container.engine import FailedError, docker

NAME = "image-search"
URL = "http://127.0.0.1:3000"
VOLUME = "image-search"
_READY_S = 600
"""Also on two cores that much other work has."""
_STOP = "docker stop -t 85 image-search"
OFFLINE = {
    "torch": "--env IMAGE_SEARCH_MODELS=demo",
    "cpu": "--env IMAGE_SEARCH_MODELS=demo --env IMAGE_SEARCH_CACHE_DIR=/app/weights/converted",
}
"""What the documented line has in addition: offline no published weights can be had."""


def make_keys(folder: Path) -> str:
    """Make `keys/` by the documented line; the key in it."""
    shell(line("Run", "mkdir -p keys"), folder)
    return (folder / "keys" / "keys").read_text().split()[2]


def start(image: str, kind: str, folder: Path, more: str = "") -> float:
    """Start a container by the documented line, wait until it is ready; seconds until then."""
    command = line("Run", "docker run --detach").replace(
        "image-search:0.1.0", " ".join(filter(None, [OFFLINE[kind], more, image]))
    )
    began = time.monotonic()
    shell(command, folder)
    wait_ready()
    return time.monotonic() - began


def wait_ready() -> None:
    """Wait until it answers that it is ready.

    Raises:
        FailedError: it ended, or is not in time.
    """
    deadline = time.monotonic() + _READY_S
    while not is_ready():
        if time.monotonic() > deadline or state()["Status"] == "exited":
            raise FailedError(f"not ready: {docker('logs', '--tail', '20', NAME, fails=True)}")
        time.sleep(0.1)


def is_ready() -> bool:
    """Whether it is."""
    try:
        return requests.get(f"{URL}/readyz", timeout=5).status_code == 200
    except requests.RequestException:
        return False


def state() -> dict[str, object]:
    """What the engine knows of the container's state."""
    found: dict[str, object] = json.loads(docker("inspect", NAME))[0]["State"]
    return found


def restarts() -> int:
    """How often the engine started it again."""
    return int(json.loads(docker("inspect", NAME))[0]["RestartCount"])


def kill_process(part: str) -> None:
    """SIGKILL from outside, which the engine did not ask for, of the process that has a part."""
    listed = [one.split(None, 1) for one in docker("top", NAME, "-eo", "pid,args").splitlines()]
    pids = [int(pid) for pid, command in listed if part in command]
    if len(pids) != 1:
        raise FailedError(f"{len(pids)} processes have {part!r}")
    os.kill(pids[0], signal.SIGKILL)


def inside(*command: str, options: tuple[str, ...] = ()) -> str:
    """What a command prints in the container, as the service's user."""
    return docker("exec", *options, NAME, *command)


def stop() -> tuple[float, int]:
    """Stop it by the documented line; the seconds that took, and its exit status."""
    began = time.monotonic()
    shell(_STOP)
    return time.monotonic() - began, int(str(state()["ExitCode"]))


def remove(volume: bool = True) -> None:
    """Remove the container, and its volume."""
    docker("rm", "--force", NAME, fails=True)
    if volume:
        docker("volume", "rm", "--force", VOLUME, fails=True)


def client(key: str, attempts: int = 5) -> Client:
    """A client of it."""
    return Client(URL, api_key=key, retries=Retries(attempts))


def memory_mb() -> int:
    """Resident memory of all its processes, in MB."""
    pids = docker("top", NAME, "-eo", "pid").split()[1:]
    fields = [Path(f"/proc/{pid}/statm") for pid in pids]
    pages = sum(int(one.read_text().split()[1]) for one in fields if one.exists())
    return pages * os.sysconf("SC_PAGE_SIZE") // 1_000_000


def output(*command: str) -> str:
    """What `docker run` says of a container that is to end by itself, errors included."""
    done = subprocess.run(
        ["docker", "run", "--rm", *command], capture_output=True, text=True, check=False
    )
    return f"{done.stdout}{done.stderr}exit {done.returncode}"
