"""What was planned before a fence is refused, although the versions that say why are gone."""

from collections.abc import Callable
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import lance
import pyarrow as pa
import pytest

from store.schemas import TableVersion
from store.table import versions
from store.table.faults import is_conflict
from store.table.fence import raise_fence
from store.table.versions import Superfluous, remove_versions
from store.upkeep.compaction import compact
from store.write.serial import delete_rows, write_rows
from tests.store.support import run

OLD = pa.table({"id": [f"i{n}" for n in range(4)]})
Late = Callable[[Any], object]


@pytest.mark.parametrize(
    "late",
    [
        lambda dataset: write_rows(dataset, OLD.slice(0, 1), ["i0"]),
        lambda dataset: delete_rows(dataset, "id = 'i1'"),
        lambda dataset: compact(dataset, 100),
    ],
)
@pytest.mark.parametrize("joined", [False, True])
def test_what_comes_from_before_a_fence_is_refused(
    tmp_path: Path, late: Late, joined: bool
) -> None:
    lance.write_dataset(OLD.slice(0, 2), tmp_path)
    lance.write_dataset(OLD.slice(2), tmp_path, mode="append")
    stood_still = lance.dataset(str(tmp_path))
    delete_rows(lance.dataset(str(tmp_path)), "id = 'i0'")
    if joined:  # so that none of the files are there any more that it knows
        compact(lance.dataset(str(tmp_path)), 100)
    before = lance.dataset(str(tmp_path))
    raise_fence(before)
    gone = range(stood_still.version + 1, before.version + 1)
    assert remove_versions(lance.dataset(str(tmp_path)), list(gone)) == len(gone)
    with pytest.raises(Exception) as refused:  # noqa: PT011 - Lance has one class for all
        late(stood_still)
    assert is_conflict(refused.value)
    assert lance.dataset(str(tmp_path)).to_table()["id"].to_pylist() == ["i1", "i2", "i3"]


def test_versions_of_a_slow_clock_stay_until_they_were_seen_for_long(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    long_ago = datetime.now(UTC) - timedelta(days=1)
    now, newest = 1000.0, 1

    async def listed(_: object) -> list[TableVersion]:
        return [TableVersion(n, long_ago, 1) for n in range(newest, 0, -1)]

    monkeypatch.setattr(versions, "list_versions", listed)
    monkeypatch.setattr("store.table.versions.time.monotonic", lambda: now)
    shared, own = (Superfluous(shared=each) for each in (True, False))
    table: Any = None
    seen = []
    for now, newest in ((1000, 5), (1060, 7), (1121, 9), (1180, 9), (1181, 9)):  # noqa: B007
        seen.append(run(shared.now(table, timedelta(0))))
    assert run(own.now(table, timedelta(0))) == list(range(8, 0, -1))
    assert seen == [[], [], [4, 3, 2, 1], [6, 5, 4, 3, 2, 1], [6, 5, 4, 3, 2, 1]]
