"""Undoing one key's changes: the table is as the others' changes alone would have made it."""

import random
from collections.abc import Mapping
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import pytest

from store.changes import undo as undo_module
from store.changes.change import Left, LogQuery, Undone
from store.changes.log import ChangeLog
from store.changes.reading import newest_first
from store.changes.story import Span
from store.changes.undo import NOT_KEPT
from store.errors import NoChangeLogError, UndoTooLargeError
from store.index import ImageIndex
from store.offline.repair import repair
from store.schemas import Author, NewImage, image_id
from store.settings import StoreSettings
from store.table.connection import in_dataset
from store.table.versions import remove_versions
from store.write import undo as write_undo
from tests.store.offline.moving import NEW, FakeEmbedder, moved, opened_as
from tests.store.support import opened, run, url_of, vector

SHOP, WEB, BAD, ADMIN = (Author(name, "203.0.113.7") for name in ("shop", "web", "bad", "admin"))
LONG_AGO = datetime(2020, 1, 1, tzinfo=UTC)
Table = dict[int, dict[str, Any]]


def own(n: int) -> str:
    return image_id(url_of(n))


def image(n: int, metadata: Mapping[str, Any], seed: int = 0) -> NewImage:
    return NewImage(url_of(n), vector(n + 1000 * seed), metadata)


async def undo(index: ImageIndex, key: str = "bad", **more: Any) -> Undone:
    since = more.pop("since", LONG_AGO)
    return await index.undo(Span(key, since, datetime.now(UTC)), by=ADMIN, **more)


async def table_of(index: ImageIndex) -> Table:
    """The whole table: metadata, dates and vectors, by the image's number."""
    numbers = {own(n): n for n in range(100)}
    images = (await index.images(1000)).images
    vectors = await index.vectors([one.id for one in images])
    return {
        numbers[one.id]: {
            "metadata": one.metadata,
            "created_at": one.created_at,
            "vector": vectors[one.id].tolist(),
        }
        for one in images
    }


async def some(index: ImageIndex) -> Table:
    """Four images of one key's, two of them changed by another."""
    for n in range(4):
        await index.upsert(image(n, {"n": n}), SHOP)
    await index.patch(own(1), {"web": True}, WEB)
    return await table_of(index)


def test_all_kinds_of_changes_go_back(tmp_path: Path) -> None:
    async def check() -> None:
        async with opened(tmp_path) as index:
            before = await some(index)
            await index.upsert(image(0, {"bad": "new key"}, seed=1), BAD)
            await index.patch(own(1), {"n": None, "bad": "x"}, BAD)
            await index.upsert(image(1, {"n": 9}), BAD)
            await index.delete([own(2)], BAD)
            await index.delete_matching({"n": 3}, BAD)
            await index.upsert(image(5, {"n": 5}), BAD)
            await index.upsert(image(5, {"n": 6}), BAD)
            await index.upsert(image(6, {"n": 6}), WEB)
            before[6] = (await table_of(index))[6]
            would = await undo(index, dry_run=True)
            assert would == Undone(removed=1, restored=4, left=[], left_total=0)
            assert 5 in await table_of(index)
            assert await undo(index) == would
            assert await table_of(index) == before
            assert await undo(index) == Undone(0, 0, [], 0)
            # It is a change as others are, which a restore takes back.
            [undone, *_] = (await index.changes(LogQuery(action="undo")))[0]
            assert undone.by == ADMIN
            assert undone.more["undone"] == "bad"

    run(check())


def test_only_what_is_in_the_time_goes_back(tmp_path: Path) -> None:
    async def check() -> None:
        async with opened(tmp_path) as index:
            await index.upsert(image(1, {"n": 1}), BAD)
            kept = await table_of(index)
            moment = datetime.now(UTC)
            await index.upsert(image(1, {"n": 2}), BAD)
            await index.upsert(image(2, {"n": 2}), BAD)
            await undo(index, since=moment)
            assert await table_of(index) == kept

    run(check())


def test_what_others_have_done_since_stays_and_is_told(tmp_path: Path) -> None:
    async def check() -> None:
        async with opened(tmp_path) as index:
            await some(index)
            for n in range(4):
                await index.patch(own(n), {"bad": n}, BAD)
            await index.upsert(image(0, {"n": 100}), WEB)
            await index.patch(own(1), {"n": 101}, WEB)
            await index.delete([own(2)], SHOP)
            now = await table_of(index)
            report = await undo(index)
            assert (report.removed, report.restored, report.left_total) == (0, 1, 3)
            assert set(report.left) == {
                Left(own(0), "key 'web' has written or deleted it since"),
                Left(own(1), "key 'web' has changed it since"),
                Left(own(2), "key 'shop' has written or deleted it since"),
            }
            now[3]["metadata"] = {"n": 3}
            assert await table_of(index) == now

    run(check())


