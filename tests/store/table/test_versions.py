"""Going back to an earlier version of the table, and forth again."""

from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import lance
import pytest

from store.errors import FilterError, VersionError
from store.schemas import SearchQuery, TableVersion, image_id
from store.settings import StoreSettings
from store.table.names import MARK_BUILDING, MARK_SUPERSEDED, mark
from store.table.versions import list_versions, pick_version, restore_version
from tests.store.support import image, opened, run, url_of, vector

NOON = datetime(2026, 5, 1, 12, tzinfo=UTC)
LISTED = [TableVersion(n, NOON + timedelta(hours=n), n) for n in (9, 8, 7)]


class FakeTable:
    """Loses a version between listing the files and reading them, so many times."""

    def __init__(self, losses: int) -> None:
        self._losses = losses

    async def list_versions(self) -> list[dict[str, Any]]:
        """As LanceDB's own."""
        self._losses -= 1
        if self._losses >= 0:
            raise RuntimeError("lance error: Not found: images.lance/_versions/1.manifest")
        return [{"version": 7, "timestamp": datetime.now(), "metadata": {"total_rows": "3"}}]


def test_versions_that_go_while_they_are_listed_do_no_harm() -> None:
    table: Any = FakeTable(losses=3)
    assert [each.version for each in run(list_versions(table))] == [7]
    with pytest.raises(RuntimeError, match="Not found"):
        run(list_versions(FakeTable(losses=100)))


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
            with pytest.raises(VersionError, match="the oldest to restore is 1, of 20"):
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


def test_versions_of_before_the_table_was_complete_are_not_told(tmp_path: Path) -> None:
    async def check() -> None:
        async with opened(tmp_path) as index:
            table = index.opened.table
            await mark(table, MARK_BUILDING, "x")
            await index.upsert(image(1))
            unfinished = int(await table.version())
            await mark(table, MARK_BUILDING, None)
            finished = int(await table.version())
            await index.upsert(image(2))
            assert [each.version for each in await index.versions()] == [finished + 1, finished]
            with pytest.raises(VersionError, match=f"no version {unfinished}"):
                await index.restore(version=unfinished)
            with pytest.raises(VersionError, match="not in use"):
                await restore_version(table, unfinished)
            await mark(table, MARK_SUPERSEDED, "")
            await mark(table, MARK_SUPERSEDED, None)
            with pytest.raises(VersionError, match="not in use"):
                await index.restore(version=finished + 2)
            await index.upsert(image(3))

    run(check())


def test_a_folder_by_its_uri_is_a_folder(tmp_path: Path) -> None:
    assert StoreSettings(store_uri=f"file://{tmp_path}").store_uri == str(tmp_path)
    assert StoreSettings(store_uri="s3://bucket/index").store_uri == "s3://bucket/index"
    assert "~" not in StoreSettings(store_uri="~/index").store_uri


@pytest.mark.parametrize("part", [{}, {"$and": [{}]}, {"$or": [{}, {"n": 1}]}, {"$not": {}}])
def test_a_filter_with_an_empty_part_deletes_nothing(tmp_path: Path, part: dict[str, Any]) -> None:
    async def check() -> None:
        async with opened(tmp_path) as index:
            await index.upsert(image(1, {"n": 1}))
            with pytest.raises(FilterError, match="empty"):
                await index.delete_matching(part)
            assert await index.count() == 1

    run(check())


@pytest.mark.parametrize(
    "node",
    [
        {"n": {"$ne": 7}},
        {"$not": {"n": 7}},
        {"$or": [{"n": 1}, {"$not": {"n": 1}}]},
        {"$or": [{"n": {"$exists": True}}, {"n": None}]},
    ],
)
def test_a_filter_that_keeps_everything_deletes_nothing(
    tmp_path: Path, node: dict[str, Any]
) -> None:
    """Unless it could not do so for an image without metadata: that one names what it means."""

    async def check() -> None:
        async with opened(tmp_path) as index:
            await index.upsert(image(1, {"n": 1}))
            await index.upsert(image(2, {"n": 2}))
            with pytest.raises(FilterError, match="keeps every image"):
                await index.delete_matching(node)
            await index.upsert(image(3, {"n": 7}))
            await index.delete_matching({"n": {"$ne": 7}})
            assert await index.count() == 1
            assert await index.delete_matching({"n": 7}) == 1
            assert await index.delete_matching(node) == 0

    run(check())


def test_all_can_be_deleted_and_restored(tmp_path: Path) -> None:
    async def check() -> None:
        async with opened(tmp_path) as index:
            for n in range(3):
                await index.upsert(image(n, {"n": n} if n else "a text"))
            full = (await index.versions())[0].version
            assert await index.delete_matching(None) == 3
            assert await index.delete_matching(None) == 0
            await index.restore(version=full)
            assert await index.count() == 3

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
            with pytest.raises(
                VersionError, match=f"no version 1; the oldest to restore is {kept}"
            ):
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
            "no version 6; the oldest to restore is 7, of 2026-05-01T19:00:00Z",
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
