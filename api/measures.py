"""Prometheus metrics of the index, and of the answers that were errors.

The workers' metrics lie in files that BentoML's `/metrics` adds up. What is true of the table as a
whole is taken from whichever worker looked last; what each worker counts for itself is summed.
"""

import asyncio
import logging
import os
from pathlib import Path
from typing import TYPE_CHECKING, Any

from store.errors import StoreError
from store.schemas import IndexState, StoreStats

if TYPE_CHECKING:
    from store.index import ImageIndex

logger = logging.getLogger("bentoml.image_search")
REFRESH_S = 15.0

_TABLE = {
    "rows": "Images in the index",
    "fragments": "Files of rows; many of them slow searches down",
    "indexed_rows": "Rows that the vector index holds",
    "unindexed_rows": "Rows that are searched without the vector index",
    "size_bytes": "Size on disk, old versions included",
    "version": "Version of the table",
}
_COUNTERS = {
    "commits": "Commits of adds, changes and deletes",
    "conflicts": "Commits repeated because another process came first",
    "upkeep_runs": "Rounds of upkeep that went through",
    "upkeep_failures": "Rounds of upkeep that failed",
}


class Measures:
    """What a worker of the API tells Prometheus. Make one in a worker, not at import.

    prometheus_client decides when it is imported where its values go, and BentoML says so only in
    a worker.
    """

    def __init__(self) -> None:
        import prometheus_client as prometheus  # noqa: PLC0415 - see above

        _forget_dead_workers()
        self._errors = prometheus.Counter(
            "image_search_errors_total", "Answers of the API that were errors", ["route", "code"]
        )
        self._table = {
            name: _gauge(prometheus, f"index_{name}", text, "mostrecent")
            for name, text in _TABLE.items()
        }
        self._recall = _gauge(
            prometheus,
            "index_recall",
            "Estimated recall@10 of searches against exact ones; NaN before it was measured",
            "mostrecent",
        )
        self._queued = _gauge(prometheus, "index_queued", "Operations waiting now", "livesum")
        self._counters = {
            name: prometheus.Counter(f"image_search_index_{name}_total", text)
            for name, text in _COUNTERS.items()
        }
        self._counted = dict.fromkeys(_COUNTERS, 0)

    def count_error(self, route: str, code: str) -> None:
        """Count an answer that was an error."""
        self._errors.labels(route=route, code=code).inc()

    async def keep(self, index: "ImageIndex") -> None:
        """Look at the index now and then, until cancelled; no request waits for it."""
        while True:
            try:
                self.note(await index.state(), index.stats())
            except StoreError as error:
                logger.warning("the index was not measured: %s (%s)", error, error.detail)
            await asyncio.sleep(REFRESH_S)

    def note(self, state: IndexState, stats: StoreStats) -> None:
        """Take the values over."""
        for name, gauge in self._table.items():
            value = getattr(state, name)
            gauge.set(float("nan") if value is None else value)
        recall = state.upkeep.recall if state.upkeep else None
        self._recall.set(float("nan") if recall is None else recall)
        self._queued.set(stats.queued)
        for name, counter in self._counters.items():
            counter.inc(getattr(stats, name) - self._counted[name])
            self._counted[name] = getattr(stats, name)


def _gauge(prometheus: Any, name: str, text: str, mode: str) -> Any:
    return prometheus.Gauge(f"image_search_{name}", text, multiprocess_mode=mode)


def _forget_dead_workers() -> None:
    """A killed worker leaves files behind whose gauges would count for ever.

    BentoML removes those of workers that end in an orderly way (`PrometheusClient.__del__`).
    """
    from prometheus_client.multiprocess import mark_process_dead  # noqa: PLC0415 - see `Measures`

    folder = os.environ.get("PROMETHEUS_MULTIPROC_DIR") or ""
    for file in Path(folder).glob("gauge_live*_*.db") if folder else ():
        pid = file.stem.rpartition("_")[2]
        if pid.isdigit() and not Path(f"/proc/{pid}").exists():
            mark_process_dead(int(pid))  # type: ignore[no-untyped-call]  # no types there
