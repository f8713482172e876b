"""Sorted searches, totals, facets under a filter, and pages by cursor, against plain Python."""

from pathlib import Path
from random import Random
from typing import Any

import pytest

from store.errors import QueryError, UnknownKeyError
from store.index import ImageIndex
from store.schemas import Hit, SearchQuery, image_id
from tests.store.support import image, opened, run, url_of, vector

ROWS = 60
SORTS = [
    ("price",), ("-price",), ("title", "-price"), ("-title",), ("sold", "price"), ("when",),
    ("-when", "title"), ("$created_at",), ("-$created_at",), ("-n.deep",),
    ("title", "-$created_at"),
]  # fmt: skip


def metadata_of(number: int) -> dict[str, Any]:
    """Values of every type that has an order, with gaps, ties and keys that widen."""
    drawn = Random(number)
    values = {
        "price": drawn.choice([1, 2, 2.5, -3, 10**6, 7]),
        "title": drawn.choice(["a", "B", "é", "2024-05-01", "2024-05-01T10:00:00Z", ""]),
        "sold": drawn.choice([True, False]),
        "when": f"2024-05-{drawn.randint(1, 9):02}",
        "n.deep": drawn.randint(-2, 2),
    }
    return {key: value for key, value in values.items() if drawn.random() < 0.7}


@pytest.fixture(scope="module")
def rows() -> list[dict[str, Any]]:
    return [metadata_of(number) for number in range(ROWS)]


async def fill(index: ImageIndex, rows: list[dict[str, Any]]) -> None:
    await index.upsert(image(0, {**rows[0], "title": "2024-05-01"}))  # a title that is a date first
    for number, row in enumerate(rows):
        await index.upsert(image(number, row))


def expected(rows: list[dict[str, Any]], sort: tuple[str, ...]) -> list[int]:
    """The numbers of the rows in an order; they were added in that of their numbers."""
    order = sorted(range(len(rows)), reverse=True)
    for text in reversed(sort):
        key, descending = text.removeprefix("-"), text.startswith("-")
        if key == "$created_at":
            values: list[Any] = list(range(len(rows)))
        else:
            values = [row.get(key) for row in rows]
        there = [number for number in order if values[number] is not None]
        there.sort(key=values.__getitem__, reverse=descending)
        order = there + [number for number in order if values[number] is None]
    return order


def numbers(hits: list[Hit]) -> list[int]:
    return [int(hit.url.rpartition("/")[2].removesuffix(".jpg")) for hit in hits]


def test_every_order_is_that_of_plain_python(tmp_path: Path, rows: list[dict[str, Any]]) -> None:
    async def check() -> None:
        async with opened(tmp_path) as index:
            await fill(index, rows)
            for sort in SORTS:
                right = expected(rows, sort)
                found = await index.find(SearchQuery(sort=sort, limit=1000, total=True))
                assert numbers(found.hits) == right, sort
                assert (found.total, found.next) == (ROWS, None)
                page = await index.find(SearchQuery(sort=sort, limit=7, offset=11))
                assert numbers(page.hits) == right[11:18], sort
                some = [n for n in right if rows[n].get("sold") is True]
                kept = SearchQuery(filter={"sold": True}, sort=sort, limit=1000, total=True)
                found = await index.find(kept)
                assert (numbers(found.hits), found.total) == (some, len(some))
                near = SearchQuery(vector=vector(3), sort=sort, min_score=0.1, limit=1000)
                best = await index.find(SearchQuery(vector=vector(3), min_score=0.1, limit=1000))
                among = {*numbers(best.hits)}
                sorted_hits = numbers((await index.find(near)).hits)
                assert sorted_hits == [n for n in right if n in among], sort

    run(check())


