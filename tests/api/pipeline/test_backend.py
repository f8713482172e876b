"""A worker that cannot write any more ends; what is no embedding is an error of its own."""

import asyncio
from typing import Any

import numpy as np
import pytest

from api.errors import ModelUnavailableError
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


def test_a_row_of_nan_is_no_embedding() -> None:
    assert backend._embedding([0.6, 0.8]).dtype == np.float32
    with pytest.raises(ModelUnavailableError):
        backend._embedding(np.array([np.nan, 0.8]))
