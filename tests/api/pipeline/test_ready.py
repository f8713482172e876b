"""When the service says that it is ready: with a table open that takes writes, and both models."""

import asyncio
from collections.abc import Awaitable, Callable
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import aiohttp
import pytest

from service import ImageSearch
from tests.store.support import opened, run


async def yes() -> bool:
    return True


async def no() -> bool:
    return False


async def gone() -> bool:
    raise aiohttp.ClientConnectionError("no worker")


async def silent() -> bool:
    await asyncio.Event().wait()
    return True


def without_server(embedder: Callable[[], Awaitable[bool]] = yes) -> Any:
    """The service without BentoML's start, and with models that answer as a test wants."""
    kind: Any = ImageSearch
    service = kind.inner.__new__(kind.inner)
    service._opening = asyncio.get_running_loop().create_future()
    service.embedder = SimpleNamespace(is_ready=embedder)
    service.detector = SimpleNamespace(is_ready=yes)
    return service


def test_it_is_ready_as_long_as_writes_go_through(tmp_path: Path) -> None:
    async def states() -> list[bool]:
        service = without_server()
        seen = [await service.__is_ready__()]
        async with opened(tmp_path) as index:
            service._opening.set_result(SimpleNamespace(index=index))
            seen.append(await service.__is_ready__())
        return [*seen, await service.__is_ready__()]

    assert run(states()) == [False, True, False]


def test_it_is_not_ready_where_the_table_could_not_be_opened() -> None:
    async def state() -> bool:
        service = without_server()
        service._opening.set_exception(OSError("no table"))
        return bool(await service.__is_ready__())

    assert asyncio.run(state()) is False


@pytest.mark.parametrize("embedder", [no, gone, silent])
def test_it_is_not_ready_without_a_model(
    embedder: Callable[[], Awaitable[bool]], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("api.pipeline.models._READY_S", 0.05)

    async def state() -> bool:
        service = without_server(embedder)
        service._opening.set_result(SimpleNamespace(index=SimpleNamespace(healthy=True)))
        return bool(await service.__is_ready__())

    assert asyncio.run(state()) is False
