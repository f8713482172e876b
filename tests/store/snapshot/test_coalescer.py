"""Request coalescing: concurrent calls share a read."""

import asyncio
from collections.abc import Sequence
from typing import Any, cast

import pytest

from store.snapshot.coalescer import BATCH, Coalescer
from store.snapshot.latest import Snapshots
from store.snapshot.snapshot import Snapshot
from tests.store.support import run


class Doubling:
    """Snapshots that are there once they may be; a read of one doubles numbers and refuses -1."""

    def __init__(self) -> None:
        self.may = asyncio.Event()
        self.asked: list[list[int]] = []

    async def latest(self) -> Any:
        await self.may.wait()

    def read(self, _: Snapshot, numbers: Sequence[int]) -> list[int]:
        self.asked.append(list(numbers))
        if -1 in numbers:
            raise ValueError("-1")
        return [2 * number for number in numbers]


def coalescer(doubling: Doubling) -> Coalescer[int, int]:
    return Coalescer(cast("Snapshots", doubling), doubling.read)


def test_calls_that_come_while_others_are_answered_share_a_read() -> None:
    async def check() -> None:
        doubling = Doubling()
        doubles = coalescer(doubling)
        first = asyncio.create_task(doubles.answer(0))
        await asyncio.sleep(0.01)
        rest = [asyncio.create_task(doubles.answer(n)) for n in range(1, BATCH + 3)]
        await asyncio.sleep(0.01)
        doubling.may.set()
        assert await asyncio.gather(first, *rest) == [2 * n for n in range(BATCH + 3)]
        assert [len(asked) for asked in doubling.asked] == [1, BATCH, 2]
        assert await doubles.answer(50) == 100

    run(check())


def test_a_failure_is_told_to_those_who_share_the_read_and_to_nobody_after() -> None:
    async def check() -> None:
        doubling = Doubling()
        doubling.may.set()
        doubles = coalescer(doubling)
        answers = await asyncio.gather(
            doubles.answer(12), doubles.answer(-1), return_exceptions=True
        )
        assert [type(answer) for answer in answers] == [ValueError, ValueError]
        assert await doubles.answer(14) == 28

    run(check())


def test_who_is_cancelled_takes_nothing_from_the_others() -> None:
    async def check() -> None:
        doubling = Doubling()
        doubles = coalescer(doubling)
        tasks = [asyncio.create_task(doubles.answer(n)) for n in range(3)]
        await asyncio.sleep(0.01)
        late = asyncio.create_task(doubles.answer(3))
        await asyncio.sleep(0.01)
        tasks[1].cancel()
        late.cancel()
        doubling.may.set()
        assert list(await asyncio.gather(tasks[0], tasks[2])) == [0, 4]
        with pytest.raises(asyncio.CancelledError):
            await late
        assert doubling.asked == [[0, 1, 2]]

    run(check())
