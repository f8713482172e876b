"""What holds for all tests."""

import os
import sys
from pathlib import Path

import pytest
from hypothesis import settings

# A run that fails is to fail again, and one that passed for one person is to pass for another.
# `--hypothesis-profile=default` takes new examples with each run.
settings.register_profile("suite", derandomize=True)
settings.load_profile("suite")

# Dozens of processes import torch, BentoML and LanceDB here: a service starts in half of the time
# where compiled modules are kept, also on a machine that is told not to.
sys.dont_write_bytecode = False
os.environ.pop("PYTHONDONTWRITEBYTECODE", None)

_OF_A_FOLDER = frozenset({"service", "stage"})
"""Fixtures that start a service for all tests of a folder, which takes most of a minute."""


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """Keep together, in one of the processes that run the tests, what shares a running service."""
    for item in items:
        if isinstance(item, pytest.Function):
            item.add_marker(pytest.mark.xdist_group(_group(item)))


def _group(test: pytest.Function) -> str:
    needs = _OF_A_FOLDER.intersection(test.fixturenames)
    has_its_own = any(name in vars(test.module) for name in needs)
    path = Path(test.path)
    return str(path.parent if needs and not has_its_own else path)
