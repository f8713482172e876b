"""The files of a table are its owner's: their modes, and those of an earlier release."""

import logging
import os
import stat
from collections.abc import Iterator
from pathlib import Path

import pytest

from store.errors import StoreOpenError
from store.private import close_to_others
from store.settings import StoreSettings
from store.table.disk.location import Location
from store.table.disk.lock import FileLock
from tests.store.support import image, opened, run

ALONE, SHARED = StoreSettings().umask, StoreSettings(store_shared=True).umask


@pytest.fixture(autouse=True)
def _usual_umask() -> Iterator[None]:
    """As a person's shell has it."""
    before = os.umask(0o022)
    yield
    os.umask(before)


def mode(path: Path) -> int:
    return stat.S_IMODE(path.stat().st_mode)


def modes(folder: Path) -> dict[str, int]:
    return {str(each.relative_to(folder)): mode(each) for each in sorted(folder.rglob("*"))}


def indexed(folder: Path) -> None:
    async def write() -> None:
        async with opened(folder) as index:
            await index.upsert(image(1, {"shop": "A"}))

    run(write())


def test_what_can_be_locked_is_the_owners_whatever_the_umask(tmp_path: Path) -> None:
    indexed(tmp_path)
    lockable = [*(tmp_path / ".locks").iterdir(), tmp_path / "images.acknowledged"]
    assert len(lockable) > 2
    assert {mode(each) for each in lockable} == {0o600}


def test_who_may_write_in_a_folder_may_lock(tmp_path: Path) -> None:
    tmp_path.chmod(0o2770)
    with FileLock(tmp_path / "lock").held_if_free():
        assert mode(tmp_path / "lock") == mode(tmp_path / "lock.door") == 0o640  # by the umask
    os.umask(SHARED)
    with FileLock(tmp_path / "another").held_if_free():
        assert mode(tmp_path / "another") == 0o660


def test_a_lock_of_an_earlier_release_is_narrowed(tmp_path: Path) -> None:
    (tmp_path / "lock").touch(0o644)
    with FileLock(tmp_path / "lock").held_if_free() as is_held:
        assert is_held
    assert mode(tmp_path / "lock") == 0o600


def test_a_lock_that_is_a_link_is_not_followed(tmp_path: Path) -> None:
    (tmp_path / "lock").symlink_to(tmp_path / "elsewhere")
    with pytest.raises(OSError, match="symbolic link"):
        FileLock(tmp_path / "lock").try_acquire()
    assert not (tmp_path / "elsewhere").exists()


def test_a_new_store_is_its_owners(tmp_path: Path) -> None:
    os.umask(ALONE)
    folder = tmp_path / "data" / "index"
    Location(str(folder)).check(sync=True)
    indexed(folder)
    open_to_others = {path: found for path, found in modes(tmp_path).items() if found & 0o077}
    assert open_to_others == {}


def test_one_of_an_earlier_release_is_closed_at_the_start_and_said_so(
    tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    indexed(tmp_path)
    tmp_path.chmod(0o755)
    (tmp_path / ".locks").chmod(0o775)
    (tmp_path / "images.acknowledged").chmod(0o644)
    for _ in range(2):
        Location(str(tmp_path)).close_to_others(ALONE)
    [said] = caplog.messages
    assert "IMAGE_SEARCH_STORE_SHARED" in said
    assert mode(tmp_path) == 0o700
    assert {found & 0o077 for path, found in modes(tmp_path).items() if "/" not in path} == {0}


def test_a_group_that_shares_it_keeps_it(tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    indexed(tmp_path)
    tmp_path.chmod(0o2775)
    Location(str(tmp_path)).close_to_others(SHARED)
    assert mode(tmp_path) == 0o2770
    assert len(caplog.messages) == 1


@pytest.mark.parametrize("others", [{"mode": 0o1777, "files": []}, {"mode": 0o755, "files": ["x"]}])
def test_a_folder_that_is_not_the_stores_alone_is_left(
    tmp_path: Path, others: dict[str, object], caplog: pytest.LogCaptureFixture
) -> None:
    indexed(tmp_path)
    tmp_path.chmod(int(str(others["mode"])))
    files = [tmp_path / str(name) for name in (others["files"] or [])]  # type: ignore[attr-defined]
    for file in files:
        file.touch(0o644)
    (tmp_path / "images.lance").chmod(0o755)
    with caplog.at_level(logging.WARNING):
        close_to_others(tmp_path, ALONE)
    assert mode(tmp_path) == others["mode"]
    assert {mode(file) for file in files} <= {0o644}
    assert mode(tmp_path / "images.lance") == 0o700
    assert len(caplog.messages) == 1


def test_links_in_the_folder_are_not_followed(tmp_path: Path) -> None:
    outside = tmp_path / "outside"
    outside.touch(0o644)
    folder = tmp_path / "index"
    folder.mkdir()
    (folder / "images.x").symlink_to(outside)
    close_to_others(folder, ALONE)
    assert mode(outside) == 0o644
    assert mode(folder) == 0o700


@pytest.mark.skipif(os.geteuid() != 0, reason="only root can give a folder away")
def test_another_users_index_is_told_of_and_not_written(
    tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    indexed(tmp_path)
    for path in (tmp_path, tmp_path / "images.lance"):
        path.chmod(0o755)
        os.chown(path, 65534, -1)
    close_to_others(tmp_path, ALONE)
    assert mode(tmp_path / "images.lance") == 0o755
    location = Location(str(tmp_path))
    with pytest.raises(StoreOpenError, match="belongs to the user nobody"):
        location.refuse_anothers(ALONE)
    location.refuse_anothers(SHARED)
    assert mode(tmp_path) == 0o755
    assert any("chmod o-rwx" in said for said in caplog.messages) or caplog.messages
