"""When a service is full: by number, by bytes, and by requests that do not move."""

from contextlib import ExitStack

import pytest

from api.limits.in_flight import (
    ALWAYS,
    MAX_WORKING_BYTES,
    STANDING_S,
    Places,
    waiting_for_others,
)

MOST = 200


class FakeClock:
    """Seconds that a test lets pass."""

    def __init__(self) -> None:
        self.now = 1000.0

    def __call__(self) -> float:
        return self.now


@pytest.fixture
def clock() -> FakeClock:
    return FakeClock()


@pytest.fixture
def places(clock: FakeClock) -> Places:
    return Places(MOST, clock)


def _take(places: Places, held: ExitStack, count: int) -> None:
    for _ in range(count):
        held.enter_context(places.taken(0))


def test_a_burst_fits(places: Places) -> None:
    with ExitStack() as held:
        _take(places, held, MOST - 1)
        assert not places.are_taken()
        _take(places, held, 1)
        assert places.are_taken()
    assert not places.are_taken()


def test_requests_that_stand_let_no_more_in(places: Places, clock: FakeClock) -> None:
    with ExitStack() as held:
        _take(places, held, ALWAYS + 10)
        clock.now += STANDING_S + 0.1
        assert places.are_taken()
    assert not places.are_taken()


def test_few_that_stand_are_no_queue(places: Places, clock: FakeClock) -> None:
    with ExitStack() as held:
        _take(places, held, ALWAYS - 1)
        clock.now += 100 * STANDING_S
        assert not places.are_taken()


def test_some_slow_ones_among_many_that_move_harm_nobody(places: Places, clock: FakeClock) -> None:
    with ExitStack() as held:
        _take(places, held, ALWAYS // 2)
        clock.now += 10 * STANDING_S
        _take(places, held, ALWAYS)
        assert not places.are_taken()


def test_bodies_are_counted_together(places: Places) -> None:
    with places.taken(MAX_WORKING_BYTES // 2):
        assert not places.are_taken()
        with places.taken(MAX_WORKING_BYTES // 2):
            assert places.are_taken()
    assert not places.are_taken()


def test_waiting_for_slow_hosts_closes_the_service_for_nobody(
    places: Places, clock: FakeClock
) -> None:
    with ExitStack() as held:
        for _ in range(2 * ALWAYS):
            held.enter_context(places.taken(0))
            held.enter_context(waiting_for_others())
        clock.now += 10 * STANDING_S
        assert not places.are_taken()
        _take(places, held, ALWAYS)
        assert not places.are_taken()


def test_the_time_elsewhere_is_taken_off(places: Places, clock: FakeClock) -> None:
    with ExitStack() as held:
        with ExitStack() as elsewhere:
            for _ in range(2 * ALWAYS):
                held.enter_context(places.taken(0))
                for _ in range(2):  # two downloads of one request
                    elsewhere.enter_context(waiting_for_others())
            clock.now += 10 * STANDING_S
        assert not places.are_taken()
        clock.now += STANDING_S + 0.1
        assert places.are_taken()


def test_without_a_request_there_is_nothing_to_wait_for() -> None:
    with waiting_for_others():
        pass
