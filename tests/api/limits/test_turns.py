"""Bulk work of one request between the work of others: few items at a time, and never starved."""

import asyncio
from collections.abc import Callable, Coroutine, Sequence
from contextlib import ExitStack
from typing import Any

import numpy as np
import pytest
from numpy.typing import NDArray

from api.limits import turns
from api.limits.in_flight import InFlight, give_way, in_turns, waiting_for_others
from api.limits.turns import FEW

ITEMS, MOST = 12, 5


class Bulk:
    """Bulk work of a request that gives way; notes how many items each turn had."""

    def __init__(self, in_flight: InFlight) -> None:
        self.sizes: list[int] = []
        self._in_flight = in_flight

    async def __call__(self) -> list[int]:
        with self._in_flight.entered(0):
            give_way()
            return await in_turns(range(ITEMS), MOST, self._work)

    async def _work(self, items: Sequence[int]) -> NDArray[np.int64]:
        self.sizes.append(len(items))
        await asyncio.sleep(0)
        return 2 * np.array(items)


DONE = [2 * item for item in range(ITEMS)]


def run(test: Callable[[InFlight], Coroutine[Any, Any, None]]) -> None:
    async def of_one_service() -> None:
        await test(InFlight(200))

    asyncio.run(of_one_service())


def test_alone_it_takes_as_many_as_there_may_be() -> None:
    async def test(in_flight: InFlight) -> None:
        bulk = Bulk(in_flight)
        assert await bulk() == DONE
        assert bulk.sizes == [5, 5, 2]

    run(test)


def test_where_others_come_and_go_it_takes_few() -> None:
    async def test(in_flight: InFlight) -> None:
        with in_flight.entered(0):
            pass
        bulk = Bulk(in_flight)
        assert await bulk() == DONE
        assert set(bulk.sizes) == {FEW}

    run(test)


def test_it_waits_while_another_request_is_at_work(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(turns, "PATIENCE_S", 60.0)

    async def test(in_flight: InFlight) -> None:
        with ExitStack() as other:
            other.enter_context(in_flight.entered(0))
            bulk = Bulk(in_flight)
            task = asyncio.create_task(bulk())
            for _ in range(100):
                await asyncio.sleep(0)
            assert not bulk.sizes
            other.close()
            assert await task == DONE
        assert set(bulk.sizes) == {FEW}

    run(test)


def test_it_is_not_starved_by_others_that_are_always_there(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(turns, "PATIENCE_S", 0.001)

    async def test(in_flight: InFlight) -> None:
        with in_flight.entered(0):
            bulk = Bulk(in_flight)
            assert await asyncio.create_task(bulk()) == DONE
        assert bulk.sizes == [5, 5, 2]

    run(test)


def test_it_waits_for_none_that_waits_for_a_slow_host(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(turns, "PATIENCE_S", 60.0)

    async def test(in_flight: InFlight) -> None:
        with in_flight.entered(0), waiting_for_others():
            assert await asyncio.create_task(Bulk(in_flight)()) == DONE

    run(test)


def test_two_that_give_way_do_not_wait_for_each_other(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(turns, "PATIENCE_S", 60.0)

    async def test(in_flight: InFlight) -> None:
        both = Bulk(in_flight), Bulk(in_flight)
        assert await asyncio.gather(*(one() for one in both)) == [DONE, DONE]
        assert [one.sizes for one in both] == [[5, 5, 2]] * 2

    run(test)


def test_a_request_that_does_not_give_way_works_at_once() -> None:
    sizes: list[int] = []

    async def work(items: Sequence[int]) -> Sequence[int]:
        sizes.append(len(items))
        return items

    async def test(in_flight: InFlight) -> None:
        with in_flight.entered(0):
            assert await in_turns(range(ITEMS), MOST, work) == list(range(ITEMS))
        assert await in_turns(range(ITEMS), MOST, work) == list(range(ITEMS))

    run(test)
    assert sizes == [ITEMS, ITEMS]
