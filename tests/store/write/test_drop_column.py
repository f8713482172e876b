"""A metadata key is dropped: its values go, its name is free, and a restore brings both back."""

import asyncio
from pathlib import Path
from typing import Any

import pytest

from store.errors import FilterError, StoreError, UnknownKeyError
from store.index import ImageIndex
from store.metadata.columns import MAX_KEYS
from store.schemas import SearchQuery
from tests.store.support import image, opened, run, vector

EVERYTHING = 100
MEMORY = pytest.mark.parametrize("memory_mb", [64, 0])


async def metadata(index: ImageIndex) -> list[Any]:
    """Of all images, the oldest first: by a list, and by a search; both say the same."""
    listed = (await index.images(EVERYTHING)).images
    found = await index.search(SearchQuery(vector=vector(1), limit=EVERYTHING))
    by_id = {hit.id: hit.metadata for hit in found}
    assert {each.id: each.metadata for each in listed} == by_id
    for each in listed:
        assert await index.get(each.id) == each
    return [each.metadata for each in reversed(listed)]


async def matching(index: ImageIndex, node: dict[str, Any]) -> int:
    found = await index.search(SearchQuery(filter=node, limit=EVERYTHING))
    assert len(found) == await index.count(node)
    return len(found)


async def keys(index: ImageIndex) -> dict[str, str]:
    columns = (await index.state()).columns
    # They may lack what came a moment ago.
    assert {(each.key, each.type) for each in await index.facets()} <= set(columns.items())
    return columns


@MEMORY
def test_values_go_and_come_back_by_a_restore(tmp_path: Path, memory_mb: int) -> None:
    async def check() -> None:
        async with opened(tmp_path, store_memory_mb=memory_mb) as index:
            for n in range(3):
                await index.upsert(image(n, {"shop": f"s{n}", "price": n}))
            await index.upsert(image(3, {"shop": "s3"}))
            whole = await metadata(index)
            before = (await index.versions())[0].version

            assert await index.drop_column("shop") == 4
            assert await metadata(index) == [{"price": 0}, {"price": 1}, {"price": 2}, None]
            assert await keys(index) == {"price": "integer"}
            with pytest.raises(UnknownKeyError, match=r"key 'shop'; known .*price"):
                await index.count({"shop": "s1"})
            assert await matching(index, {"price": {"$gte": 1}}) == 2

            await index.restore(version=before)
            assert await metadata(index) == whole
            assert await matching(index, {"shop": "s1"}) == 1
            assert await keys(index) == {"shop": "string", "price": "integer"}

    run(check())


@MEMORY
@pytest.mark.parametrize("value", ["again", 7, 1.5, True, ["a"], "2024-05-01T12:00:00Z"])
def test_the_same_name_can_be_used_again(tmp_path: Path, memory_mb: int, value: Any) -> None:
    """With any type, that it had before included: nothing of before is seen in it."""

    async def check() -> None:
        async with opened(tmp_path, store_memory_mb=memory_mb) as index:
            await index.upsert(image(0, {"shop": "old", "n": 1}))
            await index.upsert(image(1, {"shop": "older"}))
            await metadata(index)  # what is held in memory is held now
            before = (await index.versions())[0].version
            for _ in range(2):
                assert await index.drop_column("shop") in (1, 2)
                await index.upsert(image(2, {"shop": value}))
                assert await metadata(index) == [{"n": 1}, None, {"shop": value}]
                assert await matching(index, {"shop": {"$exists": True}}) == 1
                assert await matching(index, {"shop": value}) == 1
            for each in ({"other": "x"}, {"more": "y"}):
                await index.upsert(image(3, each))
                assert (await metadata(index))[-1] == each
            await index.restore(version=before)
            assert await metadata(index) == [{"shop": "old", "n": 1}, {"shop": "older"}]
            await index.run_upkeep()
            assert await metadata(index) == [{"shop": "old", "n": 1}, {"shop": "older"}]

    run(check())


def test_what_is_no_key_is_refused_with_the_known_ones(tmp_path: Path) -> None:
    async def check() -> None:
        async with opened(tmp_path) as index:
            with pytest.raises(UnknownKeyError, match="no image has metadata keys yet"):
                await index.drop_column("shop")
            await index.upsert(image(0, {"shop": "A", "text": "a key"}))
            await index.upsert(image(1, "a free text"))
            for key in ("Shop", "", "m_0", "url", "vector", "id", "\ud800", "x' OR 1=1 --"):
                with pytest.raises(UnknownKeyError, match="known keys are 'shop', 'text'"):
                    await index.drop_column(key)
            assert await index.drop_column("text") == 1
            assert await metadata(index) == [{"shop": "A"}, "a free text"]

    run(check())


