"""Options of both model services, the patch of BentoML's batching, and how a worker begins."""

import os
from collections.abc import Callable
from typing import Any, TypeVar

from bentoml._internal.context import server_context
from bentoml._internal.marshal.dispatcher import CorkDispatcher, NonBlockSema, Optimizer
from pydantic import ValidationError

from runners.device.cores import concurrent_batches, device_of, max_call_items, workers_of
from runners.device.memory import trim_memory
from runners.device.torch_process import wait_passively
from runners.errors import RunnerError
from runners.serving.shutdown import end_service, end_with_supervisor, outlive_callers
from runners.settings import ModelSettings

MODEL_SERVICES = frozenset({"ClipEmbedder", "YoloDetector"})
"""Names of the model services."""

MAX_BATCH_SIZE = 64
"""Items of a batch: those of several API workers' calls fit in."""

MAX_LATENCY_MS = 60_000
"""BentoML answers 503 to calls that wait longer, so this is no batching window; the API bounds the
number of waiting calls instead."""

_NICENESS = 5


def _settings() -> ModelSettings:
    try:
        return ModelSettings()
    except ValidationError:  # whoever reads all settings says so in one line, and ends the start
        return ModelSettings.model_construct()


WORKERS = workers_of(_settings().device)
"""Processes of each model."""

LANES = concurrent_batches(_settings())
"""Batches that each of them computes at the same time."""

CALL_ITEMS = max_call_items(_settings())
"""Maximum number of items in one call."""

SERVICE_OPTIONS: dict[str, Any] = {
    "threads": LANES,
    "workers": WORKERS,
    # The client of a dependent service closes its shared session after 100 requests or 300 s, with
    # calls in flight (BentoML 1.4.39 `_bentoml_impl/client/proxy2.py` SessionManager).
    "runner_connection": {"max_requests": 2**31, "max_age": 1e9},
    "traffic": {"timeout": 120},
}
"""Arguments of `bentoml.service`. `resources` is left out: two services that each ask for a GPU get
two different ones, the second of which may not exist. The device is a setting of its own."""

BATCHED: dict[str, Any] = {
    "batchable": True,
    "max_batch_size": MAX_BATCH_SIZE,
    "max_latency_ms": MAX_LATENCY_MS,
}
"""Arguments of `bentoml.api` for a method of one parameter, whose first axis is the batch."""

_Model = TypeVar("_Model")
_begin = CorkDispatcher.__init__


class PromptOptimizer(Optimizer):
    """Has BentoML's batcher send a batch as soon as one may be computed; learns nothing."""

    def __init__(self, max_latency: float) -> None:
        super().__init__(max_latency)
        self.o_a = self.o_b = self.wait = 0.0

    def trigger_refresh(self) -> None:
        """Learn nothing of the batches so far."""


def patch_batching(batches: int) -> None:
    """Change BentoML's adaptive batching, for which it has no settings (1.4.39).

    Its batcher holds calls back for as long as they waited on average of late, so that others may
    join. Under load that is the time of a whole batch, and it is unlearned only over the next fifty
    calls, each of which waits as long: a lone search took 161 ms after a burst of 64 and 25 ms
    before it. Holding back gains next to nothing, as the next batch gathers while one is computed.
    And it computes one batch at a time, however many `threads` a service has.

    Args:
        batches: that each batcher made from now on may have computed at the same time; to call this
            again with another number does no harm.
    """

    def begin(dispatcher: Any, *args: Any, **kwargs: Any) -> None:
        _begin(dispatcher, *args, **kwargs)
        dispatcher._sema = NonBlockSema(batches)
        dispatcher.optimizer = PromptOptimizer(dispatcher.max_latency)

    CorkDispatcher.__init__ = begin


patch_batching(LANES)


def load_in_worker(load: Callable[[ModelSettings], _Model]) -> _Model:
    """Load a model in the `__init__` of its service; a failure is one line, and ends the service.

    BentoML would start the worker again and again, with two traces each time, although weights
    that cannot be loaded will not become better: what can be known without torch was checked
    before any worker started (`runners.preflight`), and this is the rest.

    Args:
        load: loads the model that the settings name.

    Raises:
        RunnerError: If the model cannot be loaded, where no supervisor started this process.
    """
    end_with_supervisor()
    is_worker = server_context.worker_index is not None  # else it is a test's or a script's process
    if is_worker:
        outlive_callers(MODEL_SERVICES)
        os.nice(_NICENESS)  # who answers and decodes goes first: a batch that waits only grows
    wait_passively()
    try:
        model = load(worker_settings(ModelSettings()))
    except RunnerError as error:
        if not is_worker:
            raise
        end_service(str(error))
    trim_memory()
    return model


def worker_settings(settings: ModelSettings) -> ModelSettings:
    """Settings of this worker, which has one of the GPUs where there are several."""
    device = device_of(settings.device, server_context.worker_index)
    return settings.model_copy(update={"device": device})
