"""What a model's worker tells Prometheus: how long each batch takes, and its memory."""

import resource
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from prometheus_client import Gauge, Histogram

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
_PAGE_BYTES = resource.getpagesize()


class BatchMeasures:
    """Measures the batches of one model.

    Args:
        model: the service's name.
    """

    def __init__(self, model: str) -> None:
        self._model = model
        self._memory = MEMORY.labels(model)
        self._note_memory()

    @contextmanager
    def batch(self, method: str) -> Iterator[None]:
        """Around the computing of a batch."""
        began = time.perf_counter()
        yield
        _BATCH_SECONDS.labels(self._model, method).observe(time.perf_counter() - began)
        self._note_memory()

    def _note_memory(self) -> None:
        self._memory.set(resident_bytes())


def resident_bytes(process: str = "self") -> int:
    """Memory (RSS) of a process; 0 where there is no such process, or no Linux to tell."""
    try:
        return int(Path(f"/proc/{process}/statm").read_text().split()[1]) * _PAGE_BYTES
    except OSError:
        return 0
