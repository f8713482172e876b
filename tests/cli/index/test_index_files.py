"""`image-search index` on folders, globs and files, against the real service."""

import json
import os
import subprocess
from pathlib import Path

import pytest
from PIL import Image

from api.requests.source import upload_url
from cli.index.files import EXTENSIONS, matching, walk
from demo.process import PROJECT, ServiceProcess
from demo.scenes.scenes import Scene
from demo.server import as_jpeg
from image_search import Client
from images.decode.structure import FORMATS
from tests.cli.interrupted import command


def _index(folder: Path, *words: str, server: str) -> tuple[int, str, list[dict[str, str]]]:
    failures = folder.parent / "failures"
    line = command("index", *words, "--server", server, "--failures", str(failures))
    environment = {**os.environ, "PYTHONPATH": str(PROJECT)}
    done = subprocess.run(
        line, cwd=folder, env=environment, capture_output=True, text=True, timeout=120, check=False
    )
    assert "Traceback" not in done.stderr
    return done.returncode, done.stdout, list(map(json.loads, failures.read_text().splitlines()))


def _metadata(service: ServiceProcess, data: bytes) -> object:
    with Client(service.url) as client:
        images = client.list(limit=1000).images
    return next(image.metadata for image in images if image.url == upload_url(data))


@pytest.fixture
def album(tmp_path: Path, scenes: list[Scene]) -> Path:
    """Two pictures, one of them deep down, and much that is none."""
    folder = tmp_path / "album"
    for name in ("", "sub/deep", ".hidden"):
        (folder / name).mkdir(parents=True, exist_ok=True)
    (folder / "a.jpg").write_bytes(as_jpeg(scenes[0].picture))
    (folder / "sub" / "deep" / "B.JPEG").write_bytes(as_jpeg(scenes[1].picture))
    (folder / ".hidden" / "c.jpg").write_bytes(b"hidden")
    (folder / "notes.txt").write_bytes(b"no picture, and not called so")
    (folder / "sub" / "up").symlink_to(folder)
    return folder


def test_a_folder_goes_on_by_file(service: ServiceProcess, album: Path) -> None:
    words = (str(album), "--metadata", '{"f_album": "first"}', "--file-key", "f_path")
    assert _index(album, *words, server=service.url) == (0, "2 indexed.\n", [])
    for name in ("a.jpg", "sub/deep/B.JPEG"):
        expected = {"f_album": "first", "f_path": name}
        assert _metadata(service, (album / name).read_bytes()) == expected
    (album / "0.jpg").write_bytes((album / "a.jpg").read_bytes() + b"!")  # comes before the others
    os.utime(album / "a.jpg", (1, 1))
    spelt = service.url.replace("127.0.0.1", "localhost") + "/"
    assert _index(album, *words, server=spelt)[:2] == (0, "2 indexed, 1 were done before.\n")
    assert (album.parent / "album.index-state").exists()


def test_what_is_no_picture_is_listed_and_the_rest_goes_on(
    service: ServiceProcess, album: Path
) -> None:
    hostile = os.fsdecode(b"\xffname\n\x1b[31m\xe2\x80\xae.jpg")
    (album / hostile).write_bytes((album / "a.jpg").read_bytes() + b"hostile")
    (album / "empty.png").write_bytes(b"")
    (album / "loop.jpg").symlink_to("loop.jpg")
    os.mkfifo(album / "pipe.jpg")
    (album / "text.gif").write_bytes(b"no picture")
    (album / "vast.bmp").write_bytes(b"BM" + bytes(51 << 20))
    code, said, failed = _index(album, ".", "--json", server=service.url)
    outcome = json.loads(said)
    assert (code, outcome["indexed"], outcome["failed"]) == (1, 3, 5)
    assert outcome["seconds"] > 0
    assert {Path(each["file"]).name: each["code"] for each in failed} == {
        "empty.png": "bad_file",
        "loop.jpg": "bad_file",
        "pipe.jpg": "bad_file",
        "text.gif": "not_an_image",
        "vast.bmp": "body_too_large",
    }
    assert all(each["reason"] for each in failed)
    named = _metadata(service, (album / hostile).read_bytes())
    assert named == {"file": "\\xffname\n\x1b[31m\u202e.jpg"}
    (album / "empty.png").unlink()
    (album / "text.gif").write_bytes((album / "a.jpg").read_bytes())
    again = json.loads(_index(album, ".", "--json", server=service.url)[1])
    # What was read, and refused, is not sent again; what could not be read is looked at again.
    assert (again["indexed"], again["done_before"], again["failed"]) == (1, 4, 3)


def test_globs_files_and_a_table_in_one_call(
    service: ServiceProcess, album: Path, scenes: list[Scene]
) -> None:
    table = album / "table.jsonl"
    table.write_text('{"url": "http://127.0.0.1:1/a.jpg"}\n')
    code, said, failed = _index(album, "s*/**/*.JPEG", "a.jpg", "table.jsonl", server=service.url)
    assert (code, said.split(",")[0]) == (1, "2 indexed")
    assert [each["url"] for each in failed] == ["http://127.0.0.1:1/a.jpg"]
    deep = (album / "sub/deep/B.JPEG").read_bytes()
    assert _metadata(service, deep) == {"file": "sub/deep/B.JPEG"}
    assert _index(album, "a.jpg", "--file-key", "", server=service.url)[0] == 0
    assert _metadata(service, (album / "a.jpg").read_bytes()) is None


def test_the_order_is_that_of_the_names(album: Path) -> None:
    for name in ("b.png", "a0.gif"):
        (album / name).write_bytes(b"")
    names = [os.path.relpath(found.path, album) for found in walk(str(album))]
    assert names == ["a.jpg", "a0.gif", "b.png", "sub/deep/B.JPEG"]


@pytest.mark.parametrize(
    ("pattern", "names"),
    [
        ("*", ["a.jpg"]),
        ("*/*.jp*", []),
        ("**", ["a.jpg", "B.JPEG"]),
        ("**/*.jpg", ["a.jpg"]),
        ("s?b/**/[AB]*", ["B.JPEG"]),
        ("sub/deep/*", ["B.JPEG"]),
        ("missing/*", []),
    ],
)
def test_what_a_glob_matches(album: Path, pattern: str, names: list[str]) -> None:
    found = [Path(one.path).name for one in matching(f"{album}/{pattern}") if not one.problem]
    assert found == names


def test_a_folder_that_cannot_be_listed_is_told_of(tmp_path: Path) -> None:
    [found] = walk(str(tmp_path / "missing"))
    assert "cannot be listed: No such file" in found.problem


def test_files_are_known_by_the_formats_that_are_taken() -> None:
    Image.init()
    known = {**Image.registered_extensions(), ".mpo": "JPEG"}
    known |= dict.fromkeys([".heic", ".heif", ".hif"], "HEIF")
    formats = {extension: known[extension] for extension in EXTENSIONS}
    assert set(formats.values()) == set(FORMATS)
