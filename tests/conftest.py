"""What holds for all tests: profiles, shared services, and which tests run side by side."""

import os
import sys
from typing import Any

import pytest
from hypothesis import settings

from tests.running import pictures, post, scenes, service

__all__ = ["pictures", "post", "scenes", "service"]

# A run that fails is to fail again, and one that passed for one person is to pass for another.
# `--hypothesis-profile=default` takes new examples with each run.
settings.register_profile("suite", derandomize=True)
settings.load_profile("suite")

# Dozens of processes import torch, BentoML and LanceDB here: a service starts in half of the time
# where compiled modules are kept, also on a machine that is told not to.
sys.dont_write_bytecode = False
os.environ.pop("PYTHONDONTWRITEBYTECODE", None)

GROUPS = {
    "tests/page/": "the page",
    "tests/guard/test_": "the guard",
}
"""Tests under a path that share a running service: one process runs them, after each other."""
SERVICES = {
    "service": ("tests.running", "the shared service"),
    "watched": ("tests.serve.conftest", "the watched service"),
}
"""Fixtures of services that several files share, where they are defined, and their groups."""
FIRST = (
    "the shared service",
    "the guard",
    "the page",
    "tests/serve/lifecycle/test_stops.py",
    "tests/store/differential/test_differential.py",
    "tests/serve/lifecycle/test_start.py",
    "the watched service",
    "tests/serve/lifecycle/test_crash.py",
    "tests/image_search/test_client.py",
    "tests/cli/offline/test_reembed.py",
)
"""The longest groups, in their order, so that no process is left with one at the end."""
MOST_PROCESSES = 4


def pytest_xdist_auto_num_workers(config: pytest.Config) -> int:
    """Processes of a run: one more than cores for all tests, none besides for a few.

    A test with a service waits for a third of its time.
    """
    everything = list(config.args) in (config.getini("testpaths"), [str(config.rootpath)])
    cores = len(os.sched_getaffinity(0))
    return min(cores + 1, MOST_PROCESSES) if everything else 0


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """Give each test its group, and put the longest groups first."""
    of = {item: _group(item) for item in items}
    for item, group in of.items():
        item.add_marker(pytest.mark.xdist_group(group))
    rank = {group: number for number, group in enumerate(FIRST)}
    items.sort(key=lambda item: rank.get(of[item], len(rank)))


def _group(item: pytest.Item) -> str:
    """A file is a group, but where its tests use a service that others use too."""
    for path, group in GROUPS.items():
        if item.nodeid.startswith(path):
            return group
    fixtures: Any = getattr(item, "_fixtureinfo", None)
    for name, (module, group) in SERVICES.items():
        defined = fixtures.name2fixturedefs.get(name) if fixtures else None
        if defined and defined[-1].func.__module__ == module:
            return group
    return item.nodeid.partition("::")[0]
