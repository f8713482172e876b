"""When a service is full: by number, by bytes, and by the age of its requests."""

from contextlib import ExitStack

import pytest

from api.limits.in_flight import (
    ALWAYS,
    MAX_BODY_BYTES,
    SATURATED_S,
    InFlight,
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
def clock(monkeypatch: pytest.MonkeyPatch) -> FakeClock:
    clock = FakeClock()
    monkeypatch.setattr("api.limits.in_flight.monotonic", clock)
    return clock


@pytest.fixture
def in_flight(clock: FakeClock) -> InFlight:
    return InFlight(MOST)


def _enter(in_flight: InFlight, held: ExitStack, count: int) -> None:
    for _ in range(count):
        held.enter_context(in_flight.entered(0))


def test_a_burst_fits(in_flight: InFlight) -> None:
    with ExitStack() as held:
        _enter(in_flight, held, MOST - 1)
        assert not in_flight.is_full()
        _enter(in_flight, held, 1)
        assert in_flight.is_full()
    assert not in_flight.is_full()


def test_old_requests_let_no_more_in(in_flight: InFlight, clock: FakeClock) -> None:
    with ExitStack() as held:
        _enter(in_flight, held, ALWAYS + 10)
        clock.now += SATURATED_S + 0.1
        assert in_flight.is_full()
    assert not in_flight.is_full()


def test_few_old_ones_are_no_queue(in_flight: InFlight, clock: FakeClock) -> None:
    with ExitStack() as held:
        _enter(in_flight, held, ALWAYS - 1)
        clock.now += 100 * SATURATED_S
        assert not in_flight.is_full()


def test_some_slow_ones_among_many_that_move_do_no_harm(
    in_flight: InFlight, clock: FakeClock
) -> None:
    with ExitStack() as held:
        _enter(in_flight, held, ALWAYS // 2)
        clock.now += 10 * SATURATED_S
        _enter(in_flight, held, ALWAYS)
        assert not in_flight.is_full()


def test_what_has_left_is_not_counted_twice(in_flight: InFlight) -> None:
    with in_flight.entered(MAX_BODY_BYTES) as leave:
        assert in_flight.is_full()
        leave()
        assert not in_flight.is_full()
        with in_flight.entered(MAX_BODY_BYTES):
            leave()
            assert in_flight.is_full()
    assert not in_flight.is_full()


def test_bodies_are_counted_together(in_flight: InFlight) -> None:
    with in_flight.entered(MAX_BODY_BYTES // 2):
        assert not in_flight.is_full()
        with in_flight.entered(MAX_BODY_BYTES // 2):
            assert in_flight.is_full()
    assert not in_flight.is_full()


def test_waiting_for_slow_hosts_closes_the_service_for_nobody(
    in_flight: InFlight, clock: FakeClock
) -> None:
    with ExitStack() as held:
        for _ in range(2 * ALWAYS):
            held.enter_context(in_flight.entered(0))
            held.enter_context(waiting_for_others())
        clock.now += 10 * SATURATED_S
        assert not in_flight.is_full()
        _enter(in_flight, held, ALWAYS)
        assert not in_flight.is_full()


def test_the_time_elsewhere_is_taken_off(in_flight: InFlight, clock: FakeClock) -> None:
    with ExitStack() as held:
        with ExitStack() as elsewhere:
            for _ in range(2 * ALWAYS):
                held.enter_context(in_flight.entered(0))
                for _ in range(2):  # two downloads of one request
                    elsewhere.enter_context(waiting_for_others())
            clock.now += 10 * SATURATED_S
        assert not in_flight.is_full()
        clock.now += SATURATED_S + 0.1
        assert in_flight.is_full()


def test_without_a_request_there_is_nothing_to_wait_for() -> None:
    with waiting_for_others():
        pass
