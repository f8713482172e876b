"""One image of each value, or of the same pixels, in every search, against plain Python."""

import asyncio
from collections.abc import Sequence
from dataclasses import replace
from itertools import pairwise
from pathlib import Path
from random import Random
from typing import Any

import numpy as np
import pytest

from store.errors import QueryError, UnknownKeyError
from store.index import ImageIndex
from store.schemas import GroupedHit, Hit, NewImage, SearchQuery, image_id
from tests.store.search.lists.test_ordering import expected, metadata_of, numbers
from tests.store.support import opened, run, url_of, vector

ROWS = 150
CROWD = 1100
KEYS = ["price", "title", "sold", "when", "shop", "rare"]
SORTS = [(), ("price",), ("-title", "price"), ("-when",), ("sold",), ("-$created_at",)]
NO_FILTER: dict[str, Any] = {}


def values_of(number: int) -> dict[str, Any]:
    """Values of every type that can be grouped by: few, many, one nearly everywhere, and gaps."""
    drawn = Random(number)
    few = {"shop": "A" if number % 50 else "B", "rare": drawn.randint(0, 80)}
    return metadata_of(number) | {key: few[key] for key in few if drawn.random() < 0.9}


def pixels_of(number: int) -> str | None:
    return None if number % 7 == 0 else f"pixels {number % 31}"


@pytest.fixture(scope="module")
def rows() -> list[dict[str, Any]]:
    return [values_of(number) for number in range(ROWS)]


async def fill(index: ImageIndex, rows: Sequence[dict[str, Any]]) -> None:
    """All in the order of their numbers; a title that is a time comes first, and widens."""
    for number, row in [(0, {**rows[0], "title": "2024-05-01"}), *enumerate(rows)]:
        text = {"$text": "a fine star"} if number % 3 else {}
        url, pixels = url_of(number), pixels_of(number)
        await index.upsert(NewImage(url, vector(number % 31), {**row, **text}, pixels))


def bests(
    ranking: list[int], rows: Sequence[dict[str, Any]], key: str | None, *, distinct: bool
) -> list[int]:
    """Of a ranking the first of each value, and of these the first of the same pixels."""
    seen: set[Any] = set()
    shown = []
    for number in ranking:
        value = None if key is None else rows[number].get(key)
        if value is None or ("value", value) not in seen:
            seen.add(("value", value))
            shown.append(number)
    left, pixels = [], set[str | None]()
    for number in shown:
        if not distinct or pixels_of(number) is None or pixels_of(number) not in pixels:
            pixels.add(pixels_of(number))
            left.append(number)
    return left


def sizes(hits: Sequence[Hit]) -> list[int]:
    return [hit.group_size for hit in hits if isinstance(hit, GroupedHit)]


def counted(
    shown: list[int], kept: list[int], rows: Sequence[dict[str, Any]], key: str
) -> list[int]:
    values = [rows[number].get(key) for number in kept]
    return [
        1 if (value := rows[number].get(key)) is None else values.count(value) for number in shown
    ]


GROUPINGS = [*((key, distinct) for key in KEYS for distinct in (False, True)), (None, True)]


def test_lists_show_the_first_of_each_group(tmp_path: Path, rows: list[dict[str, Any]]) -> None:
    async def check() -> None:
        async with opened(tmp_path) as index:
            await fill(index, rows)
            for filter_, sort in [(f, s) for f in (NO_FILTER, {"sold": True}) for s in SORTS]:
                kept = [n for n in expected(rows, sort) if not filter_ or rows[n].get("sold")]
                for key, distinct in GROUPINGS:
                    right = bests(kept, rows, key, distinct=distinct)
                    query = SearchQuery(filter=filter_, sort=sort, group_by=key, distinct=distinct)
                    whole = await index.find(replace(query, limit=1000, total=True))
                    assert numbers(whole.hits) == right, query
                    assert (whole.next, whole.total) == (None, len(kept))
                    some = await index.find(replace(query, limit=5, offset=3))
                    assert numbers(some.hits) == right[3:8], query
                    if key is None:
                        assert type(some.hits[0]) is Hit
                    else:
                        assert sizes(whole.hits) == counted(right, kept, rows, key), query

    run(check())


@pytest.mark.parametrize("sort", [(), ("price", "-when")])
def test_pages_of_groups_fit(
    tmp_path: Path, rows: list[dict[str, Any]], sort: tuple[str, ...]
) -> None:
    async def check() -> None:
        async with opened(tmp_path) as index:
            await fill(index, rows)
            for key, distinct in GROUPINGS:
                query = SearchQuery(sort=sort, group_by=key, distinct=distinct, limit=7)
                right = bests(expected(rows, sort), rows, key, distinct=distinct)
                pages = [await index.find(query)]
                while pages[-1].next is not None:
                    pages.append(await index.find(replace(query, cursor=pages[-1].next)))
                assert [n for page in pages for n in numbers(page.hits)] == right, query
                assert all(len(page.hits) == query.limit for page, _ in pairwise(pages))

    run(check())


