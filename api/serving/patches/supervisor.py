"""BentoML's supervisor, a circus arbiter: how it stops, who commands it, where metrics go."""

import functools
import os
import shutil
from collections.abc import Callable
from pathlib import Path
from typing import Any

from bentoml._internal.utils.circus import Arbiter
from circus.arbiter import Arbiter as CircusArbiter

MEMORY_DISK = Path("/dev/shm")  # noqa: S108 - the folder in it is private, or not taken
LEAST_FREE_BYTES = 16 << 20
"""The metric files of a service take 1 to 4 MiB: 64 KiB for each process and kind of metric, and
twice as much when they are full."""

METRICS_FOLDER = "PROMETHEUS_MULTIPROC_DIR"
API_SERVER_NAME = "_bento_api_server"
"""What BentoML calls the API's socket (1.4.39, `_bentoml_impl.server.serving`)."""

_start = Arbiter.start


def patch(stop_s: float) -> None:
    """Make the supervisor of this process stop in the right order and take no commands.

    Args:
        stop_s: after so many seconds a stop kills the workers that still run.
    """

    @functools.wraps(_start)
    def start(arbiter: Any, cb: Callable[[Any], Any] | None = None) -> None:
        bound_stop(arbiter, stop_s)
        _start_patched(arbiter, cb)

    Arbiter.start = start
    # BentoML closes its exit stack, and with it the folder of the models' sockets, as the first
    # step of a stop (1.4.39, `bentoml._internal.utils.circus.Arbiter.stop`). An API worker that
    # finishes its requests then finds no model for those that come to need one.
    Arbiter.stop = CircusArbiter.stop


def _start_patched(arbiter: Any, cb: Callable[[Any], Any] | None) -> None:
    close_control_sockets(arbiter)
    folder = move_metrics_to_memory(arbiter)
    try:
        _start(arbiter, cb)  # returns when the supervisor has stopped
    finally:
        arbiter.exit_stack.close()
        if folder is not None:
            shutil.rmtree(folder, ignore_errors=True)


def move_metrics_to_memory(arbiter: Any, disk: Path = MEMORY_DISK) -> Path | None:
    """Have the workers write their metrics to a folder on a tmpfs; None where that cannot be.

    Prometheus maps files whose space is not allocated. On a full disk the first number that falls
    on a new page ends its process with SIGBUS: all workers of a service whose table filled its own
    disk. BentoML's folder is also one for all services of a user, and each start empties it; this
    one is named by the port.
    """
    ports = [one.port for name, one in arbiter.sockets.items() if name == API_SERVER_NAME]
    folder = disk / f"image-search-metrics-{os.getuid()}-{ports[0] if ports else 0}"
    try:
        if shutil.disk_usage(disk).free < LEAST_FREE_BYTES:
            return None
        shutil.rmtree(folder, ignore_errors=True)  # of a supervisor that was killed
        folder.mkdir(mode=0o700)
    except OSError:
        return None
    for watcher in arbiter.watchers:
        if METRICS_FOLDER in (watcher.env or {}):
            watcher.env[METRICS_FOLDER] = str(folder)
    return folder


def bound_stop(arbiter: Any, stop_s: float) -> None:
    """Kill workers that do not stop. BentoML waits for a day (1.4.39, `serving.create_watcher`)."""
    for watcher in arbiter.watchers:
        watcher.graceful_timeout = stop_s


def close_control_sockets(arbiter: Any) -> None:
    """Keep circus's sockets within this process, where nobody can reach them.

    Whoever reaches the one for commands can have any command run (`add`, see
    https://circus.readthedocs.io/en/latest/for-ops/commands/), and circus asks for no password.
    BentoML opens it on a port of loopback (1.4.39, `create_standalone_arbiter`), which every user
    of the machine and every container of a pod reaches. It also picks that port a while before it
    is opened, so that the start fails where another program takes it meanwhile.

    Only the file watcher of `--reload` is a process of its own that uses them: its command line
    names the addresses, so they stay.
    """
    if any(arbiter.endpoint in watcher.cmd for watcher in arbiter.watchers):
        return
    # Sockets of all supervisors of a process share one space of names.
    arbiter.endpoint = arbiter.ctrl.endpoint = f"inproc://commands-{id(arbiter)}"
    arbiter.pubsub_endpoint = f"inproc://events-{id(arbiter)}"
