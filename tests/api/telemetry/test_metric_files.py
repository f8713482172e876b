"""A full disk under Prometheus' files: without the repair, SIGBUS ends the process."""

import subprocess
import sys
from pathlib import Path

from tests.disks import small_disk

COUNTING = """
import os, sys
os.environ["PROMETHEUS_MULTIPROC_DIR"] = sys.argv[1]
{repair}
from prometheus_client import CollectorRegistry, Counter, Gauge, generate_latest, multiprocess
counted = Counter("counted", "things", ["kind"])
counted.labels("before").inc()
with open(sys.argv[1] + "/ballast", "wb") as ballast:
    try:
        ballast.write(bytes(9 << 20))
        ballast.flush()
    except OSError:
        pass
for number in range(3000):
    counted.labels("x" * 30 + str(number)).inc()
assert counted.labels("x" * 30 + "2999")._value.get() == 1
level = Gauge("level", "made on a full disk", ["kind"])
for number in range(3000):
    level.labels("x" * 30 + str(number)).set(number)
registry = CollectorRegistry()
multiprocess.MultiProcessCollector(registry)
assert b'counted_total{{kind="before"}} 1.0' in generate_latest(registry)
"""
REPAIR = "from api.telemetry.metric_files import reserve_metric_files as repair; repair(); repair()"


def count_on_a_full_disk(folder: Path, repair: str) -> int:
    with small_disk(folder, 3):
        command = [sys.executable, "-c", COUNTING.format(repair=repair), str(folder)]
        return subprocess.run(command, check=False, capture_output=True, timeout=60).returncode


def test_a_full_disk_ends_nobody(tmp_path: Path) -> None:
    assert count_on_a_full_disk(tmp_path / "disk", REPAIR) == 0


def test_the_repair_is_still_needed(tmp_path: Path) -> None:
    assert count_on_a_full_disk(tmp_path / "disk", "") != 0
