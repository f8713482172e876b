"""The real service as a child process: started, awaited, stopped."""

import contextlib
import os
import signal
import socket
import subprocess
import sys
import time
from collections.abc import Mapping
from http import HTTPStatus
from pathlib import Path
from typing import IO, Self

import psutil
import requests

PROJECT = Path(__file__).resolve().parent.parent
_STOP_S = 30


class ServiceError(Exception):
    """The service ended, or was not ready in time; the message holds the end of its log."""


def free_port() -> int:
    """A TCP port of loopback that nobody listens on now."""
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return int(probe.getsockname()[1])


class ServiceProcess:
    """`bentoml serve` on loopback, in a process group of its own.

    Args:
        environment: added to this process's own, `IMAGE_SEARCH_*` settings above all.
        log: file that takes what the service prints.
        host: to listen on; None leaves that to the service, which has loopback among it.
        port: to listen on; 0 takes a free one.
        target: what to serve, a folder or the tag of a Bento.
        cwd: folder to start in.
        python: interpreter that serves it.
    """

    def __init__(  # noqa: PLR0913 - what a process takes
        self,
        environment: Mapping[str, str],
        log: Path,
        *,
        host: str | None = "127.0.0.1",
        port: int = 0,
        target: str = str(PROJECT),
        cwd: Path | None = None,
        python: Path = Path(sys.executable),
    ) -> None:
        self.port = port or free_port()
        self.url = f"http://127.0.0.1:{self.port}"
        self.log = log
        self._cwd = cwd
        self._command = [str(python), "-m", "bentoml", "serve", target]
        self._command += ["--host", host] if host is not None else []
        self._command += ["--port", str(self.port)]
        self._environment = {
            **os.environ,
            # No usage reports: what runs on loopback is to stay there.
            "BENTOML_DO_NOT_TRACK": "True",
            # Metrics lie there, and a start wipes them (BentoML 1.4.39, `ensure_prometheus_dir`):
            # another service on this machine must keep its own.
            "BENTOML_HOME": str(log.absolute().parent / "bentoml"),
            **environment,
        }
        self.process: subprocess.Popen[bytes] | None = None

    def start(self, timeout_s: float = 180) -> None:
        """Start and wait until it is ready.

        Raises:
            ServiceError: it ended, or was not ready in time.
        """
        with self.log.open("ab") as log:
            self.process = self._spawn(log)
        deadline = time.monotonic() + timeout_s
        while not self._is_ready():
            if self.process.poll() is not None:
                raise ServiceError(f"the service ended at its start:\n{self._last_lines()}")
            if time.monotonic() > deadline:
                self.kill()
                raise ServiceError(f"the service was not ready in time:\n{self._last_lines()}")
            time.sleep(0.2)

    def stop(self) -> None:
        """Let the service finish what it does, then end it."""
        if self.process is None or self.process.poll() is not None:
            return
        self.process.send_signal(signal.SIGTERM)
        try:
            self.process.wait(_STOP_S)
        except subprocess.TimeoutExpired:
            self.kill()

    def kill(self) -> None:
        """End every process of the service at once, as a power button would (SIGKILL)."""
        if self.process is None:
            return
        # Not its process group: each worker has one of its own.
        with contextlib.suppress(psutil.NoSuchProcess):  # ended already
            supervisor = psutil.Process(self.process.pid)
            supervisor.suspend()  # else it would start anew what is killed before it
            everyone = [*supervisor.children(recursive=True), supervisor]
            for one in everyone:
                with contextlib.suppress(psutil.NoSuchProcess):
                    one.kill()
            psutil.wait_procs(everyone)
        self.process.wait()

    def __enter__(self) -> Self:
        try:
            self.start()
        except BaseException:
            self.stop()
            raise
        return self

    def __exit__(self, *_: object) -> None:
        self.stop()

    def _spawn(self, log: IO[bytes]) -> subprocess.Popen[bytes]:
        return subprocess.Popen(
            self._command,
            env=self._environment,
            cwd=self._cwd,
            stdin=subprocess.DEVNULL,
            stdout=log,
            stderr=subprocess.STDOUT,
            start_new_session=True,
        )

    def _is_ready(self) -> bool:
        try:
            status = requests.get(f"{self.url}/readyz", timeout=5).status_code
        except requests.RequestException:
            return False
        return status == HTTPStatus.OK

    def _last_lines(self) -> str:
        return "\n".join(self.log.read_text(errors="replace").splitlines()[-12:])
