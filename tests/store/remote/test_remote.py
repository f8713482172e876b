"""The table in an object store, with several writers: every promise that a folder keeps."""

import asyncio
from collections.abc import AsyncIterator, Awaitable
from contextlib import AsyncExitStack, asynccontextmanager
from dataclasses import replace
from typing import Any

import pytest

from store import index as index_module
from store.errors import StoreOpenError
from store.index import ImageIndex
from store.schemas import Detector, SearchQuery
from store.settings import StoreSettings
from store.table.connection import in_dataset
from store.table.lease import WRITERS_WAIT, Lease, Watch
from store.write.serial import FEW
from tests.store.objects.objects import DETECTOR, showing
from tests.store.remote.races import RACES, OpenWriter, race
from tests.store.remote.server import S3Server
from tests.store.support import IDENTITY, image, run, vector


@asynccontextmanager
async def writers(
    uri: str, number: int, detector: Detector | None = None
) -> AsyncIterator[list[ImageIndex]]:
    async with AsyncExitStack() as stack:
        settings, indexes = StoreSettings(store_uri=uri), []
        for _ in range(number):
            opened = await ImageIndex.open(settings, IDENTITY, detector=detector)
            stack.push_async_callback(opened.close)
            indexes.append(opened)
        yield indexes


def test_racing_writers_keep_every_promise(uri: str) -> None:
    async def check() -> list[str]:
        async with writers(uri, 3) as indexes:
            racing = [OpenWriter(each) for each in indexes]
            faults = [await race(number, racing, None) for number in range(len(RACES))]
            faults += [await race(9, racing[:2], racing[2])]
            assert sum(each.stats().conflicts for each in indexes) > 0
            return [each for some in faults for each in some]

    assert run(check()) == []


def test_machines_that_start_at_once_make_one_table(uri: str) -> None:
    async def check() -> None:
        settings = StoreSettings(store_uri=uri)

        async def added(n: int) -> ImageIndex:
            while True:
                try:
                    index = await ImageIndex.open(settings, IDENTITY, detector=DETECTOR)
                except StoreOpenError:  # as on a busy machine; a service tries again, too
                    continue
                await index.upsert(showing(n, "dog"))
                return index

        indexes = await asyncio.gather(*map(added, range(5)))
        assert await indexes[0].count() == 5
        for name in ("images", "objects"):
            table = await indexes[0].opened.connection.open_table(name)
            made = await in_dataset(table, _operations)
            assert made.count("Overwrite") == 1, made
        for index in indexes:
            await index.close()

    run(check())


def _operations(dataset: Any) -> list[str]:
    done = (dataset.read_transaction(version) for version in range(1, dataset.version + 1))
    return [type(each.operation).__name__ for each in done if each is not None]


