"""Files of pictures beside the table: kept as long as anything can bring their image back."""

import asyncio
import errno
import hashlib
import os
from dataclasses import replace
from datetime import timedelta
from pathlib import Path

import pytest

import store.pictures.files
from store.errors import StoreFullError, StoreReadOnlyError
from store.index import ImageIndex
from store.pictures.files import Kind, PictureFiles
from store.pictures.sweep import SETTLED_S, key_prefixes, sweep, sweep_pictures
from store.schemas import NewImage, image_id
from tests.store.offline.moving import NEW, FakeEmbedder, moved, opened_as
from tests.store.support import image, opened, run, url_of

LONG_S = 3600.0 * 24


def key(content: bytes) -> str:
    return hashlib.sha256(content).hexdigest()


def with_thumbnail(n: int, picture: bytes) -> NewImage:
    """An image with these pixels; the thumbnail says which."""
    return replace(image(n), pixels=key(picture), thumbnail=b"small " + picture)


async def small(index: ImageIndex, n: int) -> bytes | None:
    file = await index.picture(image_id(url_of(n)), "thumbnails")
    return None if file is None else file.data


def files(folder: Path, kind: Kind = "thumbnails") -> list[Path]:
    return sorted(path for path in (folder / "pictures" / kind).rglob("*") if path.is_file())


def grow_older(folder: Path, seconds: float = SETTLED_S + 1) -> None:
    for path in (folder / "pictures").rglob("*"):
        then = path.stat().st_mtime - seconds
        os.utime(path, (then, then))


async def looked_through(index: ImageIndex, times: int = 1) -> list[str]:
    did: list[str] = []
    for _ in range(times):
        report = await index.run_upkeep()
        assert report is not None
        assert report.result == "ok"
        did += [each for each in report.did if "pictures" in each]
    return did


def test_what_was_kept_is_there_after_a_restart_and_once_for_all_urls(tmp_path: Path) -> None:
    async def check() -> None:
        async with opened(tmp_path) as index:
            for n in range(3):
                await index.upsert(with_thumbnail(n, b"same"))
            file = await index.keep_original(b"a file")
            await index.upsert(replace(image(3), file=file))
            await index.upsert(image(4))
        assert len(files(tmp_path)) == 1
        async with opened(tmp_path) as index:
            assert [await small(index, n) for n in range(5)] == [b"small same"] * 3 + [None] * 2
            original = await index.picture(image_id(url_of(3)), "originals")
            assert original is not None
            assert (original.key, original.data) == (key(b"a file"), b"a file")
            assert await index.picture("nobody", "originals") is None
            assert await index.picture("\ud800", "thumbnails") is None

    run(check())


def test_metadata_may_change_and_fragments_be_joined(tmp_path: Path) -> None:
    async def check() -> None:
        async with opened(tmp_path) as index:
            for n in range(30):
                await index.upsert(with_thumbnail(n, b"%d" % n))
            await index.patch(image_id(url_of(7)), {"a": 1})
            await looked_through(index)
            assert [await small(index, n) for n in range(30)] == [
                b"small %d" % n for n in range(30)
            ]

    run(check())


def test_an_image_that_is_brought_back_has_its_own_picture(tmp_path: Path) -> None:
    """Deleted, replaced, looked through twice, restored: each version has what it had."""

    async def check() -> None:
        async with opened(tmp_path) as index:
            await index.upsert(with_thumbnail(0, b"first"))
            await index.upsert(with_thumbnail(1, b"other"))
            (before, *_) = await index.versions()
            await index.upsert(with_thumbnail(0, b"second"))
            await index.delete([image_id(url_of(1))])
            grow_older(tmp_path)
            assert await looked_through(index, times=2) == []
            assert (await small(index, 0), await small(index, 1)) == (b"small second", None)
            assert sum(path.name.endswith(".unused") for path in files(tmp_path)) == 2

            await index.restore(version=before.version)
            assert (await small(index, 0), await small(index, 1)) == (
                b"small first",
                b"small other",
            )
            assert await looked_through(index) == []
            marked = [path.name for path in files(tmp_path) if path.name.endswith(".unused")]
            assert marked == [key(b"second") + ".unused"]
            assert (await small(index, 0), await small(index, 1)) == (
                b"small first",
                b"small other",
            )

    run(check())


