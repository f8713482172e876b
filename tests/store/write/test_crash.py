"""kill -9 of a writing process: what was acknowledged is there, and nothing twice."""

import subprocess
import sys
from pathlib import Path

from store.schemas import Hit, SearchQuery, image_id
from tests.store.support import opened, run, url_of
from tests.store.write.writing import metadata_of

ROUNDS = 2
ACKNOWLEDGED_BEFORE_KILL = 150
CLIENTS = 8


def test_a_killed_process_loses_nothing_it_acknowledged(tmp_path: Path) -> None:
    acknowledged: dict[int, int] = {}
    for turn in range(ROUNDS):
        acknowledged.update(_write_until_killed(tmp_path, turn))
    assert len(acknowledged) >= ACKNOWLEDGED_BEFORE_KILL

    async def check() -> None:
        async with opened(tmp_path) as index:
            hits: list[Hit] = []
            while page := await index.search(SearchQuery(limit=1000, offset=len(hits))):
                hits += page
            by_id = {hit.id: hit.metadata for hit in hits}
            assert len(by_id) == len(hits) == await index.count()
            for n, turn in acknowledged.items():
                stored = by_id[image_id(url_of(n))]
                assert isinstance(stored, dict)
                # A later round may have replaced the row without living to say so.
                assert stored["turn"] >= turn
                assert stored == metadata_of(n, stored["turn"])

    run(check())


def _write_until_killed(folder: Path, turn: int) -> dict[int, int]:
    command = [
        sys.executable,
        "-m",
        "tests.store.write.writing",
        str(folder),
        str(turn),
        str(CLIENTS),
    ]
    with subprocess.Popen(command, stdout=subprocess.PIPE, text=True) as process:
        assert process.stdout is not None
        lines = [process.stdout.readline() for _ in range(ACKNOWLEDGED_BEFORE_KILL)]
        process.kill()
        lines += process.stdout.readlines()
    assert process.returncode == -9
    return {int(line): turn for line in lines if line.endswith("\n")}
