"""Questions answered together: each gets its own answer, or the failure of all."""

import asyncio
from collections.abc import Sequence

import pytest

from store.snapshot.coalesce import AT_ONCE, Together
from tests.store.support import run


class Doubling:
    """Doubles numbers once it may; refuses -1."""

    def __init__(self) -> None:
        self.may = asyncio.Event()
        self.asked: list[list[int]] = []

    async def __call__(self, numbers: Sequence[int]) -> list[int]:
        self.asked.append(list(numbers))
        await self.may.wait()
        if -1 in numbers:
            raise ValueError("-1")
        return [2 * number for number in numbers]


def test_what_comes_while_others_are_answered_is_answered_by_one() -> None:
    async def check() -> None:
        doubling = Doubling()
        together = Together(doubling)
        first = asyncio.create_task(together.ask(0))
        await asyncio.sleep(0.01)
        rest = [asyncio.create_task(together.ask(n)) for n in range(1, AT_ONCE + 3)]
        await asyncio.sleep(0.01)
        assert doubling.asked == [[0]]
        doubling.may.set()
        assert await asyncio.gather(first, *rest) == [2 * n for n in range(AT_ONCE + 3)]
        assert [len(asked) for asked in doubling.asked] == [1, AT_ONCE, 2]
        assert await together.ask(50) == 100

    run(check())


def test_a_failure_is_told_to_those_who_asked_and_to_nobody_after() -> None:
    async def check() -> None:
        doubling = Doubling()
        doubling.may.set()
        together = Together(doubling)
        answers = await asyncio.gather(together.ask(12), together.ask(-1), return_exceptions=True)
        assert [type(answer) for answer in answers] == [ValueError, ValueError]
        assert await together.ask(14) == 28

    run(check())


def test_who_is_cancelled_takes_nothing_from_the_others() -> None:
    async def check() -> None:
        doubling = Doubling()
        together = Together(doubling)
        tasks = [asyncio.create_task(together.ask(n)) for n in range(3)]
        await asyncio.sleep(0.01)
        late = asyncio.create_task(together.ask(3))
        await asyncio.sleep(0.01)
        tasks[1].cancel()
        late.cancel()
        doubling.may.set()
        assert list(await asyncio.gather(tasks[0], tasks[2])) == [0, 4]
        with pytest.raises(asyncio.CancelledError):
            await late
        assert doubling.asked == [[0, 1, 2]]

    run(check())
