"""Files that commands write: through no link, and with the rights that they should have."""

import os
import stat
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from image_search.cli.index.journal import Journal, JournalError
from image_search.cli.output import made_whole, opened_anew, opened_notes
from image_search.cli.progress import FailureFile
from image_search.cli.terminal import shown


@pytest.fixture(autouse=True)
def _usual_umask() -> Iterator[None]:
    before = os.umask(0o022)
    yield
    os.umask(before)


@pytest.fixture
def precious(tmp_path: Path) -> Path:
    """A file of the person's, to which a stranger's link leads."""
    path = tmp_path / "precious"
    path.write_bytes(b"precious")
    return path


def mode(path: Path) -> int:
    return stat.S_IMODE(path.stat().st_mode)


@pytest.mark.parametrize("write", [opened_anew, opened_notes, FailureFile])
def test_a_link_is_not_followed(
    tmp_path: Path, precious: Path, write: Callable[[Path], object]
) -> None:
    for target in (precious, tmp_path / "new"):
        link = tmp_path / f"to-{target.name}"
        link.symlink_to(target)
        with pytest.raises(OSError, match="it is a link, which is not followed"):
            write(link)
    assert precious.read_bytes() == b"precious"
    assert not (tmp_path / "new").exists()


def test_a_state_is_not_read_through_a_link(tmp_path: Path) -> None:
    Journal(tmp_path / "theirs", "a").close()
    before = (tmp_path / "theirs").read_bytes()
    (tmp_path / "state").symlink_to(tmp_path / "theirs")
    with pytest.raises(JournalError, match=r"state: it is a link, .* name another --state"):
        Journal(tmp_path / "state", "a")
    (tmp_path / "state").unlink()
    (tmp_path / "state").hardlink_to(tmp_path / "theirs")
    with pytest.raises(JournalError, match="not a plain file of its own"):
        Journal(tmp_path / "state", "b")
    assert (tmp_path / "theirs").read_bytes() == before


def test_a_state_is_its_owners(tmp_path: Path) -> None:
    state = tmp_path / "state"
    Journal(state, "a").close()
    assert mode(state) == 0o600
    state.chmod(0o644)  # of an earlier release
    Journal(state, "a").close()
    assert mode(state) == 0o600


def test_a_state_that_is_a_pipe_is_not_waited_for(tmp_path: Path) -> None:
    os.mkfifo(tmp_path / "state")
    with pytest.raises(JournalError, match="not a plain file"):
        Journal(tmp_path / "state", "a")


@pytest.mark.skipif(os.geteuid() != 0, reason="only root can give a file away")
def test_a_state_of_another_user_is_not_believed(tmp_path: Path) -> None:
    """It would say that all is done."""
    Journal(tmp_path / "state", "a").close()
    os.chown(tmp_path / "state", 65534, 65534)
    with pytest.raises(JournalError, match="belongs to another user"):
        Journal(tmp_path / "state", "a")


def test_what_a_person_names_has_the_rights_that_their_umask_leaves(tmp_path: Path) -> None:
    with opened_anew(tmp_path / "picture") as file:
        file.write(b"x" * 10)
    with made_whole(tmp_path / "table") as file:
        file.write(b"whole")
    with opened_anew(tmp_path / "picture") as file:
        file.write(b"y")
    assert (tmp_path / "picture").read_bytes() == b"y"
    assert {mode(each) for each in tmp_path.iterdir()} == {0o644}


def test_the_systems_own_links_are_followed() -> None:
    with opened_anew(Path("/dev/null")) as file:
        file.write(b"nothing")
    assert stat.S_ISCHR(Path("/dev/null").stat().st_mode)


def test_a_whole_file_takes_a_links_place(tmp_path: Path, precious: Path) -> None:
    (tmp_path / "out").symlink_to(precious)
    with made_whole(tmp_path / "out") as file:
        file.write(b"whole")
    assert precious.read_bytes() == b"precious"
    assert not (tmp_path / "out").is_symlink()
    assert (tmp_path / "out").read_bytes() == b"whole"


def test_a_file_that_is_not_finished_is_not_there(tmp_path: Path) -> None:
    with pytest.raises(TypeError), made_whole(tmp_path / "out") as file:
        file.write(b"half") + "no number"  # type: ignore[operator]
    assert list(tmp_path.iterdir()) == []


def test_a_folder_that_is_not_there_is_told_by_the_name_that_was_given(tmp_path: Path) -> None:
    path = tmp_path / "missing" / "out"
    with pytest.raises(OSError, match="No such file") as refused, made_whole(path):
        pass
    assert shown(refused.value) == f"{path}: No such file or directory"


def test_a_device_is_not_replaced(tmp_path: Path) -> None:
    with pytest.raises(OSError, match="not a file that could be replaced"):  # noqa: SIM117
        with made_whole(Path("/dev/null")):
            pass
    (tmp_path / "to-null").symlink_to("/dev/null")
    with pytest.raises(OSError, match="not a file"), made_whole(tmp_path / "to-null"):
        pass
