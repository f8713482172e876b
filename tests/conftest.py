"""What holds for all tests."""

import os
import sys

from hypothesis import settings

# A run that fails is to fail again, and one that passed for one person is to pass for another.
# `--hypothesis-profile=default` takes new examples with each run.
settings.register_profile("suite", derandomize=True)
settings.load_profile("suite")

# Dozens of processes import torch, BentoML and LanceDB here: a service starts in half of the time
# where compiled modules are kept, also on a machine that is told not to.
sys.dont_write_bytecode = False
os.environ.pop("PYTHONDONTWRITEBYTECODE", None)
