"""Every row of the corpus against one running service, and what that service is like afterwards.

The rows of a table are asked at once, so a slow one costs no more than itself; each is a test of
its own. `pytest tests/guard -k "names and public"` judges a few.
"""

import re
from ipaddress import ip_address

import pytest

from tests.guard.case import UNREACHABLE, Case
from tests.guard.conftest import Ask
from tests.guard.judge import complaints
from tests.guard.oracle.oracle import Verdict, verdict
from tests.guard.stage.site import SERVICE_PORTS
from tests.guard.stage.stage import Stage
from tests.guard.tables import TABLES

ROWS = [(table, case) for table, cases in TABLES.items() for case in cases]
WITHIN_S = 30  # far above the 4 seconds of a download: two noisy cores answer 32 requests at once
GROWTH_BYTES = 300 << 20  # 31 MiB were measured
ALLOWED = re.compile(r"10\.20\.|fd12:3456:|192\.168\.5\.5$")


def names(rows: list[tuple[str, Case]]) -> list[str]:
    return [f"{table}: {case.title!r:.80}" for table, case in rows]


def test_the_corpus_is_large_and_its_rows_have_names() -> None:
    assert len(ROWS) >= 200
    for cases in TABLES.values():
        titles = [case.title for case in cases]
        assert sorted(titles) == sorted(set(titles))


@pytest.mark.parametrize(("table", "case"), ROWS, ids=names(ROWS))
def test_row(table: str, case: Case, asked: Ask) -> None:
    outcome = asked(table).outcomes.get(case.title)
    if outcome is None:
        pytest.skip("needs an internet in a box: the right to make namespaces")
    wrong = complaints(case, outcome, WITHIN_S)
    assert not wrong, f"{'; '.join(wrong)} ({outcome.status} {outcome.text[:300]})"


@pytest.mark.parametrize("table", TABLES)
def test_the_service_is_as_it_was(table: str, stage: Stage, asked: Ask) -> None:
    """The same processes, memory that stays in bounds, and nothing where nothing may be."""
    kind = asked(table)
    before, after = kind.workers
    assert before == after
    assert all(len(pids) == 1 for pids in after.values()), after
    assert kind.watch.highest - kind.watch.before < GROWTH_BYTES, kind.watch.megabytes
    own = stage.host().rpartition(":")[0]  # on loopback where there is no box
    assert [one for one in kind.dialled if one[0] != own and not _may_be_dialled(*one)] == []


def _may_be_dialled(address: str, port: int) -> bool:
    if port in SERVICE_PORTS:
        return False
    return verdict(ip_address(address)) is not Verdict.FORBIDDEN or bool(ALLOWED.match(address))


def test_all_that_cannot_be_reached_is_answered_alike(asked: Ask) -> None:
    """Whether it is blocked, unknown, silent or refused: to the byte the same answer."""
    answers = {
        outcome.text
        for table, case in ROWS
        if case.expected == UNREACHABLE
        and (outcome := asked(table).outcomes.get(case.title)) is not None
    }
    assert len(answers) == 1


def test_the_heartbeat_beats(stage: Stage) -> None:
    beat = stage.ask(Case("heartbeat", UNREACHABLE, path="heartbeat", method="GET", headers={}))
    assert (beat.status, beat.document) == (200, {"message": "Api is running"})
