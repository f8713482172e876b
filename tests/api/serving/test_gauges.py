"""The index's metrics: counted on, not over; and gauges of killed workers forgotten."""

import os
import subprocess
import sys
from pathlib import Path

CODE = """
import os
from datetime import UTC, datetime
from pathlib import Path
folder = Path(os.environ["PROMETHEUS_MULTIPROC_DIR"])
dead = folder / "gauge_livesum_999999999.db"
living = folder / f"gauge_livesum_{os.getppid()}.db"
dead.touch(), living.touch()

import service
from api.errors import RequestError, problem_of
from api.telemetry.metrics import count_problem
from api.serving.gauges import WorkerGauges
from api.settings import Settings
from store.schemas import IndexState, ModelIdentity, StoreStats, UpkeepReport

gauges = WorkerGauges(Settings.from_environment())
assert not dead.exists() and living.exists()
living.unlink()
report = UpkeepReport(datetime.now(UTC), 1.0, "ok", [], 0.97)
def state(rows, upkeep):
    return IndexState(rows, ModelIdentity("m", "p", 4), {}, 3, None, 0, rows, None, 9, upkeep)

class Decoders:
    waiting, restarts = 3, {"crash": 2}
gauges.set_decoders(Decoders)
Decoders.restarts = {"crash": 5, "timeout": 1}
gauges.set_decoders(Decoders)
gauges.set_index(state(5, None), StoreStats(2, 0, 1, 0, 0))
gauges.set_index(state(7, report), StoreStats(6, 4, 1, 1, 0))
count_problem("search", problem_of(RequestError("x")))

from bentoml._internal.server.metrics.prometheus import PrometheusClient
print(PrometheusClient().generate_latest().decode())
os._exit(0)
"""


def test_values_of_the_table_and_counters(tmp_path: Path) -> None:
    done = subprocess.run(
        [sys.executable, "-c", CODE],
        env={**os.environ, "PROMETHEUS_MULTIPROC_DIR": str(tmp_path), "PYTHONUNBUFFERED": "1"},
        capture_output=True,
        text=True,
        timeout=60,
        check=True,
    )
    lines = done.stdout.splitlines()
    for line in (
        "image_search_index_rows 7.0",
        'image_search_decoder_restarts_total{reason="crash"} 5.0',
        'image_search_decoder_restarts_total{reason="timeout"} 1.0',
        'image_search_waiting{queue="decoder"} 3.0',
        "image_search_index_fragments 3.0",
        "image_search_index_size_bytes NaN",
        "image_search_index_recall 0.97",
        "image_search_index_queued 4.0",
        "image_search_index_commits_total 6.0",
        "image_search_index_conflicts_total 1.0",
        "image_search_index_upkeep_runs_total 1.0",
        'image_search_errors_total{code="bad_request",route="search"} 1.0',
    ):
        assert line in lines
