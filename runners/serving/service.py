"""How both model services are served."""

import ctypes
import os
import signal
import sys
import time
from collections.abc import Callable, Sized
from typing import Any, NoReturn, TypeVar, cast

import bentoml
from bentoml._internal.context import server_context
from pydantic import ValidationError

from runners.device.gpus import device_of, workers_of
from runners.errors import RunnerError
from runners.serving.batching import allow_batches, cap_batch_wait
from runners.serving.lanes import items_of, lanes_of
from runners.serving.shutdown import outlive_callers
from runners.serving.watchdog import ends_if_hung
from runners.settings import ModelSettings

MODEL_SERVICES = frozenset({"ClipEmbedder", "YoloDetector"})
"""The names of the services in this room."""

MAX_BATCH_SIZE = 64
"""Items of a batch: those of several API workers' calls fit in."""

_PR_SET_PDEATHSIG = 1
_NICENESS = 5
_SUPERVISOR = os.getppid()
_SUPERVISOR_STOPS_S = 1.0

MAX_LATENCY_MS = 60_000
"""BentoML answers 503 to calls that it expects to take longer, so this is no batching window; the
number of waiting calls is bounded by the API instead."""


def _settings() -> ModelSettings:
    try:
        return ModelSettings()
    except ValidationError:  # whoever reads all settings says so in one line, and ends the start
        return ModelSettings.model_construct()


WORKERS = workers_of(_settings().device)
"""Processes of each model."""

LANES = lanes_of(_settings())
"""Batches that each of them computes at the same time."""

CALL_ITEMS = items_of(_settings())
"""Items that are to be sent in one call at most."""

SERVICE_OPTIONS: dict[str, Any] = {
    "threads": LANES,
    "workers": WORKERS,
    # The client of a dependent service closes its shared session after 100 requests or 300 s, with
    # calls in flight (BentoML 1.4.39 `_bentoml_impl/client/proxy2.py` SessionManager).
    "runner_connection": {"max_requests": 2**31, "max_age": 1e9},
    "traffic": {"timeout": 120},
}
# `resources` is left out: two services that each ask for a GPU get two different ones, the second
# of which may not exist. The device is a setting of its own.

allow_batches(LANES)

_T = TypeVar("_T")
_Function = TypeVar("_Function", bound=Callable[..., Any])
_Results = TypeVar("_Results", bound=Sized)


def batched(method: _Function) -> _Function:
    """Serve a method of one parameter, whose first axis is the batch."""
    api = bentoml.api(batchable=True, max_batch_size=MAX_BATCH_SIZE, max_latency_ms=MAX_LATENCY_MS)
    return cast(_Function, api(ends_if_hung(method)))


def unbatched(method: _Function) -> _Function:
    """Serve a method that is called once and by itself."""
    return cast(_Function, bentoml.api(method))


def one_each(results: _Results, items: int) -> _Results:
    """Results of a batch, if there is one for each item.

    BentoML hands out a shorter result as empty answers, without any error.

    Raises:
        RuntimeError: If there are more or fewer.
    """
    if len(results) != items:
        raise RuntimeError(f"{len(results)} results for {items} items")
    return results


def begin_worker() -> None:
    """What a model worker does first, from the `__init__` of its service."""
    cap_batch_wait()
    end_with_supervisor()
    if server_context.worker_index is not None:  # else it is a test's or a script's process
        outlive_callers(MODEL_SERVICES)
        os.nice(_NICENESS)  # who answers and decodes goes first: a batch that waits only grows


def worker_settings(settings: ModelSettings) -> ModelSettings:
    """The settings of this worker, which has one of the GPUs where there are several."""
    device = device_of(settings.device, server_context.worker_index)
    return settings.model_copy(update={"device": device})


def end_with_supervisor() -> None:
    """Stop this worker when its supervisor is killed.

    It would go on without anybody to start a dead one again, hold the port, and have the next start
    of the service refused.
    """
    if server_context.worker_index is not None:
        ctypes.CDLL(None).prctl(_PR_SET_PDEATHSIG, signal.SIGTERM)
        if os.getppid() != _SUPERVISOR:  # killed while this worker was importing
            os.kill(os.getpid(), signal.SIGTERM)


def load_or_end(load: Callable[[], _T]) -> _T:
    """Load a model inside a worker; a failure is one line, and the end of the whole service.

    BentoML would start the worker again and again, with two traces each time, although weights
    that cannot be loaded will not become better: what can be known without torch was checked
    before any worker started (`runners.preflight`), and this is the rest.

    Raises:
        RunnerError: If the model cannot be loaded, where no supervisor started this process.
    """
    try:
        return load()
    except RunnerError as error:
        if server_context.worker_index is None:
            raise
        end_service(str(error))


def end_service(reason: str) -> NoReturn:
    """Say in one line why it cannot start; end the supervisor, then this worker, without traces."""
    sys.stderr.write(f"image-search cannot start: {reason}\n")
    if os.getppid() == _SUPERVISOR:  # else it is gone already, and this is somebody else's number
        os.kill(_SUPERVISOR, signal.SIGTERM)
    time.sleep(_SUPERVISOR_STOPS_S)  # one that still supervises would start this worker again
    os._exit(1)
