"""Undoing goes back over keys that have widened since, and over nested objects."""

from datetime import UTC, datetime
from pathlib import Path
from typing import Any

from store.changes.change import Left, Undone
from store.changes.story import Span
from store.changes.undo import DELETED
from store.index import ImageIndex
from store.schemas import Author, image_id
from tests.store.support import image, opened, run, url_of

SHOP, BAD, ADMIN = Author("shop"), Author("bad"), Author("admin")
OLD: list[Any] = [
    {"price": 10, "at": "2024-05-01", "gps": {"lat": 1, "lon": 2}},
    {"price": 2**53 + 1, "$text": "a red star"},
    {"at": "2024:05:01 12:00:00", "gps.lat": 3},
]


def own(n: int) -> str:
    return image_id(url_of(n))


async def undone(index: ImageIndex) -> Undone:
    span = Span("bad", datetime(2020, 1, 1, tzinfo=UTC), datetime.now(UTC))
    return await index.undo(span, by=ADMIN)


async def metadata_of(index: ImageIndex, n: int) -> Any:
    found = await index.get(image_id(url_of(n)))
    return None if found is None else found.metadata


def test_values_come_back_as_they_were_sent(tmp_path: Path) -> None:
    async def check() -> None:
        async with opened(tmp_path) as index:
            for n, metadata in enumerate(OLD):
                await index.upsert(image(n, metadata), SHOP)
            await index.patch(image_id(url_of(0)), {"price": 12.5, "gps": None}, BAD)
            await index.upsert(image(1, {"price": 0.5, "at": "soon"}), BAD)
            await index.delete([image_id(url_of(2))], BAD)
            assert await undone(index) == Undone(0, 3, [], 0)
            assert [await metadata_of(index, n) for n in range(3)] == OLD
            assert (await index.state()).columns == {
                "price": "float", "at": "string", "gps.lat": "integer", "gps.lon": "integer"
            }  # fmt: skip
            assert await index.count({"at": {"$in": ["2024-05-01", "soon"]}}) == 1
            assert await index.count({"price": {"$gt": 9}, "gps.lat": {"$exists": False}}) == 1

    run(check())


def test_a_filter_that_has_deleted_since_means_the_types_of_its_time(tmp_path: Path) -> None:
    titles = ["2024-05-01", "2024-05-01T00:00:00Z", "2024-05-02", "2031-01-01"]

    async def check() -> None:
        async with opened(tmp_path) as index:
            for n, title in enumerate(titles):
                await index.upsert(image(n, {"title": title}), SHOP)
            await index.delete([image_id(url_of(n)) for n in range(len(titles))], BAD)
            await index.upsert(image(30, {"title": "2024-05-01"}), SHOP)
            await index.upsert(image(31, {"title": "x"}), SHOP)
            assert await index.delete_matching({"title": "2024-05-01"}, SHOP) == 1
            assert await index.delete_matching({"title": {"$gt": "2025"}}, SHOP) == 1
            await index.upsert(image(32, {"lot": 1}), SHOP)
            either = {"$or": [{"lot": 1}, {"title": "2024-05-02", "lot": None}]}
            assert await index.delete_matching(either, SHOP) == 1
            # As texts: the first was deleted, the second is another text of the same moment.
            assert await undone(index) == Undone(
                0, 1, [Left(own(n), DELETED) for n in sorted((0, 2, 3), key=own)], 3
            )

    run(check())
