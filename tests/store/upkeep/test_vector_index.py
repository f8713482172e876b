"""The indexes of a large table, built over a small one: same answers, also while it changes."""

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import replace
from pathlib import Path
from typing import Any

import lance
import numpy as np
import pytest

from store.index import ImageIndex
from store.metadata.columns import Registry
from store.schemas import NewImage, SearchQuery, image_id
from store.search.vectors import nearest
from store.search.vectors.nearest import partitions_for
from store.settings import StoreSettings
from store.table.connection import connect
from store.table.faults import is_conflict
from store.table.open import open_table
from store.upkeep.indexes import (
    ensure_scalar_indexes,
    ensure_vector_index,
    estimate_recall,
    is_outgrown,
    vector_index_of,
)
from tests.store.support import IDENTITY, image, opened, run, url_of, vector

ROWS = 400
LARGE = 10_000
COMPARED = pytest.mark.parametrize("few", [nearest.FEW_ROWS, -1], ids=["one by one", "by index"])
"""How the rows that a filter leaves are compared."""

DAY = "2024-05-01T00:00:00Z"
CONDITIONS: list[dict[str, Any]] = [
    {"shop": "shop 3"}, {"shop": {"$ne": "shop 3"}}, {"shop": {"$in": ["shop 1", "x", None]}},
    {"shop": {"$nin": ["shop 1", "shop 2"]}}, {"shop": {"$exists": False}}, {"shop": None},
    {"shop": {"$contains": "p 1"}}, {"shop": {"$gte": "shop 2", "$lt": "shop 4"}},
    {"name": "name 7"}, {"name": {"$contains": "9"}}, {"name": {"$not": {"$lt": "name 5"}}},
    {"n": 7}, {"n": {"$lt": 50}}, {"n": {"$gte": 10.5, "$lte": 20}}, {"n": {"$nin": [1, 2, None]}},
    {"price": {"$lte": 0.5}}, {"price": {"$ne": 1.5}}, {"price": {"$exists": True}},
    {"sold": True}, {"sold": {"$ne": True}}, {"sold": {"$in": [False, None]}},
    {"at": {"$lt": DAY}}, {"at": DAY}, {"at": {"$not": {"$gte": DAY}}},
    {"tags": "red"}, {"tags": {"$contains": "blue"}}, {"tags": {"$ne": "red"}},
    {"tags": ["red", "blue"]}, {"tags": {"$in": [["red"], "green", None]}}, {"tags": []},
    {"tags": {"$nin": ["red", "blue"]}}, {"tags": {"$exists": True}},
    {"$or": [{"shop": "shop 1"}, {"n": {"$gt": 390}}]}, {"$not": {"sold": True, "tags": "red"}},
    {"$and": [{"price": {"$gt": 1}}, {"$not": {"name": "name 9"}}]},
]  # fmt: skip


def metadata(n: int) -> dict[str, Any]:
    values = {
        "shop": f"shop {n % 5}",
        "name": f"name {n}",
        "n": n,
        "price": n / 4,
        "sold": n % 2 == 0,
        "at": f"2024-0{4 + n % 3}-01T00:00:00Z",
        "tags": [[], ["red"], ["red", "blue"], ["blue", "red"], ["green"]][n % 5],
    }
    # Each key is absent from some rows.
    return {key: value for place, (key, value) in enumerate(values.items()) if n % 11 != place}


@asynccontextmanager
async def handle(folder: Path) -> AsyncIterator[Any]:
    """A second handle, as upkeep has one."""
    connection = await connect(StoreSettings(store_uri=str(folder)))
    yield await open_table(connection, IDENTITY)


async def compacted(table: Any) -> None:
    """Compacts and folds in, beside the writer, however often it comes first."""
    while True:
        try:
            await table.optimize()
        except RuntimeError as error:
            if not is_conflict(error):
                raise
        else:
            return


async def answers(index: ImageIndex) -> list[Any]:
    found = []
    for condition in CONDITIONS:
        listed = await index.search(SearchQuery(filter=condition, limit=1000))
        nearest = await index.search(SearchQuery(vector=vector(1), filter=condition, limit=50))
        found.append(
            ([hit.id for hit in listed], [hit.id for hit in nearest], await index.count(condition))
        )
    return found


