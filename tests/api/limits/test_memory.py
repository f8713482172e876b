"""The budget: never exceeded, nobody overtaken, nothing lost when a request is cancelled."""

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

from api.limits.memory import MemoryBudget, Reservation
from api.telemetry.metrics import DECODE_MEMORY, MEMORY_QUEUE


@asynccontextmanager
async def reserved(budget: MemoryBudget, size_bytes: int) -> AsyncIterator[Reservation]:
    reservation = await budget.reserve(size_bytes)
    with reservation.pin():
        yield reservation


def budget_of(size_bytes: int) -> MemoryBudget:
    return MemoryBudget(size_bytes, DECODE_MEMORY, MEMORY_QUEUE)


def test_the_budget_is_kept_and_large_pictures_get_in() -> None:
    held = most = 0
    order: list[int] = []

    async def use(budget: MemoryBudget, wanted: int) -> None:
        nonlocal held, most
        async with reserved(budget, wanted):
            order.append(wanted)
            held += min(wanted, 100)
            most = max(most, held)
            await asyncio.sleep(0.001)
            held -= min(wanted, 100)

    async def storm() -> None:
        budget = budget_of(100)
        await asyncio.gather(*[use(budget, wanted) for wanted in [30] * 20 + [90, 500] + [1] * 20])

    asyncio.run(storm())
    assert most <= 100
    assert order.index(90) < order.index(500) < order.index(1)


def test_a_cancelled_wait_takes_nothing() -> None:
    async def run() -> None:
        budget = budget_of(10)
        async with reserved(budget, 10):
            waiting = [asyncio.create_task(_hold(budget)) for _ in range(3)]
            await asyncio.sleep(0.01)
            for task in waiting:
                task.cancel()
            await asyncio.gather(*waiting, return_exceptions=True)
        async with asyncio.timeout(1), reserved(budget, 10):
            pass

    asyncio.run(run())


async def _hold(budget: MemoryBudget) -> None:
    async with reserved(budget, 5):
        await asyncio.sleep(10)


def test_memory_stays_reserved_until_the_last_pin_is_out() -> None:
    async def run() -> None:
        budget = budget_of(10)
        async with reserved(budget, 8) as reservation:
            longer = reservation.pin()
            longer.__enter__()
            with reservation.pin():
                pass
            assert budget.free_bytes == 2
        assert budget.free_bytes == 2
        longer.__exit__(None, None, None)
        assert budget.free_bytes == 10

    asyncio.run(run())


def test_what_is_shrunk_is_free_again_and_given_back_once() -> None:
    async def run() -> None:
        budget = budget_of(10)
        async with reserved(budget, 10) as reservation:
            reservation.shrink(4)
            async with asyncio.timeout(1), reserved(budget, 6):
                assert budget.free_bytes == 0
            reservation.shrink(7)
            assert budget.free_bytes == 6
            reservation.shrink(-1)
            assert budget.free_bytes == 10
        assert budget.free_bytes == 10

    asyncio.run(run())
