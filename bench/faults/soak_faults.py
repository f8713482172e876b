"""Faults of `soak`: killed processes, a stopped file server, and a small disk that is filled."""

import contextlib
import os
import shutil
import subprocess
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import NamedTuple

import psutil

from bench.load.fileserver import FileServer
from bench.service.processes import processes_of

API_KILLED = "API worker killed"
_FILLER = "filler"
_MIB = 1 << 20


class Fault(NamedTuple):
    """A fault by name: `begin` tells whether there was anything to break, `end` mends it."""

    phase: str
    begin: Callable[[], bool]
    end: Callable[[], None] = lambda: None
    lasts_s: float = 0.5


def kills(root: int, role: str, phase: str) -> Fault:
    """SIGKILL of a process of the service, which must come back by itself."""

    def begin() -> bool:
        found = [process for name, process in processes_of(root).items() if name.startswith(role)]
        for process in found[:1]:
            with contextlib.suppress(psutil.Error):
                process.kill()
        return bool(found)

    return Fault(phase, begin)


def server_stops(files: FileServer, lasts_s: float) -> Fault:
    """Nobody serves pictures for a while."""

    def begin() -> bool:
        files.stop()
        return True

    return Fault("file server stopped", begin, files.start, lasts_s)


def disk_full(disk: Path, lasts_s: float) -> Fault:
    """The table's disk has no byte left for a while."""

    def begin() -> bool:
        with (disk / _FILLER).open("wb") as filler:
            size = 0
            for step in (64 * _MIB, _MIB, 4096):
                with contextlib.suppress(OSError):  # no space left, as it should be
                    while True:
                        os.posix_fallocate(filler.fileno(), size, step)
                        size += step
        return True

    return Fault("disk full", begin, (disk / _FILLER).unlink, lasts_s)


@contextmanager
def small_disk(folder: Path, mib: int) -> Iterator[Path | None]:
    """A tmpfs of its own for the table, unmounted at the end; None where that may not be."""
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
