"""What a power cut may leave behind, and that the disk is asked before a caller is answered."""

import errno
import os
from pathlib import Path

import pytest

import store.write.commit
from store.errors import StoreOpenError, StoreWriteError
from store.table.disk.sync import set_aside_torn_manifests, sync_to_disk
from tests.store.support import image, opened, run


def newest_manifest(folder: Path) -> Path:
    return min((folder / "images.lance" / "_versions").glob("*.manifest"))


@pytest.mark.parametrize("left", [b"", b"LAN", b"\0" * 4096, b"\0" * 4092 + b"LANC", b"LANC" * 9])
def test_a_torn_manifest_is_set_aside_and_the_rest_is_there(tmp_path: Path, left: bytes) -> None:
    async def check() -> None:
        async with opened(tmp_path) as index:
            await index.upsert(image(1))
        newest = newest_manifest(tmp_path)
        torn = newest.with_name(f"{int(newest.stem) - 1}.manifest")  # of the next commit
        torn.write_bytes(left)
        async with opened(tmp_path) as index:
            assert [each.url for each in (await index.images(10)).images] == [image(1).url]
            await index.upsert(image(3))
            assert await index.count() == 2
        assert (torn.parent / f"{torn.name}.torn").read_bytes() == left

    run(check())


def test_whole_manifests_stay(tmp_path: Path) -> None:
    async def check() -> None:
        async with opened(tmp_path) as index:
            await index.upsert(image(1))
        before = sorted((tmp_path / "images.lance" / "_versions").iterdir())
        assert set_aside_torn_manifests(tmp_path / "images.lance")
        assert sorted((tmp_path / "images.lance" / "_versions").iterdir()) == before
        assert set_aside_torn_manifests(tmp_path / "none.lance")

    run(check())


def test_a_table_of_which_nothing_is_whole_is_not_made_anew(tmp_path: Path) -> None:
    async def check() -> None:
        async with opened(tmp_path) as index:
            await index.upsert(image(1))
        for manifest in (tmp_path / "images.lance" / "_versions").glob("*.manifest"):
            manifest.write_bytes(b"")
        with pytest.raises(StoreOpenError):
            async with opened(tmp_path):
                pass

    run(check())


def test_a_table_whose_making_broke_off_is_made_again(tmp_path: Path) -> None:
    async def check() -> None:
        (tmp_path / "images.lance" / "data").mkdir(parents=True)
        async with opened(tmp_path) as index:
            await index.upsert(image(1))
            assert await index.count() == 1

    run(check())


def test_a_disk_that_cannot_write_is_no_acknowledged_add(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def fails(folder: Path) -> None:
        assert folder == tmp_path
        raise OSError(errno.EIO, "input/output error")

    async def check() -> None:
        async with opened(tmp_path) as index:
            monkeypatch.setattr(store.write.commit, "sync_to_disk", fails)
            with pytest.raises(StoreWriteError):
                await index.upsert(image(1))
            monkeypatch.undo()
            assert not (await index.upsert(image(1))).created

    run(check())


def test_a_power_cut_before_the_disk_has_it_loses_only_what_nobody_was_told_of(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def cut_off(folder: Path) -> None:
        raise OSError(errno.EIO, "power cut")

    async def check() -> None:
        async with opened(tmp_path) as index:
            await index.upsert(image(1))
            monkeypatch.setattr(store.write.commit, "sync_to_disk", cut_off)
            with pytest.raises(StoreWriteError):
                await index.upsert(image(2))
            monkeypatch.undo()
        newest_manifest(tmp_path).write_bytes(b"")  # of image 2: it never reached the disk
        async with opened(tmp_path) as index:
            assert [each.url for each in (await index.images(10)).images] == [image(1).url]

    run(check())


def test_syncing_can_be_left_out(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    synced: list[Path] = []
    monkeypatch.setattr(store.write.commit, "sync_to_disk", synced.append)

    async def check() -> None:
        async with opened(tmp_path, store_sync=False) as index:
            await index.upsert(image(1))
        assert synced == []
        async with opened(tmp_path) as index:
            await index.upsert(image(2))
        assert synced == [tmp_path]

    run(check())


def test_sync_reports_a_folder_that_is_gone(tmp_path: Path) -> None:
    sync_to_disk(tmp_path)
    with pytest.raises(OSError, match=os.strerror(errno.ENOENT)):
        sync_to_disk(tmp_path / "gone")
