"""Damaged tables: named, never silently without what was acknowledged; and the ways out."""

import os
import shutil
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from lancedb import AsyncTable

from store.errors import StoreDamagedError, StoreError
from store.offline.repair import examine, repair
from store.schemas import SearchQuery, image_id
from store.settings import StoreSettings
from store.table.disk.sync import Acknowledged
from store.table.integrity import Damage, find_damage
from store.table.open import check_table
from tests.store.support import image, opened, run, url_of, vector

ROWS = 6
Harm = Callable[[Path], object]


@pytest.fixture
def table(tmp_path: Path) -> Path:
    """The folder of a table with images 0 to 5: one file of four, and two of one."""

    async def make() -> None:
        async with opened(tmp_path, store_upkeep_every=1000) as index:
            for n in range(4):
                await index.upsert(image(n, f"picture {n}"))
            await index.run_upkeep()
            for n in range(4, ROWS):
                await index.upsert(image(n, f"picture {n}"))

    run(make())
    return tmp_path / "images.lance"


def newest_manifest(table: Path) -> Path:
    return min((table / "_versions").glob("*.manifest"))


def newest_rows(table: Path) -> Path:
    return max((table / "data").iterdir(), key=lambda file: file.stat().st_mtime_ns)


def cut(file: Path) -> None:
    file.write_bytes(file.read_bytes()[: file.stat().st_size // 2])


def garble(file: Path) -> None:
    file.write_bytes(os.urandom(file.stat().st_size))


def delete_manifests(table: Path) -> None:
    for manifest in (table / "_versions").iterdir():
        manifest.unlink()


def start(table: Path) -> None:
    """What the check before a start does."""
    settings = StoreSettings(store_uri=str(table.parent))
    run(check_table(settings))


LOST: list[Harm] = [
    lambda table: cut(newest_manifest(table)),
    lambda table: garble(newest_manifest(table)),
    lambda table: newest_manifest(table).unlink(),
    delete_manifests,
    shutil.rmtree,
]


@pytest.mark.parametrize("harm", LOST)
def test_a_table_that_lost_its_newest_version_is_not_opened(table: Path, harm: Harm) -> None:
    start(table)
    harm(table)
    for _ in range(2):  # the second time, too
        with pytest.raises(StoreDamagedError, match="lost its newest changes") as caught:
            start(table)
        assert "images.acknowledged" in caught.value.detail
        assert "backup" in caught.value.detail
        with pytest.raises(StoreDamagedError):
            run(_count(table))


@pytest.mark.parametrize("harm", LOST)
def test_deleting_the_note_accepts_the_loss(table: Path, harm: Harm) -> None:
    harm(table)
    with pytest.raises(StoreDamagedError):
        start(table)
    (table.parent / "images.acknowledged").unlink()
    start(table)
    assert run(_count(table)) == (ROWS - 1 if table.is_dir() and harm in LOST[:3] else 0)


def test_putting_the_file_back_mends_it(table: Path) -> None:
    manifest = newest_manifest(table)
    content = manifest.read_bytes()
    manifest.unlink()
    with pytest.raises(StoreDamagedError):
        start(table)
    manifest.write_bytes(content)
    start(table)
    assert run(_count(table)) == ROWS


def test_without_sync_a_lost_version_is_nobodys_promise(tmp_path: Path) -> None:
    async def check() -> None:
        async with opened(tmp_path, store_sync=False) as index:
            await index.upsert(image(1))
            await index.upsert(image(2))
        newest_manifest(tmp_path / "images.lance").unlink()
        async with opened(tmp_path, store_sync=False) as index:
            assert await index.count() == 1

    run(check())


@pytest.mark.parametrize(
    "harm",
    [
        lambda table: newest_rows(table).unlink(),
        lambda table: cut(newest_rows(table)),
        lambda table: newest_rows(table).write_bytes(b""),
    ],
)
def test_rows_that_are_missing_are_named_and_can_be_left_out(table: Path, harm: Harm) -> None:
    name = newest_rows(table).name
    harm(table)
    with pytest.raises(StoreDamagedError, match="the index is damaged") as caught:
        start(table)
    for part in (f"images.lance/data/{name}", "with 1 images", "image-search check --repair"):
        assert part in caught.value.detail
    assert str(table.parent) not in caught.value.detail
    _repaired(table)


def test_rows_that_no_longer_decode_are_found_by_reading(table: Path) -> None:
    garble(newest_rows(table))
    start(table)  # as long as before
    _repaired(table)


def _repaired(table: Path) -> None:
    settings = StoreSettings(store_uri=str(table.parent))
    found = run(examine(settings))
    assert not found.is_whole
    assert (found.rows, found.damage.rows, len(found.damage.files)) == (ROWS, 1, 1)
    mended = run(repair(settings))
    assert mended.is_whole
    assert mended.rows == ROWS - 1
    start(table)

    async def use() -> None:
        async with opened(table.parent) as index:
            assert await index.count() == ROWS - 1
            for n in range(ROWS - 1):
                assert await index.get(image_id(url_of(n))) is not None
            assert await index.search(SearchQuery(text="picture", text_vector=vector(1)))
            assert (await index.upsert(image(ROWS - 1))).created
            assert await index.count() == ROWS

    run(use())


@pytest.mark.parametrize("harm", LOST)
def test_a_repair_accepts_the_loss_of_a_version(table: Path, harm: Harm) -> None:
    harm(table)
    settings = StoreSettings(store_uri=str(table.parent))
    found = run(examine(settings))
    assert found.version < found.acknowledged
    assert run(repair(settings)).is_whole
    start(table)


def test_an_index_that_lost_files_is_made_anew(table: Path) -> None:
    files = [file for file in (table / "_indices").rglob("*") if file.is_file()]
    for file in files:
        file.unlink()
    start(table)

    async def check() -> None:
        async with opened(table.parent) as index:
            found = await index.search(SearchQuery(text="picture 3", text_vector=vector(3)))
            assert found[0].url == url_of(3)

    run(check())


@pytest.mark.parametrize(
    ("harm", "readable"),
    [
        (lambda table: cut(newest_manifest(table)), False),
        (lambda table: newest_manifest(table).unlink(), True),
        (lambda table: newest_rows(table).unlink(), True),
        (shutil.rmtree, False),
    ],
)
def test_damage_under_a_running_service_is_said_and_adds_nothing(
    table: Path, harm: Harm, readable: bool
) -> None:
    async def check() -> None:
        async with opened(table.parent) as index:
            await index.count()
            harm(table)
            for n in range(2):
                with pytest.raises(StoreDamagedError):
                    await index.upsert(image(10 + n))
            if readable:
                assert await index.count() >= ROWS - 1
            else:
                with pytest.raises(StoreDamagedError):
                    await index.count()

    run(check())


def test_a_loss_of_what_another_process_acknowledged_is_not_settled(table: Path) -> None:
    async def check() -> None:
        async with opened(table.parent) as first, opened(table.parent) as second:
            await second.upsert(image(10))
            for n in range(11, 14):
                await first.upsert(image(n))
            acknowledged = Acknowledged(table.parent, table.stem)
            told = acknowledged.read()
            for _ in range(2):
                newest_manifest(table).unlink()
            with pytest.raises(StoreDamagedError):
                await second.upsert(image(20))
            assert acknowledged.read() == told

    run(check())
    with pytest.raises(StoreDamagedError):
        start(table)


def test_the_acknowledged_version_only_grows(tmp_path: Path) -> None:
    acknowledged = Acknowledged(tmp_path, "images")
    for version in (5, 6, 5):
        acknowledged.write(version)
    assert acknowledged.read() == 6


def test_an_add_while_a_start_looks_is_no_loss(
    table: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    version = AsyncTable.version

    async def then_another_adds(looked_at: AsyncTable) -> int:
        monkeypatch.undo()
        seen = int(await version(looked_at))
        await _add(table)
        return seen

    monkeypatch.setattr(AsyncTable, "version", then_another_adds)
    start(table)
    assert run(_count(table)) == ROWS + 1


def test_an_add_while_a_check_looks_is_no_loss(
    table: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def after_another_added(*args: Any, **options: Any) -> Damage:
        run(_add(table))
        return find_damage(*args, **options)

    monkeypatch.setattr("store.offline.repair.find_damage", after_another_added)
    assert run(examine(StoreSettings(store_uri=str(table.parent)))).is_whole
    assert run(_count(table)) == ROWS + 1


def test_a_sound_index_is_whole(table: Path, tmp_path: Path) -> None:
    settings = StoreSettings(store_uri=str(table.parent))
    assert run(examine(settings)).is_whole
    assert run(repair(settings)).rows == ROWS
    for nowhere in (str(tmp_path / "nowhere"), "s3://bucket/index"):
        with pytest.raises(StoreError):
            run(examine(StoreSettings(store_uri=nowhere)))


async def _add(table: Path) -> None:
    async with opened(table.parent) as index:
        await index.upsert(image(ROWS))


async def _count(table: Path) -> int:
    async with opened(table.parent) as index:
        return await index.count()