def test_what_nothing_can_bring_back_is_removed(tmp_path: Path) -> None:
    async def check() -> None:
        async with opened(tmp_path) as index:
            for n in range(4):
                await index.upsert(with_thumbnail(n, b"%d" % n))
            await index.delete([image_id(url_of(n)) for n in (1, 2)])
            assert await looked_through(index) == []
            assert len(files(tmp_path)) == 4  # too young to be judged
            grow_older(tmp_path)
            assert await looked_through(index) == []
            assert len(files(tmp_path)) == 4  # marked, and still there
            grow_older(tmp_path, LONG_S)
            assert await looked_through(index) == ["removed the files of 2 pictures"]
            assert {path.name for path in files(tmp_path)} == {key(b"0"), key(b"3")}
            assert await small(index, 3) == b"small 3"

    run(check())


def test_a_picture_that_comes_again_while_it_is_marked_stays(tmp_path: Path) -> None:
    async def check() -> None:
        async with opened(tmp_path) as index:
            await index.upsert(with_thumbnail(0, b"picture"))
            await index.delete([image_id(url_of(0))])
            grow_older(tmp_path)
            await looked_through(index)
            await index.upsert(with_thumbnail(1, b"picture"))
            grow_older(tmp_path, LONG_S)
            await looked_through(index, times=2)
            assert await small(index, 1) == b"small picture"

    run(check())


def test_a_write_that_was_cut_off_leaves_nothing_for_ever(tmp_path: Path) -> None:
    kept = PictureFiles(tmp_path)
    kept.write("originals", key(b"whole"), b"whole")
    (whole,) = files(tmp_path, "originals")
    part = whole.with_name(whole.name + "." + "0" * 32)
    part.write_bytes(b"who")
    assert kept.read("originals", key(b"whole")) == b"whole"
    grow_older(tmp_path, LONG_S)
    assert sweep(tmp_path, {"originals": key_prefixes([key(b"whole")])}, timedelta(hours=1)) == 1
    assert files(tmp_path, "originals") == [whole]