def test_every_filter_answers_the_same_with_scalar_indexes(tmp_path: Path) -> None:
    async def check() -> None:
        async with opened(tmp_path) as index, handle(tmp_path) as table:
            await asyncio.gather(*(index.upsert(image(n, metadata(n))) for n in range(ROWS)))
            registry = Registry.from_schema(await table.schema())
            before = await answers(index)
            assert await ensure_scalar_indexes(table, registry, LARGE - 1) == []
            done = await ensure_scalar_indexes(table, registry, LARGE)
            assert len(done) == 4 + len(registry.columns)
            assert await ensure_scalar_indexes(table, registry, LARGE) == []
            kinds = {each.columns[0]: each.index_type for each in await table.list_indices()}
            named = {key: kinds[of.columns[0].name] for key, of in registry.by_key.items()}
            assert named == {
                "shop": "Bitmap", "name": "BTree", "n": "BTree", "price": "BTree",
                "sold": "Bitmap", "at": "BTree", "tags": "LabelList",
            }  # fmt: skip
            for condition, one, other in zip(CONDITIONS, before, await answers(index), strict=True):
                assert one == other, condition
            # Rows that the indexes lack, changed and deleted ones.
            await asyncio.gather(*(index.upsert(image(n, metadata(n + 1))) for n in range(0, 40)))
            await index.delete([image_id(url_of(n)) for n in range(40, 80)])
            changed = await answers(index)
            for each in await table.list_indices():
                if each.columns != ["text"]:
                    await table.drop_index(each.name)
            for condition, one, other in zip(
                CONDITIONS, changed, await answers(index), strict=True
            ):
                assert one == other, condition

    run(check())


@COMPARED
def test_the_vector_index_is_built_once_and_finds_what_exact_search_finds(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, few: int
) -> None:
    monkeypatch.setattr(nearest, "FEW_ROWS", few)

    async def check() -> None:
        async with opened(tmp_path) as index, handle(tmp_path) as table:
            await asyncio.gather(*(index.upsert(image(n, {"n": n})) for n in range(ROWS)))
            queries = [
                SearchQuery(vector=vector(1000 + n), filter=only, limit=limit, offset=offset)
                for n in range(5)
                for only in (None, {"n": {"$lt": 7}}, {"n": {"$gte": 200}})
                for limit, offset in ((10, 0), (100, 30), (10, 250))
            ]
            exact = [await index.search(query) for query in queries]
            assert await vector_index_of(table) is None
            assert await estimate_recall(table) == 1.0
            assert await ensure_vector_index(table, ROWS, ROWS + 1) is None
            assert "built" in str(await ensure_vector_index(table, ROWS, ROWS))
            assert await ensure_vector_index(table, ROWS, ROWS) is None
            found = await vector_index_of(table)
            assert found is not None
            assert (found.kind, found.indexed_rows, found.partitions) == ("IVF_RQ", ROWS, 1)
            for query, right in zip(queries, exact, strict=True):
                assert [hit.id for hit in await index.search(query)] == [hit.id for hit in right]
            recall = await estimate_recall(table)
            assert recall is not None
            assert recall >= 0.98
            # Twice the rows ask for new partitions.
            assert "rebuilt" in str(await ensure_vector_index(table, 10_000, ROWS))
            new = await index.upsert(image(5000))
            [hit] = await index.search(SearchQuery(vector=vector(5000), limit=1))
            assert hit.id == new.id

    run(check())


@COMPARED
def test_a_filter_that_keeps_nothing_nearby_finds_the_nearest_of_the_rest(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, few: int
) -> None:
    """Half the rows lie around one point, half around another one: asked at the other half's."""
    monkeypatch.setattr(nearest, "FEW_ROWS", few)
    monkeypatch.setattr(nearest, "PARTITION_ROWS", 8)
    rows = 1600
    vectors = np.stack([vector(n) + vector(-n % 2 + rows) for n in range(rows)])
    vectors = (vectors / np.linalg.norm(vectors, axis=1, keepdims=True)).astype(np.float32)

    async def check() -> None:
        async with opened(tmp_path) as index, handle(tmp_path) as table:
            images = [NewImage(url_of(n), vectors[n], {"odd": n % 2 == 1}) for n in range(rows)]
            await asyncio.gather(*map(index.upsert, images))
            await table.checkout_latest()
            assert "200 partitions" in str(await ensure_vector_index(table, rows, rows))
            found_of = []
            for asked in range(0, 60, 2):
                query = SearchQuery(vector=vectors[asked], filter={"odd": True})
                order = np.argsort(-(vectors[1::2] @ vectors[asked]))[: query.limit]
                found = {hit.url for hit in await index.search(query)}
                assert len(found) == query.limit
                found_of.append(len(found & {url_of(2 * int(n) + 1) for n in order}))
                [hit] = await index.search(replace(query, filter={"odd": False}, limit=1))
                assert hit.url == url_of(asked)
            assert np.mean(found_of) / 10 >= 0.98
            # Nothing is left of the partitions next to the query.
            await index.delete([image_id(url_of(n)) for n in range(0, rows, 2)])
            hits = await index.search(SearchQuery(vector=vectors[0], limit=50))
            assert len(hits) == 50
            assert await index.search(SearchQuery(vector=vectors[0], filter={"odd": False})) == []

    run(check())


