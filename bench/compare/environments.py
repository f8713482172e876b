"""Other services beside this one: their environments, made by uv on first use, and processes."""

import os
import shutil
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from pathlib import Path

import requests

FOLDER = Path(tempfile.gettempdir()) / "image-search-peers"
_START_S = 180.0


def environment(name: str, packages: Sequence[str]) -> Path:
    """Folder of the programs of an environment with these packages."""
    folder = FOLDER / name
    if not (folder / "installed").exists():
        uv = shutil.which("uv") or "uv"
        subprocess.run([uv, "-q", "venv", "--clear", "-p", sys.executable, folder], check=True)
        python = folder / "bin" / "python"
        subprocess.run([uv, "-q", "pip", "install", "-p", python, *packages], check=True)
        (folder / "installed").touch()
    return folder / "bin"


@contextmanager
def running(
    command: Sequence[str], port: int, path: str, settings: Mapping[str, str]
) -> Iterator[tuple[int, int]]:
    """Port and pid of a service, from when it answers at a path until the block ends.

    Raises:
        RuntimeError: it ended, or did not answer in time; with the end of what it printed.
    """
    with tempfile.TemporaryDirectory() as folder, (Path(folder) / "log").open("w+b") as log:
        process = subprocess.Popen(
            command, cwd=folder, env={**os.environ, **settings}, stdout=log, stderr=log
        )
        try:
            deadline = time.monotonic() + _START_S
            while not _answers(port, path):
                if process.poll() is not None or time.monotonic() > deadline:
                    said = Path(log.name).read_text(errors="replace")[-2000:]
                    raise RuntimeError(f"{command[0]} did not start: {said}")
                time.sleep(0.5)
            yield port, process.pid
        finally:
            process.kill()
            process.wait()


def _answers(port: int, path: str) -> bool:
    try:
        return requests.get(f"http://127.0.0.1:{port}/{path}", timeout=5).ok
    except requests.RequestException:
        return False
