"""Machines that stand still for minutes, in the midst of a change, and then go on."""

import time
from collections.abc import Awaitable, Callable
from datetime import timedelta
from typing import Any

import pytest

from store.errors import StoreMovedError, StoreWriteError
from store.index import ImageIndex
from store.offline import turn as turns
from store.offline.turn import ReembedError, turn
from store.table.disk.location import Location
from store.table.lease import UPKEEP, Lease
from store.upkeep import tasks
from tests.store.offline.moving import NEW, FakeEmbedder, moved, opened_as
from tests.store.support import IDENTITY, image, run, url_of


def stands_still(index: ImageIndex, meanwhile: Callable[[], Awaitable[Any]]) -> None:
    """Has something happen between what the next commit is planned at and the commit."""
    committer = index._writer._committer
    write, first = committer._write, iter([meanwhile])

    async def late(*planned: Any) -> None:
        if (happens := next(first, None)) is not None:
            await happens()
        await write(*planned)

    committer._write = late  # type: ignore[method-assign, assignment]


def jump(monkeypatch: pytest.MonkeyPatch, seconds: float) -> None:
    """Has a watch show so much more."""
    watch = time.monotonic
    monkeypatch.setattr("store.table.lease.time.monotonic", lambda: watch() + seconds)


def test_versions_are_removed_behind_a_fence(uri: str, monkeypatch: pytest.MonkeyPatch) -> None:
    """What that is worth, tests/store/table/test_fence.py shows."""
    monkeypatch.setattr("store.table.versions.RECENT", timedelta(0))
    monkeypatch.setattr("store.upkeep.tasks.timedelta", lambda **_: timedelta(0))
    done: list[str] = []

    def noted(name: str) -> None:
        does = getattr(tasks, name)

        def noting(*given: Any, **more: Any) -> Any:
            done.append(name)
            return does(*given, **more)

        monkeypatch.setattr(tasks, name, noting)

    async def check() -> None:
        async with opened_as(uri, IDENTITY) as index:
            for n in range(3):
                await index.upsert(image(n))
            noted("raise_fence")
            noted("remove_versions")
            assert await index._upkeep._tasks.remove_old_versions()
            assert done == ["raise_fence", "remove_versions"]
            assert await index.count() == 3

    run(check())


def test_a_commit_that_took_minutes_is_not_acknowledged(
    uri: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    async def check() -> None:
        async with opened_as(uri, IDENTITY) as index:
            monkeypatch.setattr("store.write.serial.SURE_S", 0.0)
            with pytest.raises(StoreWriteError):
                await index.upsert(image(1))

    run(check())


def test_upkeep_ends_where_another_may_have_its_lease(
    uri: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    done = []

    async def task() -> list[str]:
        done.append(1)
        jump(monkeypatch, 61)
        return ["did it"]

    async def check() -> None:
        async with opened_as(uri, IDENTITY) as index:
            both = [("one", task), ("another", task)]
            monkeypatch.setattr(index._upkeep._tasks, "all", lambda *_, **__: both)
            report = await index.run_upkeep()
            assert report is not None
            assert (report.did, done) == (["did it"], [1])
            assert report.result.startswith("failed: another, and what follows")
            lease = Lease(index.opened.table, UPKEEP, 60)
            async with lease.held_if_free() as free:
                assert free == lease.is_ours() is True

    run(check())


def test_one_reembedding_at_a_time_and_none_that_stood_still(
    uri: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(turns, "_PATIENCE_S", 0.0)

    async def check() -> None:
        async with opened_as(uri, IDENTITY) as index:
            table, place = index.opened.table, Location(uri)
            async with turn(place, table) as first:
                first()
                with pytest.raises(ReembedError, match="another"):
                    async with turn(place, table):
                        pass
                jump(monkeypatch, 21)
                with pytest.raises(ReembedError, match="stood still"):
                    first()
            async with turn(place, table) as second:
                second()

    run(check())


def test_what_was_on_its_way_at_the_switch_to_another_model_is_refused(uri: str) -> None:
    async def check() -> None:
        async with opened_as(uri, IDENTITY) as index:
            await index.upsert(image(1))
            embed = FakeEmbedder()

            async def meanwhile() -> None:
                assert (await moved(uri, embed)).switched

            stands_still(index, meanwhile)
            with pytest.raises(StoreMovedError):
                await index.upsert(image(2))
            assert embed.urls == [url_of(1)]
        async with opened_as(uri, NEW) as index:
            assert await index.count() == 1

    run(check())
