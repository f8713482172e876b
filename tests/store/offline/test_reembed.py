"""The index moves to another model: nothing is lost, done twice or seen half."""

import asyncio
from pathlib import Path

import pytest

from store.errors import ModelMismatchError, StoreMovedError
from store.index import ImageIndex
from store.offline.outcome import Outcome
from store.offline.turn import ReembedError
from store.schemas import NewImage, SearchQuery, image_id
from store.settings import StoreSettings
from tests.store.offline.moving import (
    NEW,
    FakeEmbedder,
    Heard,
    everything,
    moved,
    new_vector,
    opened_as,
)
from tests.store.support import IDENTITY, image, opened, run, url_of


def test_everything_but_the_vectors_is_as_it_was(tmp_path: Path) -> None:
    async def check() -> None:
        async with opened(tmp_path) as old:
            for n in range(20):
                await old.upsert(image(n, {"n": n, "a.b 'c'": ["x", str(n)]} if n % 2 else f"t{n}"))
            await old.upsert(image(99))
            before = await everything(old)
        embed, heard = FakeEmbedder(), Heard()
        assert await moved(tmp_path, embed, heard=heard) == Outcome(21, 0, switched=True)
        assert sorted(embed.urls) == sorted(hit.url for hit in before)
        assert heard.total == heard.done == 21
        async with opened_as(tmp_path, NEW) as new:
            assert await everything(new) == before
            (hit,) = await new.search(SearchQuery(vector=new_vector(url_of(7)), limit=1))
            assert (hit.url, hit.score) == (url_of(7), 1.0)
            assert [hit.url for hit in await new.search(SearchQuery(filter={"n": 3}))] == [
                url_of(3)
            ]
            await new.upsert(NewImage("later", new_vector("later"), {"n": 1}))
            assert await new.count({"n": 1}) == 2

    run(check())


def test_changes_made_meanwhile_are_followed(tmp_path: Path) -> None:
    async def check() -> None:
        async with opened(tmp_path) as old:
            for n in range(12):
                await old.upsert(image(n, {"n": n, "in": {"at": f"2024-05-{n + 1:02}"}}))

            async def change(url: str) -> None:
                """While the first pass and the one after it are on their way."""
                if len(embed.urls) == 6:
                    await old.patch(image_id(url_of(0)), {"n": -2, "new key": "x"})
                    await old.delete([image_id(url_of(1)), image_id(url_of(11))])
                    await old.upsert(image(2, "again"))
                    await old.upsert(image(50, {"n": 50.5, "in.at": "soon"}))  # both widen
                if url == url_of(50):
                    await old.patch(image_id(url_of(0)), {"n": -1})
                    await old.upsert(image(51))

            embed = FakeEmbedder()
            embed.before_each = change
            assert (await moved(tmp_path, embed)).switched
            before = await everything(old)
            assert len(before) == 12
        async with opened_as(tmp_path, NEW) as new:
            assert await everything(new) == before
            scores = await new.search(SearchQuery(vector=new_vector(url_of(0)), limit=1))
            first = {"n": -1, "in": {"at": "2024-05-01"}, "new key": "x"}
            assert scores[0].metadata == first
            assert await new.count({"n": {"$lt": 51}, "in.at": {"$gt": "2024-05-09"}}) == 3
            assert scores[0].score == 1.0
        # A change of the metadata alone is no reason to fetch the picture again.
        assert embed.urls.count(url_of(0)) == 1

    run(check())


def test_the_old_table_takes_no_more_changes_after_the_switch(tmp_path: Path) -> None:
    async def check() -> None:
        async with opened(tmp_path) as old:
            await old.upsert(image(1, {"n": 1}))
            assert (await moved(tmp_path, FakeEmbedder())).switched
            for change in (
                old.upsert(image(2)),
                old.delete([image_id(url_of(1))]),
                old.patch(image_id(url_of(1)), {"n": 2}),
                old.delete_matching({"n": 1}),
            ):
                with pytest.raises(StoreMovedError):
                    await change
            # Searches go on until the service is started with the new model.
            assert [hit.url for hit in await everything(old)] == [url_of(1)]
        with pytest.raises(ModelMismatchError):
            await ImageIndex.open(StoreSettings(store_uri=str(tmp_path)), IDENTITY)

    run(check())


def test_many_adds_during_the_switch_are_in_one_table_or_refused(tmp_path: Path) -> None:
    async def check() -> None:
        acknowledged: set[str] = set()
        async with opened(tmp_path) as old:

            async def add(n: int) -> None:
                while True:
                    await old.upsert(image(n))
                    acknowledged.add(url_of(n))
                    n += 4

            adding = [asyncio.create_task(add(n)) for n in range(4)]
            await asyncio.sleep(0.2)
            assert (await moved(tmp_path, FakeEmbedder())).switched
            for ended in await asyncio.gather(*adding, return_exceptions=True):
                assert isinstance(ended, StoreMovedError)
            assert acknowledged
            assert {hit.url for hit in await everything(old)} == acknowledged
        async with opened_as(tmp_path, NEW) as new:
            assert await new.count() == len(acknowledged)
            for url in acknowledged:
                assert await new.get(image_id(url)) is not None

    run(check())


def test_failures_keep_it_from_switching_until_they_may_be_left_out(tmp_path: Path) -> None:
    async def check() -> None:
        async with opened(tmp_path) as old:
            for n in range(6):
                await old.upsert(image(n))
        embed, heard = FakeEmbedder(failing=frozenset({url_of(2), url_of(4)})), Heard()
        assert await moved(tmp_path, embed, heard=heard) == Outcome(4, 2, switched=False)
        assert sorted(heard.failures) == [(url_of(n), "it is not there") for n in (2, 4)]
        async with opened(tmp_path) as old:
            await old.upsert(image(6))
            await old.delete([image_id(url_of(4))])
        again = FakeEmbedder(failing=embed.failing)
        assert await moved(tmp_path, again, leave_out_failed=True) == Outcome(5, 1, switched=True)
        assert sorted(again.urls) == [url_of(2), url_of(6)]
        async with opened_as(tmp_path, NEW) as new:
            assert await new.get(image_id(url_of(2))) is None

    run(check())


def test_nothing_is_switched_to_an_empty_index(tmp_path: Path) -> None:
    async def check() -> None:
        async with opened(tmp_path) as old:
            await old.upsert(image(1))
        embed = FakeEmbedder(failing=frozenset({url_of(1)}))
        with pytest.raises(ReembedError, match="not one"):
            await moved(tmp_path, embed, leave_out_failed=True)
        async with opened(tmp_path) as old:
            await old.upsert(image(2))

    run(check())


def test_interrupted_it_goes_on_where_it_stopped(tmp_path: Path) -> None:
    async def check() -> None:
        async with opened(tmp_path) as old:
            for n in range(8):
                await old.upsert(image(n))
        first, second = FakeEmbedder(), FakeEmbedder()

        async def stop(_: str) -> None:
            if len(first.urls) == 5:
                raise KeyError("stop")

        first.before_each = stop
        with pytest.raises(KeyError, match="stop"):
            await moved(tmp_path, first)
        async with opened(tmp_path):
            pass
        assert (await moved(tmp_path, second)).switched
        assert len(first.urls) == 5
        assert sorted(first.urls + second.urls) == [url_of(n) for n in range(8)]

    run(check())
