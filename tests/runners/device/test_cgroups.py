"""Limits of control groups, of both versions, in a container and beside others on a machine."""

import os
from pathlib import Path

import pytest

from runners.device.cgroups import memory_limit, processor_quota
from runners.device.cores import available_cores

CORES = len(os.sched_getaffinity(0))
MEBI = 1 << 20

Files = dict[str, str]
"""Contents of a mount's files by their paths."""


def placed(folder: Path, own: str, files: Files) -> tuple[Path, Path]:
    """A mount with files, and what /proc/self/cgroup says beside it."""
    for name, content in files.items():
        path = folder / "cgroup" / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(f"{content}\n")
    (folder / "own").write_text(own)
    return folder / "cgroup", folder / "own"


@pytest.mark.parametrize(
    ("own", "files", "limit"),
    [
        pytest.param("0::/\n", {"memory.max": "536870912"}, 512 * MEBI, id="2, a container"),
        pytest.param("0::/\n", {"memory.max": "max"}, None, id="2, no limit"),
        pytest.param(
            "0::/a.slice/b.service\n",
            {"a.slice/memory.max": "536870912", "a.slice/b.service/memory.max": "max"},
            512 * MEBI,
            id="2, of the slice above a unit",
        ),
        pytest.param(
            "0::/../other\n", {"memory.max": "536870912"}, 512 * MEBI, id="2, seen from elsewhere"
        ),
        pytest.param(
            "4:memory:/docker/c0ffee\n",
            {"memory/memory.limit_in_bytes": "536870912"},
            512 * MEBI,
            id="1, a container, which has its own group mounted",
        ),
        pytest.param(
            "5:cpu,cpuacct:/x\n4:memory:/a/b\n0::/\n",
            {
                "memory/memory.limit_in_bytes": "9223372036854771712",
                "memory/a/b/memory.limit_in_bytes": "1073741824",
                "memory/x/memory.limit_in_bytes": "1",
            },
            1024 * MEBI,
            id="1, a group below, and another's",
        ),
        pytest.param("nonsense", {"memory.max": "nonsense"}, None, id="nonsense"),
        pytest.param("", {}, None, id="none"),
    ],
)
def test_the_lowest_limit_of_memory_counts(
    tmp_path: Path, own: str, files: Files, limit: int | None
) -> None:
    assert memory_limit(*placed(tmp_path, own, files)) == limit


@pytest.mark.parametrize(
    ("own", "files", "quota"),
    [
        pytest.param("0::/\n", {"cpu.max": "150000 100000"}, 1.5, id="2"),
        pytest.param("0::/\n", {"cpu.max": "max 100000"}, None, id="2, no limit"),
        pytest.param(
            "0::/a/b\n",
            {"a/cpu.max": "100000 100000", "a/b/cpu.max": "400000 100000"},
            1.0,
            id="2, a lower one above",
        ),
        pytest.param(
            "2:cpu:/docker/c0ffee\n",
            {"cpu/cpu.cfs_quota_us": "200000", "cpu/cpu.cfs_period_us": "100000"},
            2.0,
            id="1",
        ),
        pytest.param(
            "2:cpu:/\n",
            {"cpu/cpu.cfs_quota_us": "-1", "cpu/cpu.cfs_period_us": "100000"},
            None,
            id="1, no limit",
        ),
        pytest.param("2:cpu:/\n", {"cpu/cpu.cfs_quota_us": "100000"}, None, id="1, half of it"),
    ],
)
def test_the_lowest_quota_of_processors_counts(
    tmp_path: Path, own: str, files: Files, quota: float | None
) -> None:
    assert processor_quota(*placed(tmp_path, own, files)) == quota


@pytest.mark.parametrize(
    ("quota", "cores"), [(None, CORES), (0.5, 1), (1.9, 1), (999.0, CORES), (float(CORES), CORES)]
)
def test_a_quota_limits_the_cores(quota: float | None, cores: int) -> None:
    assert available_cores(lambda: quota) == cores


@pytest.mark.skipif(not Path("/proc/self/cgroup").exists(), reason="this machine has no cgroups")
def test_this_machines_own_are_read() -> None:
    assert (memory_limit() or MEBI) >= MEBI
    assert (processor_quota() or 1) > 0
