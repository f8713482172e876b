"""Keys with names and scopes: the file's form, and what happens when it changes."""

import asyncio
import errno
import hashlib
import os
from collections.abc import Iterable
from pathlib import Path
from unittest.mock import Mock

import pytest

from api.access.caller import Scope
from api.access.keys import MAX_KEYS, Key, KeyRing, KeysFileError, read_keys

OWN = "key-of-the-environment"
ANNA, BERT = "annas-key-0123456789", "berts-key-ü-0123456789"
TEXT = f"""\
# who may do what

anna read {ANNA}
  bert\twrite   {BERT}\r
"""


@pytest.fixture
def file(tmp_path: Path) -> Path:
    path = tmp_path / "keys"
    path.write_text(TEXT)
    path.chmod(0o600)
    return path


def test_a_line_is_a_name_a_scope_and_a_key(file: Path) -> None:
    found = {key: (one.name, one.scope) for key, one in read_keys(file).items()}
    assert found == {ANNA: ("anna", Scope.READ), BERT: ("bert", Scope.WRITE)}


def test_a_key_of_the_environment_is_told_by_its_digest() -> None:
    key = Key.of_environment(OWN)
    assert key.name == "key-" + hashlib.sha256(OWN.encode()).hexdigest()[:8]
    assert key.scope is Scope.ADMIN


@pytest.mark.parametrize(
    ("text", "said"),
    [
        ("anna read", "line 1: it must be a name, a scope and a key"),
        (f"\n# x\nanna read {ANNA} more", "line 3: it must be"),
        (f"an/na read {ANNA}", "the name must be"),
        (f"{'a' * 65} read {ANNA}", "the name must be"),
        (f"-a read {ANNA}", "the name must be"),
        (f"anna Read {ANNA}", "the scope must be read, write or admin"),
        (f"anna all {ANNA}", "the scope must be"),
        (f"{ANNA} read anna", "16 characters"),
        ("anna read fifteen-of-them", "16 characters"),
        (f"anna read {ANNA}\nanna write {BERT}", "line 2: the name is there twice"),
        (f"anna read {ANNA}\nbert write {ANNA}", "line 2: the key is there twice"),
        (f"anna read {OWN}", "IMAGE_SEARCH_API_KEYS too"),
        (f"{Key.of_environment(OWN).name} read {ANNA}", "the name is there twice"),
        ("\n".join(f"a{n} read {ANNA}{n}" for n in range(MAX_KEYS + 1)), "more than 1000 keys"),
    ],
)
def test_what_is_wrong_is_said_without_the_key(tmp_path: Path, text: str, said: str) -> None:
    path = tmp_path / "keys"
    path.write_text(text)
    with pytest.raises(KeysFileError) as caught:
        read_keys(path, [Key.of_environment(OWN)])
    assert said in str(caught.value)
    assert "\n" not in str(caught.value)
    assert not any(key in str(caught.value) for key in (ANNA, BERT, OWN))


def test_what_is_no_file_of_lines_is_refused(tmp_path: Path) -> None:
    large, other, fifo = tmp_path / "large", tmp_path / "other", tmp_path / "fifo"
    large.write_bytes(b"#" * (1 << 21))
    other.write_bytes(b"anna read \xff\xff\xff\xff\xff\xff\xff\xff\xff\xff\xff\xff\xff\xff\xff\xff")
    os.mkfifo(fifo)  # to open it waits for ever
    for path, said in (
        (large, "larger than"),
        (other, "not UTF-8"),
        (fifo, "no file"),
        (tmp_path, "no file"),
        (tmp_path / "none", "no file"),
    ):
        with pytest.raises(KeysFileError, match=said):
            read_keys(path)


def names(ring: KeyRing) -> list[str]:
    """Whose keys open it, after a look at the file."""
    asyncio.run(ring.refresh())
    keys = (OWN, ANNA, BERT, "a-newer-key-of-anna")
    found = [ring.find([f"Bearer {key}".encode().decode("latin-1")]) for key in keys]
    return [one.name for one in found if one is not None]


@pytest.fixture
def always(monkeypatch: pytest.MonkeyPatch) -> None:
    """Look at the file each time."""
    monkeypatch.setattr("api.access.keys.LOOK_S", 0.0)


@pytest.fixture
def hidden() -> set[str]:
    return set()


@pytest.fixture
def ring(file: Path, hidden: set[str], always: None) -> KeyRing:
    def hide(keys: Iterable[str]) -> None:
        hidden.update(keys)

    return KeyRing([OWN], file, hide)


