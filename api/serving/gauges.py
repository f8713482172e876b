"""Gauges that an API worker refreshes every 15 s: the index, its memory, its limits.

What happens with requests is counted as it happens (`api.telemetry.metrics`). What is true of the
table as a whole is taken from whichever worker looked last; what each worker has is summed.
"""

import asyncio
import logging
import os
import shutil
from collections import Counter as Counted
from collections.abc import Awaitable, Callable
from contextlib import suppress
from pathlib import Path
from typing import TYPE_CHECKING, Literal

from prometheus_client import Counter, Gauge

from api.settings import Settings
from api.telemetry.metrics import DECODER_RESTARTS, LIMIT, WAITING
from runners.serving.batches import MEMORY, resident_bytes
from store.errors import StoreError
from store.schemas import IndexState, StoreStats
from store.table.disk.location import Location

if TYPE_CHECKING:
    from api.pipeline.backend import Backend  # heavy: only in a worker
    from images.workers.decoders import Decoders

logger = logging.getLogger("bentoml.image_search")
REFRESH_S = 15.0
_SERVICE = "ImageSearch"


def _gauge(name: str, text: str, mode: Literal["mostrecent", "livesum"]) -> Gauge:
    return Gauge(f"image_search_{name}", text, multiprocess_mode=mode)


_TABLE = {
    name: _gauge(f"index_{name}", text, "mostrecent")
    for name, text in {
        "rows": "Images in the index",
        "fragments": "Files of rows; many of them slow searches down",
        "indexed_rows": "Rows that the vector index holds",
        "unindexed_rows": "Rows that are searched without the vector index",
        "size_bytes": "Size on disk, old versions included",
        "version": "Version of the table",
    }.items()
}
_COUNTERS = {
    name: Counter(f"image_search_index_{name}_total", text)
    for name, text in {
        "commits": "Commits of adds, changes and deletes",
        "conflicts": "Commits repeated because another process came first",
        "upkeep_runs": "Rounds of upkeep that went through",
        "upkeep_failures": "Rounds of upkeep that failed",
    }.items()
}
_RECALL = _gauge(
    "index_recall",
    "Estimated recall@10 of searches against exact ones; NaN before it was measured",
    "mostrecent",
)
_DISK_FREE = _gauge("index_disk_free_bytes", "Free space on the index's disk", "mostrecent")
_QUEUED = _gauge("index_queued", "Operations waiting for a commit now", "livesum")
# With a label: one without would stand at 0 in the models' workers too, as they import this.
_READY = Gauge(
    "image_search_ready",
    "1 if all workers of the service are ready to answer",
    ["service"],
    multiprocess_mode="livemin",
)


class WorkerGauges:
    """Gauges of one API worker and of the index. Make one in a worker."""

    def __init__(self, settings: Settings) -> None:
        _forget_dead_workers()
        self._uri = settings.store.store_uri
        for name, value in _limits(settings).items():
            LIMIT.labels(name).set(value)
        self._counted = dict.fromkeys(_COUNTERS, 0)
        self._restarts: Counted[str] = Counted()
        self.set_worker(ready=False)

    async def refresh_for_ever(
        self, backend: "Backend", is_ready: Callable[[], Awaitable[bool]]
    ) -> None:
        """Refresh the gauges every 15 s, until cancelled; no request waits for it.

        Args:
            backend: to look at.
            is_ready: whether this worker can answer.
        """
        while True:
            try:
                await self._refresh(backend, is_ready)
            except Exception:  # the next one may succeed, and without any the alerts are blind
                logger.exception("the gauges were not refreshed")
            await asyncio.sleep(REFRESH_S)

    async def _refresh(self, backend: "Backend", is_ready: Callable[[], Awaitable[bool]]) -> None:
        self.set_worker(ready=await is_ready())
        self.set_decoders(backend.pictures.decoders)
        LIMIT.labels("calls").set(backend.models.items)
        _forget_dead_workers()
        try:
            self.set_index(await backend.index.state(), backend.index.stats())
        except StoreError as error:
            logger.warning(
                "the gauges of the index were not refreshed: %s (%s)", error, error.detail
            )

    def set_decoders(self, decoders: "Decoders") -> None:
        """The decoders' queue and restarts."""
        WAITING.labels("decoder").set(decoders.waiting)
        for reason, number in decoders.restarts.items():
            DECODER_RESTARTS.labels(reason).inc(number - self._restarts[reason])
            self._restarts[reason] = number

    def set_worker(self, *, ready: bool) -> None:
        """This worker's readiness and memory."""
        _READY.labels(_SERVICE).set(ready)
        MEMORY.labels(_SERVICE).set(_family_bytes())

    def set_index(self, state: IndexState, stats: StoreStats) -> None:
        """The table, its disk and its commits."""
        for name, gauge in _TABLE.items():
            value = getattr(state, name)
            gauge.set(float("nan") if value is None else value)
        _DISK_FREE.set(_free_bytes(self._uri))
        recall = state.upkeep.recall if state.upkeep else None
        _RECALL.set(float("nan") if recall is None else recall)
        _QUEUED.set(stats.queued)
        for name, counter in _COUNTERS.items():
            counter.inc(getattr(stats, name) - self._counted[name])
            self._counted[name] = getattr(stats, name)


def _limits(settings: Settings) -> dict[str, int]:
    """What a worker may use at once, by the name of what it limits."""
    api = settings.api
    return {
        "requests": api.max_in_flight,
        "downloads": api.download_threads,
        "decode_memory": api.decode_memory_bytes,
        "decoders": api.decode_processes,
        "operations": settings.store.store_queue_size,
    }


def _free_bytes(uri: str) -> float:
    """Free space where the index lies; NaN on an object store."""
    try:
        return shutil.disk_usage(uri).free if Location(uri).folder else float("nan")
    except OSError:
        return float("nan")


def _family_bytes() -> int:
    """Memory (RSS) of this process and its children."""
    try:
        children = Path(f"/proc/self/task/{os.getpid()}/children").read_text().split()
    except OSError:
        children = []
    return sum(map(resident_bytes, ["self", *children]))


def _forget_dead_workers() -> None:
    """Delete the gauge files of killed workers, which would count for ever.

    BentoML removes those of workers that end in an orderly way (`PrometheusClient.__del__`). Other
    workers may be at it too, so that a file may be gone already.
    """
    folder = os.environ.get("PROMETHEUS_MULTIPROC_DIR") or ""
    for file in Path(folder).glob("gauge_live*_*.db") if folder else ():
        pid = file.stem.rpartition("_")[2]
        if pid.isdigit() and not Path(f"/proc/{pid}").exists():
            with suppress(OSError):  # a read-only disk keeps them
                file.unlink()
