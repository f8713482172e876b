"""Faults of `soak`: killed processes, a stopped file server, and a small disk that is filled."""

import contextlib
import os
import shutil
import signal
import subprocess
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

import psutil

from bench.load.fileserver import FileServer
from bench.service.processes import processes_of

API_KILLED = "API worker killed"
_FILLER = "filler"
_MIB = 1 << 20


@dataclass(frozen=True)
class Fault:
    """A fault that begins and ends.

    Attributes:
        phase: its name in the tables.
        begin: makes it; returns False where there is nothing to break.
        end: mends what would not mend itself.
        lasts_s: between the two.
    """

    phase: str
    begin: Callable[[], bool]
    end: Callable[[], None]
    lasts_s: float


def kills(root: int, role: str, phase: str) -> Fault:
    """SIGKILL of a process of the service, which must come back by itself."""

    def begin() -> bool:
        found = [process for name, process in processes_of(root).items() if name.startswith(role)]
        for process in found[:1]:
            with contextlib.suppress(psutil.Error):
                process.send_signal(signal.SIGKILL)
        return bool(found)

    return Fault(phase, begin, lambda: None, 0)


def file_server_stops(files: FileServer, lasts_s: float) -> Fault:
    """Nobody serves pictures for a while."""

    def begin() -> bool:
        files.stop()
        return True

    return Fault("file server stopped", begin, files.start, lasts_s)


def disk_full(disk: Path, lasts_s: float) -> Fault:
    """The disk of the table has no byte left for a while."""

    def begin() -> bool:
        fill(disk)
        return True

    return Fault("disk full", begin, (disk / _FILLER).unlink, lasts_s)


def fill(disk: Path) -> None:
    """Take all that is free."""
    with (disk / _FILLER).open("wb") as filler:
        size = 0
        for step in (64 * _MIB, _MIB, 4096):
            with contextlib.suppress(OSError):  # no space left: as it should be
                while True:
                    os.posix_fallocate(filler.fileno(), size, step)
                    size += step


@contextmanager
def small_disk(folder: Path, mib: int) -> Iterator[Path | None]:
    """A disk of its own (tmpfs) for the table, unmounted at the end; None where that may not be."""
    mount, umount = shutil.which("mount"), shutil.which("umount")
    is_mounted = False
    if mount and umount:
        command = [mount, "-t", "tmpfs", "-o", f"size={mib}m", "tmpfs", str(folder)]
        is_mounted = subprocess.run(command, capture_output=True, check=False).returncode == 0
    try:
        yield folder if is_mounted else None
    finally:
        if umount and is_mounted:
            # Lazily: a process that outlives the service must not keep the disk here.
            subprocess.run([umount, "--lazy", str(folder)], check=True)
