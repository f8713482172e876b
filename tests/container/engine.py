"""The container engine: docker, from Debian's packages where there is none, and what it prints."""

import contextlib
import os
import resource
import shutil
import subprocess
import time
from collections.abc import Iterator
from pathlib import Path

PROJECT = Path(__file__).resolve().parents[2]
_START_S = 60


class FailedError(Exception):
    """Something is not as it must be; the message is what the proof ends with."""


def say(line: str) -> None:
    """Print a line at once."""
    print(line, flush=True)


def check(holds: object, what: str) -> None:
    """Print what holds.

    Raises:
        FailedError: it does not.
    """
    if not holds:
        raise FailedError(what)
    say(f"  ok: {what}")


def run(*command: str, fails: bool = False) -> str:
    """What a command prints, errors behind the rest.

    Raises:
        FailedError: it ended with an error, which `fails` allows.
    """
    done = subprocess.run(command, capture_output=True, text=True, check=False, cwd=PROJECT)
    said = (done.stdout + done.stderr).strip()
    if done.returncode != 0 and not fails:
        raise FailedError(f"{' '.join(command)}: {said[-2000:]}")
    return said


def docker(*arguments: str, fails: bool = False) -> str:
    """The same of `docker`."""
    return run("docker", *arguments, fails=fails)


def install(*packages: str) -> None:
    """Install Debian's packages, without what they recommend."""
    run("apt-get", "update", "--quiet=2")
    run("apt-get", "install", "--yes", "--quiet=2", "--no-install-recommends", *packages)


@contextlib.contextmanager
def engine() -> Iterator[None]:
    """A running engine: the one that there is, or one that ends with the block."""
    if not (shutil.which("docker") and shutil.which("dockerd")) and not _answers():
        install("docker.io", "iptables")
    if _answers():
        yield
        return
    with Path("/tmp/image-search-dockerd.log").open("wb") as log:
        daemon = subprocess.Popen(["dockerd"], stdout=log, stderr=log, start_new_session=True)
    try:
        deadline = time.monotonic() + _START_S
        while not _answers():
            if daemon.poll() is not None or time.monotonic() > deadline:
                raise FailedError(f"dockerd does not run: {log.name} says why")
            time.sleep(0.2)
        yield
    finally:
        daemon.terminate()
        daemon.wait()


def _answers() -> bool:
    with contextlib.suppress(OSError):
        done = subprocess.run(["docker", "version"], capture_output=True, check=False)
        return done.returncode == 0
    return False


def has_image(name: str) -> bool:
    """Whether the engine has an image."""
    return "Id" in docker("image", "inspect", name, fails=True)


def open_files() -> int:
    """Files that a container's process may have open; the engine can give no more than it has."""
    most = resource.getrlimit(resource.RLIMIT_NOFILE)[1]
    return 65_536 if most < 0 else min(65_536, most)


def is_root() -> bool:
    """Whether `sudo` is not needed."""
    return os.geteuid() == 0
