"""A worker that cannot write any more ends."""

import asyncio
from typing import Any

import pytest

from api.pipeline import backend


class EndedError(Exception):
    """Stands for the end of the process."""


class FakeIndex:
    """Gets stuck when it is told to."""

    def __init__(self) -> None:
        self.stuck = asyncio.Event()

    async def ended(self) -> None:
        await self.stuck.wait()


def test_a_worker_ends_once_its_index_is_stuck(monkeypatch: pytest.MonkeyPatch) -> None:
    def end(status: int) -> None:
        raise EndedError(status)

    monkeypatch.setattr("os._exit", end)
    monkeypatch.setattr(backend, "ANSWER_S", 0.0)

    async def check() -> None:
        index: Any = FakeIndex()
        watching = asyncio.create_task(backend.end_when_stuck(index))
        await asyncio.sleep(0.05)
        assert not watching.done()
        index.stuck.set()
        with pytest.raises(EndedError, match="1"):
            await watching

    asyncio.run(check())
