"""File systems of a test's own: small ones, to be filled, and such as become read-only."""

import os
import subprocess
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest


class Disk:
    """A tmpfs, mounted at `path`."""

    def __init__(self, path: Path) -> None:
        self.path = path
        self._ballast = path / "ballast"

    def fill(self, leave_bytes: int = 0) -> None:
        """Take all the space but so much of it."""
        disk = os.statvfs(self.path)
        with self._ballast.open("ab") as file:
            file.write(bytes(max(0, disk.f_bavail * disk.f_frsize - leave_bytes)))

    def make_room(self) -> None:
        """Give the space back."""
        self._ballast.unlink()

    def set_writable(self, writable: bool) -> None:
        """Mount it anew, for reading only or for writing too."""
        _run("mount", "-o", "remount,rw" if writable else "remount,ro", str(self.path))


@contextmanager
def small_disk(path: Path, megabytes: int) -> Iterator[Disk]:
    """Mounts a tmpfs of this size; the test is skipped where that is not allowed."""
    path.mkdir()
    options = ["-t", "tmpfs", "-o", f"size={megabytes}m", "tmpfs", str(path)]
    try:
        _run("mount", *options)
    except (OSError, subprocess.CalledProcessError) as error:
        pytest.skip(f"no file system can be mounted here: {error}")
    try:
        yield Disk(path)
    finally:
        # Lazily: a process that a failed test left behind may still hold a file.
        _run("umount", "--lazy", str(path))


def _run(*command: str) -> None:
    subprocess.run(command, check=True, capture_output=True)