BOTH = [Key.of_environment(OWN).name, "anna", "bert"]
ONE = BOTH[:1]


def test_a_new_file_counts(ring: KeyRing, file: Path, hidden: set[str]) -> None:
    assert names(ring) == BOTH
    fresh = file.with_name("fresh")
    fresh.write_text("anna admin a-newer-key-of-anna")
    fresh.replace(file)
    assert names(ring) == [*ONE, "anna"]
    assert hidden == {ANNA, BERT, "a-newer-key-of-anna"}
    file.write_text("# nobody\n")
    assert names(ring) == ONE


@pytest.mark.parametrize("text", [b"anna read short", b"anna read \xff", b"bert"])
def test_a_broken_one_leaves_the_keys_and_is_told_of_once(
    ring: KeyRing, file: Path, text: bytes, caplog: pytest.LogCaptureFixture
) -> None:
    assert names(ring) == BOTH
    file.write_bytes(text)
    for _ in range(3):
        assert names(ring) == BOTH
    assert len(caplog.records) == 1
    assert "stay as they were" in caplog.text
    assert "short" not in caplog.text
    file.write_text(TEXT.replace("bert\t", "bart\t"))
    assert names(ring) == [*ONE, "anna", "bart"]


def test_one_that_cannot_be_opened_for_a_moment_is_tried_again(
    ring: KeyRing, file: Path, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    """Else a key that was taken out meanwhile would open the service until the next change."""
    assert names(ring) == BOTH
    file.write_text(f"anna read {ANNA}")
    with monkeypatch.context() as patch:
        patch.setattr(Path, "open", Mock(side_effect=OSError(errno.EMFILE, "Too many open files")))
        for _ in range(3):
            assert names(ring) == BOTH
    assert names(ring) == [*ONE, "anna"]
    assert [one.message for one in caplog.records] == [
        f"the API keys stay as they were: IMAGE_SEARCH_API_KEYS_FILE={file} cannot be read:"
        " Too many open files"
    ]


@pytest.mark.parametrize("own", [[], [OWN]])
def test_without_its_file_nothing_is_open(
    file: Path, own: list[str], always: None, caplog: pytest.LogCaptureFixture
) -> None:
    ring = KeyRing(own, file)
    assert names(ring)[-2:] == ["anna", "bert"]
    file.unlink()
    assert names(ring) == (ONE if own else [])
    assert ring.locked
    assert ring.find([]) is None
    assert "holds no key" in caplog.text
    file.write_text(TEXT)
    assert names(ring)[-2:] == ["anna", "bert"]


def test_a_worker_that_starts_on_a_broken_file_lets_nobody_in(tmp_path: Path, always: None) -> None:
    file = tmp_path / "keys"
    file.write_text("anna read short")
    ring = KeyRing([], file)
    assert (ring.locked, names(ring)) == (True, [])


def test_the_file_is_looked_at_now_and_again(file: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("api.access.keys.LOOK_S", 1000.0)
    ring = KeyRing([OWN], file)
    assert names(ring) == BOTH
    file.unlink()
    assert names(ring) == BOTH
    monkeypatch.setattr("api.access.keys.LOOK_S", 0.0)
    assert names(ring) == ONE


def test_all_who_come_during_a_look_wait_for_it(ring: KeyRing) -> None:
    async def many() -> list[object]:
        bearer = f"Bearer {ANNA}"

        async def one() -> object:
            await ring.refresh()
            return ring.find([bearer])

        return list(await asyncio.gather(*(one() for _ in range(50))))

    assert all(asyncio.run(many()))


def test_others_who_can_read_it_are_told_of(
    ring: KeyRing, file: Path, caplog: pytest.LogCaptureFixture
) -> None:
    assert names(ring) == BOTH
    assert not caplog.records
    file.chmod(0o644)
    assert names(ring) == BOTH
    assert "chmod 600" in caplog.text


def test_one_header_of_the_right_scheme(ring: KeyRing) -> None:
    assert names(ring) == BOTH
    assert ring.find([f"bearer  {ANNA} "]) is not None
    for given in ([], [""], [ANNA], [f"Basic {ANNA}"], [f"Bearer {ANNA}"] * 2, [f"Bearer {ANNA}x"]):
        assert ring.find(given) is None
    assert ring.find([f"Bearer \x85{ANNA}\xa0"]) is None


def test_a_key_may_end_as_a_space_of_latin_1_does() -> None:
    key = "a-key-that-ends-in-à"
    assert key.encode()[-1:] == b"\xa0"
    assert KeyRing([key]).find([f"Bearer {key} ".encode().decode("latin-1")]) is not None
