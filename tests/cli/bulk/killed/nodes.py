"""Two Ray nodes on this machine, of which one can be killed with all that runs on it."""

import contextlib
import os
import secrets
import shutil
import subprocess
import sys
import tempfile
from pathlib import Path
from typing import Self

import psutil

from demo.process import PROJECT, free_port

_HEAD, _OTHER = "127.0.0.1", "127.0.0.2"
_OBJECTS_BYTES = 80 << 20
_WORKER = "ray::RayWorker"
"""How Ray calls the process of a bulk run's worker."""


class Nodes:
    """A cluster of two nodes with one core each, until the block ends.

    Args:
        settings: variables of the nodes, and so of all workers.

    Attributes:
        address: of the cluster.
        variables: that a driver needs to be let in.
    """

    def __init__(self, settings: dict[str, str]) -> None:
        token = {"RAY_AUTH_MODE": "token", "RAY_AUTH_TOKEN": secrets.token_hex(32)}
        # Workers are to be lost by this command alone, and not for want of memory.
        self.variables = {**token, "RAY_USAGE_STATS_ENABLED": "0"}
        self._environment = {**os.environ, **settings, **self.variables}
        self._environment |= {"RAY_memory_monitor_refresh_ms": "0"}
        # Not under a test's folder: the names of sockets are short.
        self._folder = Path(tempfile.mkdtemp(prefix="ray"))
        self.address = f"{_HEAD}:{free_port()}"
        self._running: dict[str, subprocess.Popen[bytes]] = {}

    def __enter__(self) -> Self:
        try:
            port = self.address.partition(":")[2]
            self._start(_HEAD, "--head", f"--port={port}", "--include-dashboard=false")
            self.start_other()
        except BaseException:
            self.__exit__()
            raise
        return self

    def __exit__(self, *_: object) -> None:
        for node in list(self._running):
            self._kill(node)
        shutil.rmtree(self._folder, ignore_errors=True)

    def start_other(self) -> None:
        """Have the second node join; it is there some seconds later."""
        self._start(_OTHER, f"--address={self.address}")

    def kill_other(self) -> bool:
        """SIGKILL of all processes of the second node; whether a worker was on it."""
        had = self.other_works
        self._kill(_OTHER)
        return had

    @property
    def other_works(self) -> bool:
        """Whether the second node has a worker."""
        return bool(_workers(self._running[_OTHER]))

    def workers(self) -> list[psutil.Process]:
        """The processes of bulk's workers on both nodes."""
        return [one for node in self._running.values() for one in _workers(node)]

    @property
    def log(self) -> str:
        """What the nodes have said."""
        return (self._folder / "log").read_text(errors="replace")

    def _start(self, node: str, *words: str) -> None:
        ray = str(Path(sys.executable).with_name("ray"))
        common = [f"--node-ip-address={node}", "--num-cpus=1", "--block", "--disable-usage-stats"]
        common += [f"--object-store-memory={_OBJECTS_BYTES}"]
        common += [f"--temp-dir={self._folder}"] if "--head" in words else []
        with (self._folder / "log").open("ab") as log:
            self._running[node] = subprocess.Popen(
                [ray, "start", *words, *common],
                env=self._environment,
                cwd=PROJECT,
                stdin=subprocess.DEVNULL,
                stdout=log,
                stderr=subprocess.STDOUT,
                start_new_session=True,
            )

    def _kill(self, node: str) -> None:
        running = self._running.pop(node)
        if running.poll() is None:
            kill_all(running.pid)
        running.wait()


def kill_all(pid: int) -> None:
    """SIGKILL of a process and of all that it has started."""
    with contextlib.suppress(psutil.NoSuchProcess):
        first = psutil.Process(pid)
        first.suspend()
        everyone = [*first.children(recursive=True), first]
        for one in everyone:
            with contextlib.suppress(psutil.NoSuchProcess):
                one.kill()
        psutil.wait_procs(everyone, 60)


def _workers(node: subprocess.Popen[bytes]) -> list[psutil.Process]:
    found = []
    with contextlib.suppress(psutil.NoSuchProcess):
        for one in psutil.Process(node.pid).children(recursive=True):
            with contextlib.suppress(psutil.Error):
                if " ".join(one.cmdline()).startswith(_WORKER):
                    found.append(one)
    return found
