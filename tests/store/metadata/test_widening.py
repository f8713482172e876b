"""A key's type widens with the first value that needs it; before and after, filters find all."""

import operator
from pathlib import Path
from random import Random
from typing import Any

import pytest

from store.errors import MetadataConflictError, MetadataLimitError, MetadataTypeError
from store.index import ImageIndex
from store.metadata.values import ColumnType
from store.schemas import SearchQuery, image_id
from store.upkeep import indexes
from tests.store.support import image, opened, run, url_of


async def values_of(index: ImageIndex, key: str) -> list[Any]:
    page = await index.images(100)
    return [
        each.metadata.get(key) for each in reversed(page.images) if isinstance(each.metadata, dict)
    ]


async def found(index: ImageIndex, filter: dict[str, Any]) -> set[int]:
    hits = await index.search(SearchQuery(filter=filter, limit=100))
    return {int(hit.url.rsplit("/", 1)[1].split(".")[0]) for hit in hits}


def test_a_price_of_10_then_12_5(tmp_path: Path) -> None:
    async def check() -> None:
        async with opened(tmp_path) as index:
            for n, price in enumerate([10, 11.0, 2**53 + 1]):
                await index.upsert(image(n, {"price": price}))
            assert (await index.state()).columns == {"price": "integer"}
            assert await values_of(index, "price") == [10, 11, 2**53 + 1]
            await index.upsert(image(3, {"price": 12.5}))
            await index.upsert(image(4, {"price": 13}))
            assert (await index.state()).columns == {"price": "float"}
            read = await values_of(index, "price")
            assert read == [10, 11, 2**53 + 1, 12.5, 13]
            assert [type(each) for each in read] == [float, float, int, float, float]
            assert await found(index, {"price": {"$gte": 11, "$lt": 13}}) == {1, 3}
            assert await found(index, {"price": {"$in": [10.0, 12.5]}}) == {0, 3}
            assert await found(index, {"price": {"$ne": 10}}) == {1, 2, 3, 4}
            assert await found(index, {"price": {"$gt": 10.5, "$not": {"$gt": 12.5}}}) == {1, 3}
            assert await found(index, {"price": None}) == set()
            [facet] = await index.facets()
            assert (facet.type, facet.count, facet.min) == ("float", 5, 10.0)
            with pytest.raises(MetadataConflictError, match="'price' holds a float, not a string"):
                await index.upsert(image(5, {"price": "14"}))
            await index.patch(image_id(url_of(2)), {"shop": "A"})  # the exact integer stays
            assert await values_of(index, "price") == read
            assert await index.drop_column("price") == 5
            assert (await index.state()).columns == {"shop": "string"}

    run(check())


ORDER = {"$lt": operator.lt, "$lte": operator.le, "$gt": operator.gt, "$gte": operator.ge}
SENT = [
    "2024-05-01T12:00:00Z", "2024-05-01", "2024-05-01T14:00:00.5+02:00", "2024:05:01 12:00:00",
    "2024-05-01T12:00:00.123Z", "2024-05-01T12:00:00.123456Z",
]  # fmt: skip
READ = [
    "2024-05-01T12:00:00Z", "2024-05-01T00:00:00Z", "2024-05-01T12:00:00.500000Z",
    "2024-05-01T12:00:00Z", "2024-05-01T12:00:00.123000Z", "2024-05-01T12:00:00.123456Z",
]  # fmt: skip


def test_a_title_that_is_a_date_by_chance(tmp_path: Path) -> None:
    async def check() -> None:
        async with opened(tmp_path) as index:
            for n, title in enumerate(SENT):
                await index.upsert(image(n, {"title": title}))
            assert (await index.state()).columns == {"title": "timestamp"}
            assert await values_of(index, "title") == READ
            assert await found(index, {"title": "2024-05-01T12:00:00"}) == {0, 3}
            assert await found(index, {"title": {"$gte": "2024-05-01T12:00:00.2Z"}}) == {2}
            await index.patch(image_id(url_of(1)), {"n": 1})  # its text stays as it was sent
            version = (await index.state()).version
            await index.upsert(image(6, {"title": "hello"}))
            assert (await index.state()).columns["title"] == "string"
            assert await values_of(index, "title") == [*SENT, "hello"]
            for n, title in enumerate([*SENT, "hello"]):
                assert await found(index, {"title": title}) == {n}
            below = {n for n, title in enumerate(SENT) if title < "2024-05-01T12:00:00.2"}
            assert await found(index, {"title": {"$lt": "2024-05-01T12:00:00.2"}}) == below
            assert await found(index, {"title": {"$contains": ":05:"}}) == {3}
            assert await found(index, {"title": {"$contains": "123"}}) == {4, 5}
            [of_title, _] = await index.facets()
            assert of_title.values == sorted([(each, 1) for each in [*SENT, "hello"]])
            await index.restore(version=version)  # back over the widening
            assert (await index.state()).columns["title"] == "timestamp"
            assert await values_of(index, "title") == READ
            await index.upsert(image(6, {"title": "again"}))
            assert await values_of(index, "title") == [*SENT, "again"]

    run(check())


