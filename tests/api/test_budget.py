"""The pixel budget: never exceeded, nobody overtaken, nothing lost when a request is cancelled."""

import asyncio

from api.budget import PixelBudget


def test_the_budget_is_kept_and_large_pictures_get_in() -> None:
    held = most = 0
    order: list[int] = []

    async def use(budget: PixelBudget, pixels: int) -> None:
        nonlocal held, most
        async with budget.held(pixels):
            order.append(pixels)
            held += min(pixels, 100)
            most = max(most, held)
            await asyncio.sleep(0.001)
            held -= min(pixels, 100)

    async def storm() -> None:
        budget = PixelBudget(100)
        await asyncio.gather(*[use(budget, pixels) for pixels in [30] * 20 + [90, 500] + [1] * 20])

    asyncio.run(storm())
    assert most <= 100
    assert order.index(90) < order.index(500) < order.index(1)


def test_a_cancelled_wait_takes_nothing() -> None:
    async def run() -> None:
        budget = PixelBudget(10)
        async with budget.held(10):
            waiting = [asyncio.create_task(_hold(budget)) for _ in range(3)]
            await asyncio.sleep(0.01)
            for task in waiting:
                task.cancel()
            await asyncio.gather(*waiting, return_exceptions=True)
        async with asyncio.timeout(1), budget.held(10):
            pass

    asyncio.run(run())


async def _hold(budget: PixelBudget) -> None:
    async with budget.held(5):
        await asyncio.sleep(10)
