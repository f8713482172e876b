"""How a model worker ends: after the API workers that call it, and never without its supervisor.

The supervisor sends SIGTERM to all of its workers at once (circus, `Arbiter._stop_watchers`), and a
terminal's Ctrl-C reaches them all at once too. The API workers then finish the requests that they
have, and need the models for it.
"""

import ctypes
import logging
import os
import signal
import sys
import threading
import time
from types import FrameType
from typing import NoReturn

import psutil
from bentoml._internal.context import server_context

LONGEST_S = 90.0
"""More than an API worker takes to stop, which its supervisor kills after 75 s by default."""

_PR_SET_PDEATHSIG = 1
_SUPERVISOR = os.getppid()
_SUPERVISOR_STOPS_S = 1.0
_log = logging.getLogger("bentoml.runners")


def outlive_callers(model_services: frozenset[str]) -> None:
    """Put off this worker's stop until the API workers are gone.

    Call it from the main thread after the server has set its handlers, as in the `__init__` of a
    service. Where no supervisor started this process it does nothing.
    """
    stop = signal.getsignal(signal.SIGTERM)
    if threading.current_thread() is not threading.main_thread() or not callable(stop):
        return
    stopping = threading.Event()

    def finish() -> None:
        _wait_for_callers(model_services)
        stop(signal.SIGTERM, None)

    def later(_number: int, _frame: FrameType | None) -> None:
        if not stopping.is_set():  # the same wait serves a second signal
            stopping.set()
            threading.Thread(target=finish, name="drain", daemon=True).start()

    for number in (signal.SIGTERM, signal.SIGINT):
        signal.signal(number, later)


def end_with_supervisor() -> None:
    """Have this worker stopped when its supervisor is killed.

    It would go on without anybody to start a dead one again, hold the port, and have the next start
    of the service refused.
    """
    if server_context.worker_index is not None:
        end_with_parent(signal.SIGTERM)
        if os.getppid() != _SUPERVISOR:  # killed while this worker was importing
            os.kill(os.getpid(), signal.SIGTERM)


def end_with_parent(number: int) -> None:
    """Have this process sent a signal when the one that started it ends."""
    ctypes.CDLL(None).prctl(_PR_SET_PDEATHSIG, number)


def end_service(reason: str) -> NoReturn:
    """Say in one line why it cannot start; end the supervisor, then this worker, without traces."""
    sys.stderr.write(f"image-search cannot start: {reason}\n")
    if os.getppid() == _SUPERVISOR:  # else it is gone already, and this is somebody else's number
        os.kill(_SUPERVISOR, signal.SIGTERM)
    time.sleep(_SUPERVISOR_STOPS_S)  # one that still supervises would start this worker again
    os._exit(1)


def _wait_for_callers(model_services: frozenset[str]) -> None:
    _, alive = psutil.wait_procs(_callers(model_services), timeout=LONGEST_S)
    if alive:
        _log.warning("stopping although %d API worker(s) still run", len(alive))


def _callers(model_services: frozenset[str]) -> list[psutil.Process]:
    """The supervisor's other workers; none when it is gone, and so the service with it."""
    if os.getppid() != _SUPERVISOR:
        return []
    workers = []
    for worker in psutil.Process(_SUPERVISOR).children():
        try:
            words = worker.cmdline()
        except psutil.Error:  # it has just ended
            continue
        if "--service-name" in words and not model_services & set(words):
            workers.append(worker)
    return workers
