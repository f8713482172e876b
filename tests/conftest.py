"""What holds for all tests."""

from hypothesis import settings

# A run that fails is to fail again, and one that passed for one person is to pass for another.
# `--hypothesis-profile=default` takes new examples with each run.
settings.register_profile("suite", derandomize=True)
settings.load_profile("suite")