def test_a_filter_that_leaves_nothing_next_to_the_query_but_half_beyond(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Thirty groups of 56 rows, every second one odd: odd ones asked for from within an even."""
    partitions: list[int] = []
    scanner = nearest._scanner

    def noted(*given: Any, **options: Any) -> Any:
        partitions.append(given[2].partitions)
        return scanner(*given, **options)

    monkeypatch.setattr(nearest, "_scanner", noted)
    monkeypatch.setattr(nearest, "FEW_ROWS", 0)
    monkeypatch.setattr(nearest, "PARTITION_ROWS", 8)
    groups, each = 30, 56
    rows = groups * each
    vectors = np.stack([vector(n) / 2 + vector(rows + n // each) for n in range(rows)])
    vectors = (vectors / np.linalg.norm(vectors, axis=1, keepdims=True)).astype(np.float32)
    odd = np.arange(rows) // each % 2 == 1

    async def check() -> None:
        async with opened(tmp_path) as index, handle(tmp_path) as table:
            images = [NewImage(url_of(n), vectors[n], {"odd": bool(odd[n])}) for n in range(rows)]
            await asyncio.gather(*map(index.upsert, images))
            await table.checkout_latest()
            await ensure_vector_index(table, rows, rows)
            found_of = []
            for asked in range(0, rows, 2 * each):
                query = SearchQuery(vector=vectors[asked], filter={"odd": True})
                scores = np.where(odd, vectors @ vectors[asked], -2)
                best = {url_of(int(n)) for n in np.argsort(-scores)[: query.limit]}
                found_of.append(len(best & {hit.url for hit in await index.search(query)}))
                assert partitions[-1] == nearest.ALL_PARTITIONS
            assert np.mean(found_of) / 10 >= 0.98

    run(check())


def test_reading_the_partitions_bounds_the_caches_that_it_opens(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    bounds: list[int] = []
    dataset = lance.dataset

    def noted(uri: str, **options: Any) -> Any:
        bounds.extend(options[f"{kind}_cache_size_bytes"] for kind in ("index", "metadata"))
        return dataset(uri, **options)

    monkeypatch.setattr(lance, "dataset", noted)

    async def check() -> None:
        async with opened(tmp_path) as index, handle(tmp_path) as table:
            await asyncio.gather(*(index.upsert(image(n)) for n in range(ROWS)))
            await table.checkout_latest()
            bounds.clear()
            await ensure_vector_index(table, ROWS, ROWS)
            found = await vector_index_of(table)
            assert found is not None
            assert found.partitions == 1

    run(check())
    assert len(bounds) == 2
    assert max(bounds) <= 2**24


def test_searches_go_on_while_rows_change_and_indexes_are_made_anew(tmp_path: Path) -> None:
    async def check() -> None:
        async with opened(tmp_path) as index, handle(tmp_path) as table:
            await asyncio.gather(*(index.upsert(image(n, {"n": n})) for n in range(ROWS)))
            await ensure_vector_index(table, ROWS, ROWS)
            done = asyncio.Event()

            async def read() -> int:
                rounds = 0
                while not done.is_set():
                    n = rounds % 50
                    for query in (
                        SearchQuery(vector=vector(n), limit=1),
                        SearchQuery(vector=vector(n), filter={"n": {"$lt": 50}}, limit=1),
                        SearchQuery(vector=vector(n), cutoff=True, limit=1),
                    ):
                        assert [hit.url for hit in await index.search(query)] == [url_of(n)]
                    rounds += 1
                return rounds

            async def write() -> None:
                for n in range(ROWS, ROWS + 20):
                    await index.upsert(NewImage(url_of(n), vector(n), {"n": n}))
                    await index.delete([image_id(url_of(n - 100))])

            reading = asyncio.create_task(read())
            writing = asyncio.create_task(write())
            for rows in (10_000, 20_000):
                await table.checkout_latest()
                await ensure_vector_index(table, rows, ROWS)
                await compacted(table)
            await writing
            done.set()
            assert await reading > 0

    run(check())


@pytest.mark.parametrize(("rows", "partitions"), [(1, 1), (10_000, 9), (1_000_000, 976)])
def test_partitions_grow_with_the_table(rows: int, partitions: int) -> None:
    assert partitions_for(rows) == partitions
    assert not is_outgrown(partitions, rows)
    assert not is_outgrown(partitions, int(1.4 * rows))
    assert is_outgrown(partitions, 3 * max(rows, 10_000))
    assert np.all(np.diff([partitions_for(n) for n in range(1, 100_000, 1000)]) >= 0)
