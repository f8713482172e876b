"""The budget: never exceeded, nobody overtaken, nothing lost when a request is cancelled."""

import asyncio

from api.limits.memory import MemoryBudget
from api.telemetry.metrics import DECODE_MEMORY, MEMORY_QUEUE


def budget_of(size_bytes: int) -> MemoryBudget:
    return MemoryBudget(size_bytes, DECODE_MEMORY, MEMORY_QUEUE)


def test_the_budget_is_kept_and_large_pictures_get_in() -> None:
    held = most = 0
    order: list[int] = []

    async def use(budget: MemoryBudget, wanted: int) -> None:
        nonlocal held, most
        async with budget.held(wanted):
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
        async with budget.held(10):
            waiting = [asyncio.create_task(_hold(budget)) for _ in range(3)]
            await asyncio.sleep(0.01)
            for task in waiting:
                task.cancel()
            await asyncio.gather(*waiting, return_exceptions=True)
        async with asyncio.timeout(1), budget.held(10):
            pass

    asyncio.run(run())


async def _hold(budget: MemoryBudget) -> None:
    async with budget.held(5):
        await asyncio.sleep(10)


def test_room_stays_held_until_the_last_user_has_left_it() -> None:
    async def run() -> None:
        budget = budget_of(10)
        async with budget.held(8) as room:
            longer = room.used()
            longer.__enter__()
            with room.used():
                pass
            assert budget.free_bytes == 2
        assert budget.free_bytes == 2
        longer.__exit__(None, None, None)
        assert budget.free_bytes == 10

    asyncio.run(run())


def test_what_is_shrunk_is_free_again_and_given_back_once() -> None:
    async def run() -> None:
        budget = budget_of(10)
        async with budget.held(10) as room:
            room.shrink(4)
            async with asyncio.timeout(1), budget.held(6):
                assert budget.free_bytes == 0
            room.shrink(7)
            assert budget.free_bytes == 6
            room.shrink(-1)
            assert budget.free_bytes == 10
        assert budget.free_bytes == 10

    asyncio.run(run())