def test_an_operation_takes_few_requests(
    s3: S3Server, uri: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    """As many as docs/object-store.md tells."""
    monkeypatch.setattr("store.upkeep.scheduler.REST_S", 600)  # upkeep asks, too

    async def check() -> None:
        async with writers(uri, 1) as [index]:

            async def took(doing: Awaitable[Any]) -> int:
                s3.requests()
                await doing
                return s3.requests().total()

            asked = SearchQuery(vector=vector(1), limit=3)
            for n in range(9):
                await index.upsert(image(n, {"a": n}))
            assert await took(index.upsert(image(9, {"a": 9}))) <= 6
            assert await took(index.find(asked)) <= 3
            assert await took(index.find(asked)) <= 1
            assert await took(index.get(image(0).id)) <= 1
            shown = replace(image(10, {"a": 10}), pixels="1" * 64, thumbnail=b"small")
            assert await took(index.upsert(shown)) <= 7
            assert await took(index.get(image(0).id)) <= 3
            assert await took(index.picture(shown.id, "thumbnails")) <= 2
            assert await took(index.picture(shown.id, "thumbnails")) <= 1
            assert await took(index.keep_original(b"a file")) <= 1
            for n in range(3):
                assert await took(index.patch(image(n).id, {"a": -1})) <= 7
            for n in range(3):
                assert await took(index.delete([image(n).id])) <= 7

    run(check())


def test_an_outage_is_told_and_ends(
    s3: S3Server, uri: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    async def check() -> list[bool]:
        async with writers(uri, 1) as [index]:
            seen = []
            for down_s, answer_s in ((0, 60.0), (600, 0.3), (0, 60.0)):
                s3.break_down(seconds=down_s)
                monkeypatch.setattr(index_module, "ANSWER_S", answer_s)
                seen.append(await index.answers())
            return seen

    assert run(check()) == [True, False, True]


def test_objects_of_racing_adds_are_added_once_however_often_their_images_are(uri: str) -> None:
    async def check() -> None:
        async with writers(uri, 3, DETECTOR) as indexes:
            adds = [showing(n, "dog", "cat") for n in range(6)]
            await asyncio.gather(*(indexes[n % 3].upsert(each) for n, each in enumerate(adds)))
            assert sum(each.stats().conflicts for each in indexes) > 0
            state = await indexes[0].objects_state()
            assert state is not None
            objects = await indexes[0].opened.connection.open_table("objects")
            assert await objects.count_rows() == state.objects == 12

    run(check())


async def until_it_looks(s3: S3Server) -> None:
    while not await asyncio.to_thread(s3.requests):  # noqa: ASYNC110 - another process counts
        await asyncio.sleep(0.01)


def test_writers_wait_for_who_has_them_wait_but_not_for_the_dead(s3: S3Server, uri: str) -> None:
    async def check() -> None:
        async with writers(uri, 1) as [index]:
            table = index.opened.table
            async with Lease(table, WRITERS_WAIT, 60).held():
                adding = asyncio.create_task(index.upsert(image(1)))
                for _ in range(5):
                    await until_it_looks(s3)
                assert not adding.done()
                async with Lease(table, WRITERS_WAIT, 60).held_if_free() as free:
                    assert not free
            assert (await adding).created
            await in_dataset(table, lambda of: of.update_config({WRITERS_WAIT: "dead:0"}))
            async with Lease(table, WRITERS_WAIT, 0.3).held():
                pass
            assert (await index.upsert(image(2))).created

    run(check())


def test_who_sees_that_a_lease_is_of_the_dead_takes_it_away(
    uri: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("store.write.planner.WRITERS_WAIT_S", 0.3)

    async def check() -> None:
        async with writers(uri, 1) as [index]:
            table = index.opened.table
            await in_dataset(table, lambda of: of.update_config({WRITERS_WAIT: "dead:0"}))
            assert (await index.upsert(image(1))).created
            # Else each machine that starts would wait for it anew.
            assert await in_dataset(table, lambda of: of.config().get(WRITERS_WAIT)) is None

    run(check())


def test_who_loses_each_race_has_the_others_wait(uri: str, monkeypatch: pytest.MonkeyPatch) -> None:
    async def check() -> None:
        async with writers(uri, 2) as [slow, fast]:
            committer = slow._writer._committer
            write, added = committer._write, iter(range(100, 200))

            async def beaten(*planned: Any) -> None:
                if not committer._is_first:
                    await fast.upsert(image(next(added)))
                await write(*planned)

            monkeypatch.setattr(committer, "_write", beaten)
            assert (await slow.upsert(image(1))).created
            assert slow.stats().conflicts == next(added) - 100 == FEW
            assert (await fast.upsert(image(2))).created

    run(check())


def test_a_lease_that_is_not_renewed_is_over(monkeypatch: pytest.MonkeyPatch) -> None:
    now = 100.0
    monkeypatch.setattr("store.table.lease.time.monotonic", lambda: now)
    watch = Watch(10)
    assert watch.is_held("one:0")
    now += 9
    assert watch.is_held("one:0")
    assert watch.is_held("one:1")
    now += 9
    assert watch.is_held("one:1")
    now += 1
    assert not watch.is_held("one:1")
    assert watch.is_held("two:0")
    assert not watch.is_held(None)
