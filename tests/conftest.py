"""What holds for all tests: profiles, the shared service, and processes side by side."""

import json
import os
import socketserver
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from hypothesis import HealthCheck, settings
from PIL import Image

from demo.process import ServiceProcess
from tests.groups import GroupScheduling, rank_of
from tests.running import APART, pictures, post, scenes, service

__all__ = ["pictures", "post", "scenes", "service"]

# A run that fails is to fail again, and one that passed for one person is to pass for another.
# `--hypothesis-profile=default` takes new examples with each run.
# How long an example takes is no fault of the code's: other work may have the cores.
settings.register_profile(
    "suite", derandomize=True, deadline=None, suppress_health_check=[HealthCheck.too_slow]
)
settings.load_profile("suite")

# Dozens of processes import torch, BentoML and LanceDB here: a service starts in half of the time
# where compiled modules are kept, also on a machine that is told not to.
sys.dont_write_bytecode = False
os.environ.pop("PYTHONDONTWRITEBYTECODE", None)

if APART in os.environ:  # every API by an interpreter that has no models: `tests.serve.apart`
    defaults: dict[str, Any] = ServiceProcess.__init__.__kwdefaults__  # type: ignore[assignment]
    defaults["python"] = Path(json.loads(os.environ[APART])["python"])

# For every server of the tests: the usual backlog of 5 drops connections when many come at once.
# They are tried again after a second or three, which is longer than the service waits for one.
socketserver.TCPServer.request_queue_size = 256


@pytest.fixture(autouse=True)
def _whole_process() -> Iterator[None]:
    """Pillow's limit of pixels and the umask are the whole process's, and the code sets them."""
    pixels, umask = Image.MAX_IMAGE_PIXELS, os.umask(0o077)
    os.umask(umask)
    yield
    Image.MAX_IMAGE_PIXELS = pixels
    os.umask(umask)


MOST_PROCESSES = 4
"""Each needs 2 GB for itself, its services and its browser."""


def pytest_xdist_auto_num_workers(config: pytest.Config) -> int:
    """Processes of a run: two more than cores for all tests, none besides for a few.

    A test with a service waits for a third of its time.
    """
    everything = list(config.args) in (config.getini("testpaths"), [str(config.rootpath)])
    cores = len(os.sched_getaffinity(0))
    return min(cores + 2, MOST_PROCESSES) if everything else 0


def pytest_xdist_make_scheduler(config: pytest.Config, log: Any) -> GroupScheduling:
    """Tests that share a service go to one process."""
    return GroupScheduling(config, log)


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """Put the tests of the longest groups first."""
    items.sort(key=lambda item: rank_of(item.nodeid))