def test_a_full_table_has_room_again(tmp_path: Path) -> None:
    async def check() -> None:
        async with opened(tmp_path) as index:
            await index.upsert(image(0, {f"k{n}": n for n in range(MAX_KEYS)}))
            with pytest.raises(StoreError, match="one too many"):
                await index.upsert(image(1, {"new": 1}))
            await index.drop_column("k7")
            await index.upsert(image(1, {"new": 1}))
            assert len(await keys(index)) == MAX_KEYS

    run(check())


def test_its_index_goes_with_it(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("store.upkeep.indexes.MIN_ROWS", 1)

    async def check() -> None:
        async with opened(tmp_path) as index:
            for n in range(3):
                await index.upsert(image(n, {"shop": f"s{n}", "price": n}))
            await index.run_upkeep()
            assert {"m_0", "m_1"} <= await indexed(index)
            before = (await index.versions())[0].version
            await index.drop_column("shop")
            assert "m_0" not in await indexed(index)
            assert await matching(index, {"price": 1}) == 1
            await index.upsert(image(3, {"shop": 5}))
            report = await index.run_upkeep()
            assert report is not None
            assert report.result == "ok"
            assert await matching(index, {"shop": 5}) == 1
            await index.restore(version=before)
            report = await index.run_upkeep()
            assert report is not None
            assert report.result == "ok"
            assert await matching(index, {"shop": "s1"}) == 1

    run(check())


async def indexed(index: ImageIndex) -> set[str]:
    return {name for each in await index.opened.table.list_indices() for name in each.columns}


def test_searches_and_adds_go_on_meanwhile_through_two_handles(tmp_path: Path) -> None:
    """Each answer is of a moment before or after; no other error than that the key is not there."""

    async def check() -> None:
        async with opened(tmp_path) as one, opened(tmp_path) as other:
            await one.upsert(image(0, {"shop": "A", "price": 1}))
            ended = False

            async def search(index: ImageIndex) -> None:
                while not ended:
                    try:
                        query = SearchQuery(filter={"shop": "A"}, limit=EVERYTHING)
                        assert all(hit.metadata["shop"] == "A" for hit in await index.search(query))  # type: ignore[index]
                        await index.search(SearchQuery(vector=vector(2)))
                        await index.facets()
                    except FilterError as error:
                        assert isinstance(error, UnknownKeyError)  # noqa: PT017

            async def add(index: ImageIndex, first: int) -> None:
                for n in range(first, first + 30):
                    await index.upsert(image(n, {"shop": "A", "n": n}))

            async def drop(index: ImageIndex) -> None:
                for _ in range(10):
                    try:
                        await index.drop_column("shop")
                    except UnknownKeyError:
                        await asyncio.sleep(0)

            searching = [asyncio.create_task(search(each)) for each in (one, other)]
            await asyncio.gather(add(one, 100), add(other, 200), drop(one), drop(other))
            ended = True
            await asyncio.gather(*searching)
            assert {"price": 1, "shop": "A"} not in await metadata(one)
            assert await metadata(one) == await metadata(other)
            numbers = [each["n"] for each in await metadata(one) if each and "n" in each]
            assert sorted(numbers) == [*range(100, 130), *range(200, 230)]

    run(check())


def test_a_filter_that_was_compiled_before_is_of_no_use_any_more(tmp_path: Path) -> None:
    async def check() -> None:
        async with opened(tmp_path) as index:
            await index.upsert(image(0, {"shop": "A"}))
            compiled = await index.check_filter({"shop": "A"})
            await index.drop_column("shop")
            with pytest.raises(UnknownKeyError):
                await index.search(SearchQuery(filter=compiled))
            await index.upsert(image(1, {"shop": 5}))
            with pytest.raises(FilterError):
                await index.search(SearchQuery(filter=compiled))

    run(check())


def test_it_waits_for_upkeep_and_keeps_nobody_else_waiting(tmp_path: Path) -> None:
    """An index of the column that is committed after it would break the table."""

    async def check() -> None:
        async with opened(tmp_path) as index:
            await index.upsert(image(0, {"shop": "A"}))
            async with index.opened.location.lock("images.upkeep").held():
                dropping = asyncio.create_task(index.drop_column("shop"))
                await index.upsert(image(1, {"shop": "B"}))
                assert not dropping.done()
            assert await dropping == 2

    run(check())
