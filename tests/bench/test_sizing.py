"""The simulation of many machines with one table agrees with what can be computed by hand."""

import pytest

from bench.sizing.machines import bound
from bench.sizing.simulation import Costs, simulated

QUICK = Costs(add_s=0.05, search_s=0.04, cores=2, request_s=0.001, clients=16)
SLOW = Costs(add_s=0.001, search_s=0.001, cores=2, request_s=0.1, clients=16, rows=8)


def test_one_machine_near_its_store_is_bound_by_its_processors() -> None:
    told = simulated(1, QUICK, 1.0, seconds=20, before=5)
    assert len(told.add_s) / 20 == pytest.approx(2 / 0.05, rel=0.03)
    assert told.lost == 0
    assert bound(told, told.busy_s / 40) == "processors"


def test_searches_grow_with_the_machines_and_ask_the_store_once_each() -> None:
    told = simulated(4, QUICK, 0.0, seconds=10, before=2)
    assert told.searches / 10 == pytest.approx(4 * 2 / 0.04, rel=0.03)
    assert told.requests["list"] == pytest.approx(told.searches, rel=0.03)
    assert told.requests["write"] == 0


def test_one_writer_commits_by_six_requests_each_with_as_many_rows_as_it_may() -> None:
    told = simulated(1, SLOW, 1.0, seconds=60, before=10)
    assert told.commits / 60 == pytest.approx(1 / (6 * 0.1 + 0.05), rel=0.05)
    assert len(told.add_s) == pytest.approx(8 * told.commits, rel=0.05)
    assert bound(told, 0.1) == "commits"


def test_more_writers_make_no_more_commits_and_none_of_them_starves() -> None:
    one, many = (simulated(n, SLOW, 1.0, seconds=60, before=10) for n in (1, 8))
    assert 0.4 * one.commits < many.commits <= 1.05 * one.commits
    assert many.lost > many.commits / 2
    assert max(many.add_s) < 60
