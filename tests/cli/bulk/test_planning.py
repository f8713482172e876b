"""Plans: every row in one shard, and what failed in shards of its own when it is tried again."""

from datetime import UTC, datetime
from pathlib import Path

import pytest

from cli.bulk.plan import BulkError, Plan, State
from cli.bulk.planning import given_of, make_plan, read_rows, with_retries
from image_search.cli.tables.rows import Row, Source

BEGIN = Plan("run", {}, ("model", "weights", 4), None, datetime(2026, 1, 1, tzinfo=UTC), 4)


def _row(number: int) -> Row:
    return Row(
        number + 1, f"https://example.org/{number}.jpg", {"number": number, "name": "\ud800"}
    )


def _planned(folder: Path, count: int) -> tuple[State, Plan]:
    state = State(folder)
    folder.mkdir()
    return state, make_plan(state, Source(map(_row, range(count)), count), BEGIN, lambda _: None)


def test_each_row_is_in_one_shard(tmp_path: Path) -> None:
    state, plan = _planned(tmp_path / "state", 10)
    assert (plan.rows, plan.shards) == (10, 3)
    rows = [one for shard in range(plan.shards) for one in read_rows(state, shard)]
    assert rows == [(number, _row(number)) for number in range(10)]
    assert state.plan() == plan


def test_what_failed_is_tried_again_in_shards_of_its_own(tmp_path: Path) -> None:
    state, plan = _planned(tmp_path / "state", 10)
    for shard, stage in ((0, "staged"), (2, "done")):
        [(number, row), *_] = read_rows(state, shard)
        failed = {"number": number, "given": given_of(row), "failure": {}}
        state.set_mark(shard, stage, {"failures": [failed]})  # type: ignore[arg-type]
    assert state.having("staged") == {0}
    state.set_mark(0, "done", {"failures": []})
    # What fails in the shard that is left is to be tried again, too.
    assert with_retries(state, plan) == plan
    state.set_mark(1, "done", {"failures": []})
    again = with_retries(state, plan)
    assert (again.shards, again.retried, again.rows) == (4, 3, 10)
    assert list(read_rows(state, 3)) == [(0, _row(0)), (8, _row(8))]
    assert list(state.failures(again)) == []
    assert with_retries(state, again) == again


def test_two_runs_do_not_share_a_folder(tmp_path: Path) -> None:
    state = State(tmp_path / "state")
    with state.locked(), pytest.raises(BulkError, match="another"):
        state.locked()


def test_a_folder_of_something_else_is_named(tmp_path: Path) -> None:
    (tmp_path / "plan.json").write_text('{"rows": 3}')
    with pytest.raises(BulkError, match=r"plan\.json"):
        State(tmp_path).plan()
