"""Large answers: few at a time, and their memory is free when they are gone."""

import asyncio

import pytest
from starlette.responses import Response

from api.errors import OverloadedError
from api.limits.answers import MAX_WAITING, SMALL_ROWS, LargeAnswers
from api.limits.slow_readers import SlowReaders

MANY = 1000
AT_ONCE = 2
HEAVY_BYTES = 256 << 20


def test_large_answers_take_turns_and_small_ones_wait_for_nobody() -> None:
    made: list[int] = []

    async def run() -> None:
        answers = LargeAnswers(SlowReaders())
        release = asyncio.Event()

        async def slow() -> Response:
            made.append(MANY)
            await release.wait()
            return Response(b"x")

        async def quick() -> Response:
            made.append(SMALL_ROWS)
            return Response(b"x")

        large = [asyncio.create_task(answers.of_rows(MANY, slow)) for _ in range(8)]
        await asyncio.sleep(0.01)
        await answers.of_rows(SMALL_ROWS, quick)
        assert made == [MANY] * AT_ONCE + [SMALL_ROWS]
        release.set()
        await asyncio.gather(*large)

    asyncio.run(run())
    assert made.count(MANY) == 8


def test_an_answer_holds_its_body_until_it_is_gone() -> None:
    async def run() -> None:
        answers = LargeAnswers(SlowReaders())

        async def heavy() -> Response:
            return Response(bytes(200 << 20))

        kept = [await answers.of_bytes(HEAVY_BYTES, heavy) for _ in range(2)]
        third = asyncio.create_task(answers.of_bytes(HEAVY_BYTES, heavy))
        await asyncio.sleep(0.01)
        assert not third.done()
        kept.clear()
        assert len((await third).body) == 200 << 20

    asyncio.run(run())


def test_few_answers_wait_for_memory_and_it_is_known_how_much_they_lack() -> None:
    async def run() -> None:
        readers = SlowReaders()
        answers = LargeAnswers(readers)

        async def heavy() -> Response:
            return Response(bytes(200 << 20))

        kept = [await answers.of_bytes(HEAVY_BYTES, heavy) for _ in range(2)]
        waiting = [
            asyncio.create_task(answers.of_bytes(HEAVY_BYTES, heavy)) for _ in range(MAX_WAITING)
        ]
        await asyncio.sleep(0.01)
        assert readers.missing_bytes() == MAX_WAITING * HEAVY_BYTES - (512 - 2 * 200 << 20)
        with pytest.raises(OverloadedError):
            await answers.of_bytes(1, heavy)
        for task in waiting:
            task.cancel()
        await asyncio.gather(*waiting, return_exceptions=True)
        kept.clear()
        assert readers.missing_bytes() == 0

    asyncio.run(run())


def test_what_fails_gives_its_room_back() -> None:
    async def run() -> None:
        answers = LargeAnswers(SlowReaders())

        async def failing() -> Response:
            raise LookupError

        for _ in range(8):
            with pytest.raises(LookupError):
                await answers.of_rows(MANY, failing)

    asyncio.run(run())