def test_images_that_come_and_go_between_pages_repeat_none(
    tmp_path: Path, rows: list[dict[str, Any]]
) -> None:
    async def check() -> None:
        async with opened(tmp_path) as index:
            await fill(index, rows)
            seen, cursor = list[int](), None
            for turn in range(ROWS):
                query = SearchQuery(group_by="rare", limit=4, cursor=cursor)
                found = await index.find(query)
                seen += numbers(found.hits)
                cursor = found.next
                if cursor is None:
                    break
                await index.upsert(NewImage(url_of(1000 + turn), vector(1), {"rare": 100 + turn}))
                await index.delete([image_id(url_of(number)) for number in seen[-1:]])
                if turn == 3:
                    await index.run_upkeep()
            assert len(set(seen)) == len(seen)
            assert {rows[n].get("rare") for n in seen} == {row.get("rare") for row in rows}

    run(check())


def test_rankings_show_the_best_of_each_group(tmp_path: Path, rows: list[dict[str, Any]]) -> None:
    queries = [
        SearchQuery(vector=vector(3)),
        SearchQuery(vector=vector(3), min_score=0.1),
        SearchQuery(vector=vector(3), cutoff=True),
        SearchQuery(vector=vector(4), filter={"sold": True}),
        SearchQuery(vector=vector(4), sort=("-price",), min_score=0.1),
        SearchQuery(text="fine star", text_vector=vector(5)),
        SearchQuery(text="fine", text_vector=vector(5), vector=vector(9), filter={"sold": True}),
        SearchQuery(text="nothing", text_vector=vector(5), min_score=0.0),
    ]

    async def check() -> None:
        async with opened(tmp_path) as index:
            await fill(index, rows)
            for query in queries:
                whole = numbers((await index.find(replace(query, limit=1000))).hits)
                kept = [n for n in range(ROWS) if query.filter is None or rows[n].get("sold")]
                for key, distinct in GROUPINGS:
                    right = bests(whole, rows, key, distinct=distinct)
                    grouped = replace(query, group_by=key, distinct=distinct)
                    for page in (slice(0, 10), slice(4, 10), slice(0, 1000)):
                        limit = page.stop - page.start
                        one = replace(grouped, limit=limit, offset=page.start)
                        hits = (await index.find(one)).hits
                        assert numbers(hits) == right[page], one
                        if key is not None:
                            assert sizes(hits) == counted(right[page], kept, rows, key), one

    run(check())


@pytest.mark.parametrize("indexed", [False, True])
def test_a_page_is_full_where_the_best_are_all_of_one_group(
    tmp_path: Path, *, indexed: bool
) -> None:
    """1100 pictures of one shop, all nearer than those of twelve others."""
    query_vector = vector(1)

    def near(number: int) -> NewImage:
        away = vector(1000 + number)
        mixed = query_vector + (0.2 if number < CROWD else 3.0) * away
        unit = (mixed / np.linalg.norm(mixed)).astype(np.float32)
        shop = 0 if number < CROWD else number - CROWD + 1
        return NewImage(url_of(number), unit, {"shop": shop, "$text": "star" if shop else "a star"})

    async def check() -> None:
        least = 1000 if indexed else 10_000
        async with opened(tmp_path, store_vector_index_rows=least) as index:
            await asyncio.gather(*(index.upsert(near(number)) for number in range(CROWD + 12)))
            if indexed:
                await index.run_upkeep()
                assert (await index.state()).vector_index is not None
            for query in (
                SearchQuery(vector=query_vector),
                SearchQuery(text="star", text_vector=query_vector),
            ):
                hits = (await index.find(replace(query, group_by="shop", limit=13))).hits
                shops = [hit.metadata["shop"] for hit in hits if isinstance(hit.metadata, dict)]
                assert sorted(shops) == list(range(13))
                assert sorted(sizes(hits)) == [1] * 12 + [CROWD]
            others = SearchQuery(vector=query_vector, filter={"shop": {"$ne": 0}}, limit=12)
            right = numbers((await index.find(others)).hits)
            grouped = SearchQuery(vector=query_vector, group_by="shop", limit=12, offset=1)
            assert numbers((await index.find(grouped)).hits) == right

    run(check())


def test_refusals_are_one_clear_line(tmp_path: Path) -> None:
    async def check() -> None:
        async with opened(tmp_path) as index:
            await index.upsert(NewImage(url_of(1), vector(1), {"colors": ["red"], "shop": "A"}))
            for query in (SearchQuery(group_by="size"), SearchQuery(group_by="", vector=vector(1))):
                with pytest.raises(UnknownKeyError, match=r"known keys.*'colors', 'shop'"):
                    await index.find(query)
                with pytest.raises(UnknownKeyError):
                    await index.check_order(query)
            words = "metadata key 'colors' holds a list of strings: images cannot be grouped by it"
            with pytest.raises(QueryError, match=words):
                await index.find(SearchQuery(group_by="colors"))

    run(check())
