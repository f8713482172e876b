"""A model worker outlives those who call it, so that a stop of the service loses no request.

The supervisor sends SIGTERM to all of its workers at once (circus, `Arbiter._stop_watchers`), and a
terminal's Ctrl-C reaches them all at once too. The API workers then finish the requests that they
have, and need the models for it; a model worker that stopped at the same moment would leave them to
fail.
"""

import logging
import os
import signal
import threading
from types import FrameType

import psutil

LONGEST_S = 28.0
"""A little less than circus waits before it kills (`graceful_timeout`, 30 s in BentoML 1.4.39)."""

_STOPS = (signal.SIGTERM, signal.SIGINT)
_log = logging.getLogger("bentoml.runners")


def outlive_callers(model_services: frozenset[str]) -> None:
    """Put off this worker's stop until the workers that are no model's are gone.

    Call it from the main thread after the server has set its handlers, as in the `__init__` of a
    service. Where no supervisor started this process it does nothing.

    Args:
        model_services: names of the services that call nobody.
    """
    if threading.current_thread() is not threading.main_thread():
        return
    supervisor = os.getppid()
    stop = signal.getsignal(signal.SIGTERM)
    if not callable(stop):
        return
    waiting = threading.Event()

    def finish() -> None:
        _wait_for_callers(supervisor, model_services)
        stop(signal.SIGTERM, None)

    def later(_number: int, _frame: FrameType | None) -> None:
        if not waiting.is_set():  # the same wait serves a second signal
            waiting.set()
            threading.Thread(target=finish, name="drain", daemon=True).start()

    for number in _STOPS:
        signal.signal(number, later)


def _wait_for_callers(supervisor: int, model_services: frozenset[str]) -> None:
    callers = _callers(supervisor, model_services)
    _, alive = psutil.wait_procs(callers, timeout=LONGEST_S)
    if alive:
        _log.warning("stopping although %d API worker(s) still run", len(alive))


def _callers(supervisor: int, model_services: frozenset[str]) -> list[psutil.Process]:
    """The supervisor's other workers; none when it is gone, and so the service with it."""
    if os.getppid() != supervisor:
        return []
    workers = []
    for worker in psutil.Process(supervisor).children():
        try:
            words = worker.cmdline()
        except psutil.Error:  # it has just ended
            continue
        if "--service-name" in words and not model_services & set(words):
            workers.append(worker)
    return workers