def test_the_engine_writes_moments_as_this_package_does(tmp_path: Path) -> None:
    moments = [
        "0001-01-01T00:00:00Z", "0999-12-31T01:02:03.000005Z", "1969-12-31T23:59:59.500000Z",
        "1970-01-01T00:00:00.000001Z", "2024-05-01T12:00:00.010000Z", "9999-12-31T23:59:59.999999Z",
    ]  # fmt: skip

    async def check() -> None:
        async with opened(tmp_path) as index:
            for n, moment in enumerate(moments):
                await index.upsert(image(n, {"at": moment}))
            await index.upsert(image(99, {"at": "text"}))
            for n, moment in enumerate(moments):
                assert await found(index, {"at": moment}) == {n}
                assert await found(index, {"at": {"$lte": moment, "$gte": moment}}) == {n}

    run(check())


def test_texts_of_moments_are_in_the_order_of_texts(tmp_path: Path) -> None:
    drawn = Random(5)
    base = "2024-05-01T12:00:00"
    tails = ["Z", ".000001Z", ".5Z", ".500000Z", ".999999Z", ".25", "+01:00", ""]
    sent = [f"{base[:-1]}{second}{tail}" for second in (0, 9) for tail in tails]
    sent += ["0001-01-01T00:00:00Z", "9999-12-31T23:59:59Z", "2024-05-01", "1969-12-31T23:59:59.5Z"]
    alphabet = "0159-:.TZz +"
    operands = [*sent, "", "2", "2024", "9", "\uffff", "\0", base, base + "\U0001f98a"]
    for text in sent * 4:
        at = drawn.randrange(len(text))
        operands += [text[:at], text[:at] + drawn.choice(alphabet) + text[at + 1 :]]

    async def check() -> None:
        async with opened(tmp_path) as index:
            for n, text in enumerate(sent):
                await index.upsert(image(n, {"at": text}))
            await index.upsert(image(len(sent), {"at": "text"}))
            texts = [*sent, "text"]
            for operand in operands:
                for name, holds in ORDER.items():
                    expected = {n for n, text in enumerate(texts) if holds(text, operand)}
                    assert await found(index, {"at": {name: operand}}) == expected, (name, operand)

    run(check())


def test_indexes_are_made_of_every_column(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(indexes, "MIN_ROWS", 10)

    async def check() -> None:
        async with opened(tmp_path) as index:
            for n in range(20):
                await index.upsert(image(n, {"price": n, "at": f"2024-05-{n + 1:02}"}))
            await index.run_upkeep()
            await index.upsert(image(20, {"price": 20.5, "at": "later"}))
            await index.run_upkeep()
            assert await found(index, {"price": {"$gt": 18}}) == {19, 20}
            assert await found(index, {"at": {"$in": ["2024-05-03", "later"]}}) == {2, 20}
            assert await found(index, {"at": "2024-05-03T00:00:00Z"}) == set()

    run(check())


def test_a_declared_key_has_its_type_before_its_first_value(tmp_path: Path) -> None:
    async def check() -> None:
        async with opened(tmp_path) as index:
            assert await index.declare_column("code", ColumnType.STRING)
            assert not await index.declare_column("code", ColumnType.STRING)
            await index.upsert(image(0, {"code": "2024-05-01", "n": 1}))
            assert await values_of(index, "code") == ["2024-05-01"]
            assert await index.declare_column("n", ColumnType.FLOAT)
            assert (await index.state()).columns == {"code": "string", "n": "float"}
            with pytest.raises(MetadataConflictError, match="'n' holds a float, not an integer"):
                await index.declare_column("n", ColumnType.INTEGER)
            with pytest.raises(MetadataTypeError):
                await index.declare_column("$and", ColumnType.STRING)
            for n in range(98):
                await index.declare_column(f"k{n}", ColumnType.BOOLEAN)
            with pytest.raises(MetadataLimitError, match="'more' is one too many"):
                await index.declare_column("more", ColumnType.STRING)
            assert await index.declare_column("n", ColumnType.FLOAT) is False

    run(check())
