"""A table that an earlier release has made opens, and does what has come since.

The release before types could widen has made `data/earlier_release.zip`: four images of the key
``shop``, one of them patched by ``web``, and a round of upkeep.
"""

import asyncio
import zipfile
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import pytest

from store.changes.story import Span
from store.index import ImageIndex
from store.metadata.values import ColumnType
from store.schemas import Author, SearchQuery, image_id
from tests.store.support import image, opened, run, url_of, vector

TABLE = Path(__file__).parent / "data" / "earlier_release.zip"
KEPT = {"store_keep_versions_minutes": 1_000_000, "store_log_days": 36_500}
BEFORE: list[Any] = [
    {"price": 10, "at": "2024-05-01T10:00:00Z", "gps.lat": 1.5, "tags": ["red"]},
    {"price": 21, "at": "2024-05-02T10:00:00.500000Z", "shop": "B"},
    {"price": 2**53 + 1, "on": True},
    "a red star",
]
TYPES = {
    "price": "integer",
    "at": "timestamp",
    "gps.lat": "float",
    "tags": "list of strings",
    "shop": "string",
    "on": "boolean",
}


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    with zipfile.ZipFile(TABLE) as made:
        made.extractall(tmp_path)
    return tmp_path


async def all_of(index: ImageIndex) -> list[Any]:
    """The metadata, the oldest image first."""
    return [each.metadata for each in reversed((await index.images(100)).images)]


async def widen(index: ImageIndex) -> None:
    await index.upsert(image(4, {"price": 12.5, "at": "soon", "gps": {"lat": 2, "lon": 3}}))
    await index.upsert(image(5, {"$text": "a blue star", "price": 8}))
    await index.declare_column("code", ColumnType.STRING)
    await index.patch(image_id(url_of(2)), {"code": "2024-05-01"}, Author("web"))


def test_it_widens_nests_and_declares(folder: Path) -> None:
    async def check() -> None:
        async with opened(folder, **KEPT) as index:
            assert (await index.state()).columns == TYPES
            assert await all_of(index) == BEFORE
            await widen(index)
            assert await all_of(index) == [
                *BEFORE[:2],
                {**BEFORE[2], "code": "2024-05-01"},
                BEFORE[3],
                {"price": 12.5, "at": "soon", "gps": {"lat": 2.0, "lon": 3}},
                {"$text": "a blue star", "price": 8.0},
            ]
            wide = {"price": "float", "at": "string", "gps.lon": "integer", "code": "string"}
            assert (await index.state()).columns == TYPES | wide
            assert await index.count({"price": {"$gt": 9, "$lt": 2**53}}) == 3
            assert await index.count({"at": {"$in": ["2024-05-01T10:00:00Z", "soon"]}}) == 2
            assert (
                await index.count({"at": {"$lt": "2024-05-02T10:00:01"}, "price": {"$ne": 1}}) == 2
            )
            query = SearchQuery(text="star", text_vector=vector(0), limit=2)
            found = [hit.metadata for hit in await index.search(query)]
            assert len(found) == 2
            report = await index.run_upkeep()
            assert report is not None
            assert report.result == "ok"
            assert await index.drop_column("price") == 5

    run(check())


async def first(index: ImageIndex, text: str) -> Any:
    """The best image for a text, by its words: their vectors are all as far off as any."""
    query = SearchQuery(text=text, text_vector=vector(99), cutoff=True, limit=1)
    return [hit.metadata for hit in await index.search(query)]


async def words_are_found(index: ImageIndex) -> None:
    """By the free text, a list, a string that was there, and what was written since."""
    for text, right in (("star", BEFORE[3]), ("RED", BEFORE[3]), ("addde", {"title": "added"})):
        assert await first(index, text) == [right], text
    found = await index.search(SearchQuery(text="red", text_vector=vector(99), limit=2))
    assert BEFORE[0] in [hit.metadata for hit in found]


def test_upkeep_writes_its_words_while_others_are_added(folder: Path) -> None:
    async def check() -> None:
        async with opened(folder, **KEPT) as index:
            assert await first(index, "star") == [BEFORE[3]]
            version = (await index.state()).version
            upkeep = asyncio.create_task(index.run_upkeep())
            await asyncio.gather(
                *(index.upsert(image(n, {"title": "added"})) for n in range(4, 40))
            )
            report = await upkeep
            assert report is not None
            assert (report.result, report.did[:1]) == ("ok", ["wrote the words of all images"])
            await words_are_found(index)
            await index.restore(version=version)
            assert await all_of(index) == BEFORE
            assert await first(index, "star") == [BEFORE[3]]
            await index.upsert(image(4, {"title": "added"}))
            await index.run_upkeep()
            await words_are_found(index)
        async with opened(folder, **KEPT) as index:
            await words_are_found(index)

    run(check())


def test_it_goes_back_to_a_version_that_the_release_has_made(folder: Path) -> None:
    async def check() -> None:
        async with opened(folder, **KEPT) as index:
            version = (await index.state()).version
            await widen(index)
            await index.restore(version=version)
            assert (await index.state()).columns == TYPES
            assert await all_of(index) == BEFORE
            await index.upsert(image(4, {"price": 0.5}))
            assert (await all_of(index))[-1] == {"price": 0.5}

    run(check())


def test_what_was_done_under_the_release_is_undone_after_a_widening(folder: Path) -> None:
    async def check() -> None:
        async with opened(folder, **KEPT) as index:
            await index.upsert(image(4, {"price": 12.5, "at": "soon"}))
            span = Span("web", datetime(2020, 1, 1, tzinfo=UTC), datetime.now(UTC))
            undone = await index.undo(span)
            assert (undone.removed, undone.restored, undone.left) == (0, 1, [])
            old = {"price": 20, "at": "2024-05-02T10:00:00.500000Z", "shop": "A"}
            assert (await all_of(index))[1] == old

    run(check())
