"""Runs a model's batches: times them, reports memory, ends the worker when one hangs."""

import faulthandler
import resource
import threading
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any, TypeVar

from prometheus_client import Gauge, Histogram

HUNG_S = 600.0
"""A batch that takes longer will not end: the largest models need a minute or two for 64 pictures
on two cores."""

_BATCH_SECONDS = Histogram(
    "image_search_model_batch_seconds",
    "Time of a model for one batch, without queue and transport",
    ["model", "method"],
    buckets=(0.001, 0.0025, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1, 2.5, 5, 10),
)
MEMORY = Gauge(
    "image_search_memory_bytes",
    "Memory (RSS) of a service's processes",
    ["service"],
    multiprocess_mode="livesum",
)
_COMPUTED = Gauge(
    "image_search_model_info",
    "1 for what computes a model, and in which precision",
    ["model", "runtime", "precision"],
    multiprocess_mode="livemax",
)
_PAGE_BYTES = resource.getpagesize()
_STDERR = 2
_Result = TypeVar("_Result")


class Batches:
    """Runs the batches of one model: measured, and watched.

    A GPU or a lock that hangs keeps the thread that computes, while the worker still answers health
    checks. When a batch does not end, the process does, with the traces of all threads on stderr;
    the supervisor starts another one. Only faulthandler's thread needs no lock of Python's, and it
    has one timer: that is for the batch which began first.
    """

    def __init__(self, model: str) -> None:
        self._model = model
        self._memory = MEMORY.labels(model)
        self._memory.set(resident_bytes())
        self._lock = threading.Lock()
        self._running: dict[object, float] = {}

    def tell(self, runtime: str, precision: str) -> None:
        """Say in the metrics what computes the model."""
        _COMPUTED.labels(self._model, runtime, precision).set(1)

    def run(self, method: str, compute: Callable[[Any], _Result], items: Any) -> _Result:
        """Compute a batch by a method of the model, whose name is that in the metrics."""
        batch, began = object(), time.monotonic()
        with self._lock:
            self._running[batch] = began
            if len(self._running) == 1:
                self._watch()
        try:
            result = compute(items)
        finally:
            with self._lock:
                was_first = next(iter(self._running)) is batch
                del self._running[batch]
                if was_first:
                    self._watch()
        _BATCH_SECONDS.labels(self._model, method).observe(time.monotonic() - began)
        self._memory.set(resident_bytes())
        return result

    def _watch(self) -> None:
        """Set the timer for the batch that began first."""
        if not self._running:
            faulthandler.cancel_dump_traceback_later()
            return
        left = next(iter(self._running.values())) + HUNG_S - time.monotonic()
        faulthandler.dump_traceback_later(max(left, 0.001), exit=True, file=_STDERR)


def resident_bytes(process: str = "self") -> int:
    """Memory (RSS) of a process; 0 where there is no such process, or no Linux to tell."""
    try:
        return int(Path(f"/proc/{process}/statm").read_text().split()[1]) * _PAGE_BYTES
    except OSError:
        return 0
