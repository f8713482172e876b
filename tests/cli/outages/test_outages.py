"""A small one of `python -m tests.cli.outages`."""

from pathlib import Path

from tests.cli.outages.__main__ import check


def test_an_import_survives_its_host_and_its_service(tmp_path: Path) -> None:
    done = check(150, tmp_path)
    assert done.wrong == [], "\n".join(done.report)
