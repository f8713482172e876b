"""A peer's server as a child process."""

import contextlib
import socket
import subprocess
import time
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Self

import psutil

from bench.peers.environments import PeerError, child_environment
from demo.process import free_port

_START_S = 180
_STOP_S = 15


class PeerProcess:
    """A server on loopback, from when it takes connections until the `with` block ends.

    Args:
        command: that starts it; `{port}` stands for its port.
        added: to the environment.
        log: takes what it prints.
    """

    def __init__(self, command: Sequence[str], added: Mapping[str, str], log: Path) -> None:
        self.port = free_port()
        self._command = [word.replace("{port}", str(self.port)) for word in command]
        self._added, self._log = added, log
        self.process: subprocess.Popen[bytes] | None = None

    def __enter__(self) -> Self:
        with self._log.open("ab") as log:
            self.process = subprocess.Popen(
                self._command,
                cwd=self._log.parent,
                env=child_environment(self._added),
                stdin=subprocess.DEVNULL,
                stdout=log,
                stderr=subprocess.STDOUT,
                start_new_session=True,
            )
        try:
            self._wait()
        except BaseException:
            self._stop()
            raise
        return self

    def __exit__(self, *_: object) -> None:
        self._stop()

    def _wait(self) -> None:
        deadline = time.monotonic() + _START_S
        while not self._listens():
            if self.process is None or self.process.poll() is not None:
                raise PeerError(f"ended at its start: {self._last_line()}")
            if time.monotonic() > deadline:
                raise PeerError(f"not ready in {_START_S} s: {self._last_line()}")
            time.sleep(0.5)

    def _listens(self) -> bool:
        with socket.socket() as probe:
            return probe.connect_ex(("127.0.0.1", self.port)) == 0

    def _last_line(self) -> str:
        lines = self._log.read_text(errors="replace").split("\n")
        return next((line.strip() for line in reversed(lines) if line.strip()), "it said nothing")

    def _stop(self) -> None:
        """Ask it to end, then end whatever of it is left."""
        if self.process is None:
            return
        with contextlib.suppress(psutil.NoSuchProcess):
            everyone = [psutil.Process(self.process.pid)]
            everyone += everyone[0].children(recursive=True)
            self.process.terminate()
            _, left = psutil.wait_procs(everyone, _STOP_S)
            for one in left:
                with contextlib.suppress(psutil.NoSuchProcess):
                    one.kill()
        self.process.wait()