def test_what_a_restore_took_back_does_not_count(tmp_path: Path) -> None:
    async def check() -> None:
        async with opened(tmp_path) as index:
            before = await some(index)
            good = (await index.versions())[0].version
            await index.delete_matching({"n": {"$gte": 0}}, BAD)
            await index.upsert(image(0, {"n": 50}), SHOP)
            await index.restore(version=good, by=ADMIN)
            await index.patch(own(1), {"bad": 1}, BAD)
            await index.upsert(image(7, {"n": 7}), BAD)
            assert await undo(index) == Undone(1, 1, [], 0)
            assert await table_of(index) == before

    run(check())


def test_a_restore_of_the_key_is_told_with_the_way_back(tmp_path: Path) -> None:
    async def check() -> None:
        async with opened(tmp_path) as index:
            await index.upsert(image(1, {"n": 1}), SHOP)
            first = (await index.versions())[0].version
            await index.upsert(image(2, {"n": 2}), SHOP)
            before = (await index.versions())[0].version
            await index.restore(version=first, by=BAD)
            report = await undo(index)
            [left] = report.left
            assert left.id is None
            assert f"only a restore of version {before} takes it back" in left.reason

    run(check())


def test_undoing_two_keys_after_each_other(tmp_path: Path) -> None:
    async def check() -> None:
        async with opened(tmp_path) as index:
            before, moment = await some(index), datetime.now(UTC)
            await index.patch(own(1), {"web": False}, BAD)
            await index.delete([own(2)], BAD)
            bad = await table_of(index)
            await index.upsert(image(2, {"n": 77}), WEB)
            await index.patch(own(1), {"n": 88}, WEB)
            assert await undo(index, "web", since=moment) == Undone(1, 1, [], 0)
            assert await table_of(index) == bad
            assert await undo(index) == Undone(0, 2, [], 0)
            assert await table_of(index) == before

    run(check())


def test_what_no_version_has_is_told(tmp_path: Path) -> None:
    async def check() -> None:
        async with opened(tmp_path) as index:
            await some(index)
            await index.patch(own(1), {"n": 10}, SHOP)
            await index.patch(own(1), {"n": 11}, BAD)
            await index.patch(own(2), {"n": 12}, BAD)
            versions = [one.version for one in await index.versions()]
            # The version before both, and all that had image 1 as it was.
            gone = [*versions[1:3]]
            await in_dataset(index.opened.table, lambda data: remove_versions(data, gone))
            report = await undo(index)
            assert report.left == [Left(own(1), NOT_KEPT)]
            assert report.restored == 1
            now = await table_of(index)
            assert (now[1]["metadata"], now[2]["metadata"]) == (
                {"n": 11, "web": True},
                {"n": 2},
            )

    run(check())


