"""Going back to an earlier version of the table, and forth again."""

from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import lance
import pytest

from store.engine import connect
from store.errors import VersionError
from store.schemas import SearchQuery, TableVersion, image_id
from store.settings import StoreSettings
from store.tables import MARK_BUILDING, mark
from store.versions import pick_version
from tests.store.support import image, opened, run, url_of, vector

NOON = datetime(2026, 5, 1, 12, tzinfo=UTC)
LISTED = [TableVersion(n, NOON + timedelta(hours=n), n) for n in (9, 8, 7)]


def test_what_was_deleted_comes_back_and_the_way_back_is_kept(tmp_path: Path) -> None:
    async def check() -> None:
        async with opened(tmp_path) as index, opened(tmp_path) as other:
            for n in range(3):
                await index.upsert(image(n, {"n": n, f"key{n}": "x"}))
            full = (await index.versions())[0]
            assert full.rows == 3
            assert await index.delete_matching({"n": {"$gte": 0}}) == 3
            empty = (await index.versions())[0]
            restored = await index.restore(version=full.version)
            assert restored == full
            assert await index.count() == await other.count() == 3
            assert await index.count({"key2": "x"}) == 1
            assert (await index.versions())[0].version > empty.version
            await index.restore(version=empty.version)
            assert await other.count() == 0
            # Writing goes on from what was restored, new columns too.
            await other.upsert(image(9, {"later": True}))
            assert await index.count({"later": True}) == 1

    run(check())


def test_back_to_a_moment(tmp_path: Path) -> None:
    async def check() -> None:
        async with opened(tmp_path) as index:
            await index.upsert(image(1))
            moment = datetime.now(UTC)
            await index.upsert(image(2))
            await index.restore(before=moment)
            assert await index.get(image_id(url_of(2))) is None
            assert await index.count() == 1
            with pytest.raises(VersionError, match="versions are kept from 1, of 20"):
                await index.restore(before=moment - timedelta(days=1))

    run(check())


def test_back_before_the_columns_and_the_text_index(tmp_path: Path) -> None:
    async def check() -> None:
        async with opened(tmp_path) as index:
            await index.upsert(image(1, "a red shoe"))
            await index.restore(version=1)
            assert await index.count() == 0
            await index.upsert(image(2, "a blue shoe"))
            query = SearchQuery(text="blue", text_vector=vector(5))
            assert [hit.metadata for hit in await index.search(query)] == ["a blue shoe"]

    run(check())


def test_a_version_of_a_table_that_was_not_finished_is_refused(tmp_path: Path) -> None:
    async def check() -> None:
        async with opened(tmp_path) as index:
            await index.upsert(image(1))
            connection = await connect(StoreSettings(store_uri=str(tmp_path)))
            await mark(await connection.open_table("images"), MARK_BUILDING, "x")
            unfinished = (await index.versions())[0].version
            with pytest.raises(VersionError, match="not finished"):
                await index.restore(version=unfinished)

    run(check())


def test_what_was_cleaned_up_is_said_to_be_gone(tmp_path: Path) -> None:
    async def check() -> None:
        async with opened(tmp_path) as index:
            for n in range(3):
                await index.upsert(image(n))
            dataset = lance.dataset(str(tmp_path / "images.lance"))
            dataset.cleanup_old_versions(timedelta(0))
            kept = (await index.versions())[-1].version
            assert kept > 1
            with pytest.raises(VersionError, match=f"no version 1; versions are kept from {kept}"):
                await index.restore(version=1)

    run(check())


@pytest.mark.parametrize(
    ("asked", "version"),
    [
        ({"version": 8}, 8),
        ({"before": NOON + timedelta(hours=9)}, 9),
        ({"before": NOON + timedelta(hours=8, minutes=59)}, 8),
        ({"before": NOON + timedelta(days=300)}, 9),
    ],
)
def test_which_version_is_meant(asked: dict[str, Any], version: int) -> None:
    assert pick_version(LISTED, **{"version": None, "before": None, **asked}).version == version


@pytest.mark.parametrize(
    ("asked", "said"),
    [
        (
            {"version": 6},
            "no version 6; versions are kept from 7, of 2026-05-01T19:00:00Z",
        ),
        ({"version": 10}, "there is no version 10"),
        ({"before": NOON}, "there is no version that old"),
        ({}, "either a version or a time"),
        ({"version": 7, "before": NOON}, "either a version or a time"),
    ],
)
def test_what_cannot_be_meant(asked: dict[str, Any], said: str) -> None:
    with pytest.raises(VersionError, match=said):
        pick_version(LISTED, **{"version": None, "before": None, **asked})
