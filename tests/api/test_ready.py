"""When the service says that it is ready: with a table open that takes writes."""

import asyncio
from pathlib import Path
from types import SimpleNamespace
from typing import Any

from service import ImageSearch
from tests.store.support import opened, run


def test_it_is_ready_as_long_as_writes_go_through(tmp_path: Path) -> None:
    async def states() -> list[bool]:
        kind: Any = ImageSearch
        service = kind.inner.__new__(kind.inner)  # without the models, and without BentoML's start
        service._opening = asyncio.get_running_loop().create_future()
        seen = [service.__is_ready__()]
        async with opened(tmp_path) as index:
            service._opening.set_result(SimpleNamespace(index=index))
            seen.append(service.__is_ready__())
        return [*seen, service.__is_ready__()]

    assert run(states()) == [False, True, False]


def test_it_is_not_ready_where_the_table_could_not_be_opened() -> None:
    async def state() -> bool:
        kind: Any = ImageSearch
        service = kind.inner.__new__(kind.inner)
        service._opening = asyncio.get_running_loop().create_future()
        service._opening.set_exception(OSError("no table"))
        return bool(service.__is_ready__())

    assert asyncio.run(state()) is False