def test_many_images_go_back_in_parts(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(write_undo, "_AT_ONCE", 7)
    monkeypatch.setattr(write_undo, "MOST_RESTORED", 10)

    async def check() -> None:
        async with opened(tmp_path) as index:
            for n in range(40):
                await index.upsert(image(n, {"n": n}), SHOP)
            before = await table_of(index)
            await index.delete_matching({"n": {"$gte": 5}}, BAD)
            for n in range(50, 60):
                await index.upsert(image(n, {"n": n}), BAD)
            assert await undo(index, dry_run=True) == Undone(10, 35, [], 0)
            assert await undo(index) == Undone(10, 35, [], 0)
            assert await table_of(index) == before
            monkeypatch.setattr(undo_module, "MOST_IDS", 20)
            with pytest.raises(UndoTooLargeError, match="more than 20 images"):
                await undo(index)

    run(check())


def test_another_life_of_the_table_is_not_this_ones(tmp_path: Path) -> None:
    async def check() -> None:
        async with opened(tmp_path) as index:
            await index.upsert(image(1, {"n": 1}), SHOP)
            await index.patch(own(1), {"n": 2}, BAD)
            await index.upsert(image(2, {"n": 2}), BAD)
            ChangeLog(tmp_path, "images").note("repair", await index.opened.table.version())
            report = await undo(index)
            assert report.left == [Left(own(1), NOT_KEPT)]
            assert report.removed == 1
            ChangeLog(tmp_path, "images").note("create", await index.opened.table.version())
            assert await undo(index) == Undone(0, 0, [], 0)

    run(check())


def test_a_change_of_the_model_begins_new_versions(tmp_path: Path) -> None:
    async def check() -> None:
        async with opened(tmp_path) as index:
            await index.upsert(image(1, {"n": 1}), SHOP)
            await index.patch(own(1), {"n": 2}, BAD)
            await index.upsert(image(2, {"n": 2}), BAD)
        await moved(tmp_path, FakeEmbedder())
        async with opened_as(tmp_path, NEW) as index:
            report = await undo(index)
            assert report.left == [Left(own(1), NOT_KEPT)]
            assert report.removed == 1
            actions = [one.action for one in (await index.changes(LogQuery()))[0]]
            assert actions == ["undo", "reembed", "add", "patch", "add", "create"]

    run(check())


def test_a_delete_by_a_filter_before_the_change_of_the_model_takes_nothing(tmp_path: Path) -> None:
    """The numbers of the old table's versions are no version of the new one."""

    async def check() -> None:
        async with opened(tmp_path) as index:
            for n in range(20):  # the new table will have fewer versions
                await index.upsert(image(n, {"n": n}), SHOP)
            await index.delete_matching({"n": {"$gte": 3}}, WEB)
        await moved(tmp_path, FakeEmbedder())
        async with opened_as(tmp_path, NEW) as index:
            now = await table_of(index)
            await index.patch(own(1), {"n": 100}, BAD)
            report = await undo(index)
            assert (report.restored, report.left) == (1, [])
            assert await table_of(index) == now

    run(check())


def test_a_repair_is_told(tmp_path: Path) -> None:
    async def check() -> None:
        async with opened(tmp_path) as index:
            await index.upsert(image(1, {"n": 1}), SHOP)

    run(check())
    run(repair(StoreSettings(store_uri=str(tmp_path))))
    assert [one.action for one in newest_first(tmp_path)] == ["repair", "add", "create"]


def test_without_a_folder_there_is_no_log(tmp_path: Path) -> None:
    async def check() -> None:
        async with opened(tmp_path) as index:
            index.opened.location.folder = None
            with pytest.raises(NoChangeLogError, match="object store"):
                await index.changes(LogQuery())

    run(check())


@pytest.mark.parametrize("seed", range(3))
def test_random_changes_of_three_keys(tmp_path: Path, seed: int) -> None:
    """One key's are undone; what is left of the table is a plain model of the others'."""
    drawn = random.Random(seed)

    async def check() -> None:
        everybody, others = Model(), Model()
        async with opened(tmp_path, store_upkeep_every=20) as index:
            for _ in range(90):
                by = drawn.choice((SHOP, WEB, BAD))
                change = everybody.draw(drawn, may_restore=by is not BAD)
                for model in (everybody, others)[: 1 if by is BAD else 2]:
                    model.apply(change)
                await applied(index, change, by)
                version = (await index.versions())[0].version if drawn.random() < 0.2 else None
                if version is not None:
                    everybody.keep(version)
                    others.keep(version)
            assert await metadata_of(index) == everybody.images
            report = await undo(index)
            left = {one.id for one in report.left if "written or deleted" not in one.reason}
            assert len(left) < 10, report
            now = await metadata_of(index)
            for n in range(20):
                if own(n) not in left:
                    assert now.get(n) == others.images.get(n), (n, report)
            again = await undo(index)
            assert (again.removed, again.restored) == (0, 0)
            assert await metadata_of(index) == now

    run(check())


class Model:
    """A table in plain Python: the metadata by number."""

    def __init__(self) -> None:
        self.images: dict[int, dict[str, Any]] = {}
        self.versions: dict[int, dict[int, dict[str, Any]]] = {}

    def draw(self, drawn: random.Random, *, may_restore: bool) -> tuple[Any, ...]:
        """A change that does something here."""
        n = drawn.randrange(20)
        kinds = ["add", "patch", "delete", "add", "patch", "add", "by filter"]
        if may_restore and self.versions and drawn.random() < 0.03:
            return "restore", max(self.versions)
        kind = drawn.choice(kinds)
        if kind != "add" and n not in self.images:
            return "add", n, drawn.randrange(1000)
        return kind, n, drawn.randrange(1000)

    def apply(self, change: tuple[Any, ...]) -> None:
        match change:
            case "add", n, value:
                self.images[n] = {"n": n, "value": value}
            case "patch", n, value if n in self.images:
                self.images[n] = {**self.images[n], "value": value}
            case (("delete" | "by filter"), n, _):
                self.images.pop(n, None)
            case "restore", version:
                self.images = dict(self.versions[version])

    def keep(self, version: int) -> None:
        self.versions[version] = dict(self.images)


async def applied(index: ImageIndex, change: tuple[Any, ...], by: Author) -> None:
    match change:
        case "add", n, value:
            await index.upsert(image(n, {"n": n, "value": value}, seed=value), by)
        case "patch", n, value:
            await index.patch(own(n), {"value": value}, by)
        case "delete", n, _:
            await index.delete([own(n)], by)
        case "by filter", n, _:
            await index.delete_matching({"n": n}, by)
        case "restore", version:
            await index.restore(version=version, by=by)


async def metadata_of(index: ImageIndex) -> dict[int, Any]:
    return {n: one["metadata"] for n, one in (await table_of(index)).items()}
