"""What the metadata holds, key by key."""

import asyncio
import time
from pathlib import Path
from typing import Any

import pytest

import store.search.facets
from store.index import ImageIndex
from store.schemas import Facet, image_id
from store.search.facets import facets_of
from store.snapshot.snapshot import Snapshot
from tests.store.support import image, opened, run, url_of

ROWS: list[dict[str, Any]] = [
    {"shop": "A", "price": 9.5, "n": -3, "on": True, "at": "2026-01-31T12:00:00Z", "tags": ["x"]},
    {"shop": "B", "price": -1.0, "n": 7, "on": True, "at": "2025-12-31T23:30:00-01:00"},
    {"shop": "B", "on": False, "tags": ["y", "x"]},
    {"note \u202e<b>": "only here"},
    {},
]


async def filled(index: ImageIndex, rows: list[dict[str, Any]]) -> None:
    for n, row in enumerate(rows):
        await index.upsert(image(n, row))


async def by_key(index: ImageIndex) -> dict[str, Facet]:
    return {facet.key: facet for facet in await index.facets()}


def test_each_type_has_what_a_filter_of_it_needs(tmp_path: Path) -> None:
    async def check() -> None:
        async with opened(tmp_path) as index:
            assert await index.facets() == []
            await filled(index, ROWS)
        async with opened(tmp_path) as index:
            assert await by_key(index) == {
                "shop": Facet("shop", "string", 3, [("B", 2), ("A", 1)]),
                "price": Facet("price", "float", 2, min=-1.0, max=9.5),
                "n": Facet("n", "integer", 2, min=-3, max=7),
                "on": Facet("on", "boolean", 3, [(True, 2), (False, 1)]),
                "at": Facet(
                    "at", "timestamp", 2, min="2026-01-01T00:30:00Z", max="2026-01-31T12:00:00Z"
                ),
                "tags": Facet("tags", "list of strings", 2, [("x", 2), ("y", 1)]),
                "note \u202e<b>": Facet("note \u202e<b>", "string", 1, [("only here", 1)]),
            }
            n = (await by_key(index))["n"]
            assert (type(n.min), type(n.max)) == (int, int)

    run(check())


def test_it_follows_the_table_and_keeps_keys_without_values(tmp_path: Path) -> None:
    async def check() -> None:
        async with opened(tmp_path) as index:
            await filled(index, ROWS)
            await index.facets()
            await index.delete([image_id(url_of(n)) for n in range(3)])
            index._facets._facets._until = (
                0  # as if the moment that an answer serves for had passed
            )
            found = await by_key(index)
        assert found["price"] == Facet("price", "float", 0)
        assert found["shop"] == Facet("shop", "string", 0, [])

    run(check())


def test_many_and_long_values_are_bounded(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(store.search.facets, "BATCH_ROWS", 16)
    monkeypatch.setattr(store.search.facets, "MAX_COUNTED", 120)

    async def check() -> None:
        async with opened(tmp_path) as index:
            rows = [{"one": f"{n:03}", "long": "x" * 201, "two": n % 2 == 0} for n in range(160)]
            await filled(index, [*rows, {"one": "000"}, {"long": "y" * 200}])
            found = await by_key(index)
        one = found["one"]
        assert one.values is not None
        assert (one.count, one.more, len(one.values)) == (161, True, 100)
        assert one.values[:2] == [("000", 2), ("001", 1)]
        assert found["long"] == Facet("long", "string", 161, [("y" * 200, 1)], more=True)
        assert found["two"] == Facet("two", "boolean", 160, [(False, 80), (True, 80)])

    run(check())


def test_one_reading_serves_all_who_ask_and_outlives_them(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    readings = []

    def slow(snapshot: Snapshot) -> list[Facet]:
        readings.append(snapshot.version)
        time.sleep(0.3)
        return facets_of(snapshot)

    monkeypatch.setattr(store.search.facets, "facets_of", slow)

    async def check() -> None:
        async with opened(tmp_path) as index:
            await filled(index, ROWS)
            asking = [asyncio.create_task(index.facets()) for _ in range(5)]
            await asyncio.sleep(0.1)
            for each in asking:
                each.cancel()
            assert len(await index.facets()) == 7
            assert len(await index.facets()) == 7
        assert len(readings) == 1

    run(check())