def test_a_disk_without_room_or_that_cannot_be_written_fails_the_add_alone(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def read_only(*_: object) -> None:
        raise OSError(errno.EROFS, "Read-only file system")

    async def check() -> None:
        async with opened(tmp_path) as index:
            await index.upsert(with_thumbnail(0, b"0"))
            with monkeypatch.context() as patch:
                patch.setattr(store.pictures.files, "has_space", lambda _: False)
                with pytest.raises(StoreFullError):
                    await index.upsert(with_thumbnail(1, b"1"))
            with monkeypatch.context() as patch:
                patch.setattr(Path, "write_bytes", read_only)
                with pytest.raises(StoreReadOnlyError):
                    await index.keep_original(b"2")
            assert await index.count() == 1
            await index.upsert(with_thumbnail(1, b"1"))
            assert await small(index, 1) == b"small 1"
        assert len(files(tmp_path)) == 2
        assert files(tmp_path, "originals") == []

    run(check())


def test_names_that_are_no_keys_lead_nowhere(tmp_path: Path) -> None:
    kept = PictureFiles(tmp_path)
    (tmp_path / "secret").write_bytes(b"x")
    assert kept.read("originals", "../../secret") is None
    with pytest.raises(ValueError, match="hexadecimal"):
        kept.write("originals", "../../secret", b"y")
    assert (tmp_path / "secret").read_bytes() == b"x"


def test_the_files_of_other_tables_stay(tmp_path: Path) -> None:
    """While an index moves to another model, and after: its old table can be gone back to."""

    async def check() -> None:
        async with opened(tmp_path) as index:
            for n in range(3):
                await index.upsert(with_thumbnail(n, b"%d" % n))
            file = await index.keep_original(b"upload")
            await index.upsert(replace(image(3), file=file))
        embed = FakeEmbedder(failing=frozenset({url_of(1)}))
        assert (await moved(tmp_path, embed, leave_out_failed=True)).switched
        assert embed.files == {url_of(3): key(b"upload")}
        async with opened_as(tmp_path, NEW) as index:
            for _ in range(2):
                grow_older(tmp_path, LONG_S)
                await looked_through(index)
            assert [await small(index, n) for n in range(3)] == [b"small 0", None, b"small 2"]
            assert await index.picture(image_id(url_of(3)), "originals") is not None
        assert len(files(tmp_path)) == 3

    run(check())


def test_a_table_that_cannot_be_read_removes_nothing(tmp_path: Path) -> None:
    async def check() -> None:
        async with opened(tmp_path) as index:
            await index.upsert(with_thumbnail(0, b"0"))
            await index.delete([image_id(url_of(0))])
            grow_older(tmp_path)
            await looked_through(index)
            grow_older(tmp_path, LONG_S)
            versions = tmp_path / "images_9.lance" / "_versions"
            versions.mkdir(parents=True)
            (versions / "1.manifest").write_bytes(b"torn")
            report = await index.run_upkeep()
            assert report is not None
            assert "removing unused pictures" in report.result
        assert len(files(tmp_path)) == 1

    run(check())


def test_what_is_left_of_a_table_is_no_table(tmp_path: Path) -> None:
    async def check() -> None:
        async with opened(tmp_path) as index:
            await index.upsert(with_thumbnail(0, b"0"))
            await index.delete([image_id(url_of(0))])
            (tmp_path / "images_9.lance" / "data").mkdir(parents=True)
            grow_older(tmp_path)
            await looked_through(index)
            grow_older(tmp_path, LONG_S)
            assert await looked_through(index) == ["removed the files of 1 pictures"]

    run(check())


def test_where_the_table_is_gone_its_pictures_stay(tmp_path: Path) -> None:
    PictureFiles(tmp_path).write("originals", key(b"x"), b"x")
    for _ in range(3):
        grow_older(tmp_path, LONG_S)
        assert sweep_pictures(tmp_path, timedelta(hours=1)) == 0
    assert len(files(tmp_path, "originals")) == 1


def test_what_was_restored_and_deleted_again_counts_from_then_on(tmp_path: Path) -> None:
    """A mark of the first time must not shorten how long the second can be undone."""

    async def check() -> None:
        async with opened(tmp_path) as index:
            await index.upsert(with_thumbnail(0, b"0"))
            (there, *_) = await index.versions()
            await index.delete([image_id(url_of(0))])
            grow_older(tmp_path)
            await looked_through(index)
            grow_older(tmp_path, LONG_S)
            await index.restore(version=there.version)
            while any(path.name.endswith(".unused") for path in files(tmp_path)):  # noqa: ASYNC110
                await asyncio.sleep(0.05)  # until the round that the restore asked for
            await index.delete([image_id(url_of(0))])
            await looked_through(index, times=2)
            await index.restore(version=there.version)
            assert await small(index, 0) == b"small 0"

    run(check())


@pytest.mark.parametrize("left", [b"", b"small 0"[:3], b"SMALL 0"])
def test_a_file_that_a_power_cut_has_spoilt_is_written_anew(tmp_path: Path, left: bytes) -> None:
    async def check() -> None:
        async with opened(tmp_path) as index:
            await index.upsert(with_thumbnail(0, b"0"))
            (path,) = files(tmp_path)
            path.write_bytes(left)
            await index.upsert(with_thumbnail(0, b"0"))
            assert await small(index, 0) == b"small 0"

    run(check())


def test_keys_are_found_by_their_first_digits() -> None:
    keys = [key(b"%d" % n) for n in range(1000)]
    prefixes = key_prefixes(keys)
    assert prefixes.nbytes == 8000
    assert [int(each[:16], 16) for each in keys] == prefixes.tolist()
    assert len(key_prefixes([])) == 0
