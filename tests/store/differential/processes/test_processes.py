"""What two processes were answered that widen, drop and declare the same keys at once."""

from pathlib import Path

from tests.store.differential.processes.__main__ import check


def test_the_model_explains_what_two_processes_were_answered(tmp_path: Path) -> None:
    counts = check(tmp_path, rounds=4, operations=24, seed=0)
    assert counts["refused"] >= 10
    assert min(counts[each] for each in ("upsert", "patch", "delete", "drop", "declare")) >= 1