@pytest.mark.parametrize("sort", [(), *SORTS])
def test_pages_fit_whatever_happens_between(
    tmp_path: Path, rows: list[dict[str, Any]], sort: tuple[str, ...]
) -> None:
    async def check() -> None:
        async with opened(tmp_path) as index:
            await fill(index, rows)
            right, seen, cursor = expected(rows, sort), list[int](), None
            gone = set(right[::5])
            for turn in range(ROWS):
                query = SearchQuery(sort=sort, limit=4, cursor=cursor)
                found = await index.find(query)
                seen += numbers(found.hits)
                cursor = found.next
                if cursor is None:
                    break
                await index.upsert(image(1000 + turn, metadata_of(turn)))
                await index.delete([image_id(url_of(n)) for n in sorted(gone)[turn : turn + 1]])
                if turn == 3:
                    await index.run_upkeep()
            once = [n for n in seen if n < ROWS]
            assert len(set(seen)) == len(seen)
            assert [n for n in once if n not in gone] == [n for n in right if n not in gone]

    run(check())


def test_the_list_of_images_goes_on_behind_a_cursor(tmp_path: Path) -> None:
    async def check() -> None:
        async with opened(tmp_path) as index:
            for number in range(9):
                await index.upsert(image(number))
            first = await index.images(4)
            await index.upsert(image(10))
            second = await index.images(4, cursor=first.next)
            last = await index.images(4, cursor=second.next)
            urls = [each.url for page in (first, second, last) for each in page.images]
            assert urls == [url_of(number) for number in reversed(range(9))]
            assert (last.next, last.total) == (None, 10)

    run(check())


def test_facets_are_of_what_the_filter_keeps(tmp_path: Path, rows: list[dict[str, Any]]) -> None:
    async def check() -> None:
        async with opened(tmp_path) as index:
            await fill(index, rows)
            query = SearchQuery(filter={"sold": True}, facets=("title", "price"), limit=1)
            found = await index.find(query)
            kept = [row for row in rows if row.get("sold") is True]
            assert found.facets is not None
            titles, prices = found.facets
            counts = dict(titles.values or [])
            values = [row["title"] for row in kept if "title" in row]
            assert counts == {value: values.count(value) for value in set(values)}
            given = [row["price"] for row in kept if "price" in row]
            assert (prices.min, prices.max, prices.count) == (min(given), max(given), len(given))
            with pytest.raises(UnknownKeyError, match="'size'"):
                await index.find(SearchQuery(facets=("size",)))

    run(check())


@pytest.mark.parametrize(
    ("query", "words"),
    [
        (SearchQuery(sort=("colors",)), "'colors' holds a list of strings: it has no order"),
        (SearchQuery(sort=("price", "-price")), "names a key twice"),
        (SearchQuery(sort=("price", "title", "when", "sold", "n.deep")), "at most 4 keys"),
        (SearchQuery(cursor="x"), "the cursor is not one"),
        (SearchQuery(cursor="W10"), "the cursor is not one"),
        (SearchQuery(cursor="W1tdLCBbNV0sICJ4Il0"), "the cursor is not one"),
        (SearchQuery(cursor="🦊"), "the cursor is not one"),
        (
            SearchQuery(cursor="W1tdLCBbXSwgIngiXQ", offset=1),
            "cursor and offset do not go together",
        ),
        (SearchQuery(vector=vector(1), cursor="W10"), "page by offset here"),
    ],
)
def test_refusals_are_one_clear_line(tmp_path: Path, query: SearchQuery, words: str) -> None:
    async def check() -> None:
        async with opened(tmp_path) as index:
            every = {"price": 1, "title": "a", "when": "2024-05-01", "sold": True, "n": {"deep": 1}}
            await index.upsert(image(0, {**every, "colors": ["red"]}))
            with pytest.raises(QueryError) as caught:
                await index.find(query)
            assert words in str(caught.value)
            with pytest.raises(UnknownKeyError, match="unknown metadata key 'size'"):
                await index.find(SearchQuery(sort=("-size",)))

    run(check())
