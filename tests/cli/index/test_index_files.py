"""`image-search index` on folders, globs and files, against the real service."""

import json
import os
import subprocess
from dataclasses import asdict
from pathlib import Path

import pytest
from PIL import Image

from demo.process import PROJECT, ServiceProcess
from demo.scenes.scenes import Scene
from demo.server import as_jpeg
from image_search import Client
from image_search.cli.index.files import EXTENSIONS, matching, walk
from image_search.cli.index.sources import Reading, opened
from image_search.uploads import upload_url
from images.decode.structure import FORMATS
from tests.cli.interrupted import command
from tests.images.exif import TOLD, camera_exif, with_exif


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


def test_exif_goes_into_the_metadata_where_it_is_asked_for(
    service: ServiceProcess, album: Path
) -> None:
    told = asdict(TOLD)
    latitude, longitude = told.pop("place")
    pictures = {
        "sub/b.heic": with_exif("HEIF", camera_exif()),
        "a.tif": with_exif("TIFF", camera_exif()),
    }
    for name, data in pictures.items():
        (album / name).write_bytes(data)
    words = (str(album), "--metadata", '{"camera": "ours"}')
    assert _index(album, *words, server=service.url) == (0, "4 indexed.\n", [])
    for name, data in pictures.items():
        assert _metadata(service, data) == {"file": name, "camera": "ours"}
    assert _index(album, *words, "--exif", server=service.url) == (0, "4 indexed.\n", [])
    for name, data in pictures.items():
        place = {"gps.lat": latitude, "gps.lon": longitude}
        assert _metadata(service, data) == {**told, **place, "camera": "ours", "file": name}
    plain = _metadata(service, (album / "a.jpg").read_bytes())
    assert plain == {"file": "a.jpg", "camera": "ours"}
    again = _index(album, *words, "--exif", server=service.url)
    assert again[1] == "0 indexed, 4 were done before.\n"


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
    assert (again["indexed"], again["done_before"], again["failed"]) == (1, 3, 3)


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
    found = [one for one in walk(str(album)) if not one.left_out]
    names = [os.path.relpath(one.path, album) for one in found]
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
    found = [one for one in matching(f"{album}/{pattern}") if not one.problem]
    assert [Path(one.path).name for one in found if not one.left_out] == names
    left_out = {Path(one.path).name for one in found if one.left_out}
    assert left_out <= {"notes.txt", "up"}
    assert ("notes.txt" in left_out) == (pattern in ("*", "**"))


def test_a_folder_that_cannot_be_listed_is_told_of(tmp_path: Path) -> None:
    [found] = walk(str(tmp_path / "missing"))
    assert "cannot be listed: No such file" in found.problem


def test_files_are_known_by_the_formats_that_are_taken() -> None:
    Image.init()
    known = {**Image.registered_extensions(), ".mpo": "JPEG"}
    known |= dict.fromkeys([".heic", ".heif", ".hif"], "HEIF")
    formats = {extension: known[extension] for extension in EXTENSIONS}
    assert set(formats.values()) == set(FORMATS)


def test_what_a_folder_leaves_out_is_told(
    service: ServiceProcess, scenes: list[Scene], tmp_path: Path
) -> None:
    """Pictures without an extension are taken; one that nobody can read is named."""
    folder = tmp_path / "phone"
    (folder / ".trash").mkdir(parents=True)
    for number, kind in enumerate(("JPEG", "PNG", "WEBP", "GIF", "BMP", "AVIF")):
        scenes[number].picture.save(folder / f"IMG_{number}", kind)
    (folder / "broken.heic").write_bytes(b"\0\0\0\x18ftypheic" + bytes(99))
    (folder / "notes.txt").write_text("BM is how a bitmap begins")
    (folder / "film").write_bytes(b"\0\0\0\x18ftypisom" + bytes(99))
    os.mkfifo(folder / "pipe")
    (folder / "up").symlink_to(folder)
    (folder / "gone").symlink_to("nowhere")
    code, said, failed = _index(folder, ".", "--json", server=service.url)
    outcome = json.loads(said)
    assert (code, outcome["indexed"], outcome["failed"]) == (1, 6, 1)
    left_out = {"hidden": 1, "no pictures": 3, "links to folders": 1, "that cannot be read": 1}
    assert outcome["left_out"] == left_out
    assert [Path(each["file"]).name for each in failed] == ["broken.heic"]
    assert _index(folder, "IMG_0", server=service.url)[:2] == (0, "1 indexed.\n")


def test_a_folder_without_a_picture_is_no_success(service: ServiceProcess, tmp_path: Path) -> None:
    folder = tmp_path / "texts"
    folder.mkdir()
    assert _index(folder, ".", server=service.url) == (0, "0 indexed.\n", [])
    (folder / "gone").symlink_to("nowhere")
    assert _index(folder, ".", server=service.url) == (1, "0 indexed.\n", [])
    (folder / "gone").unlink()
    (folder / "notes.txt").write_text("no picture")
    assert _index(folder, ".", server=service.url) == (1, "0 indexed.\n", [])


def test_a_failed_file_is_uploaded_from_the_list_of_failures(
    service: ServiceProcess, album: Path
) -> None:
    (album / "text.gif").write_bytes(b"no picture")
    first = _index(album, ".", "--metadata", '{"f_album": "last"}', server=service.url)
    assert (first[0], len(first[2])) == (1, 1)
    mended = (album / "a.jpg").read_bytes() + b"mended"
    (album / "text.gif").write_bytes(mended)
    listed = album.parent / "listed"
    (album.parent / "failures").rename(listed)
    again = _index(album.parent, str(listed), server=service.url)
    assert again == (0, "1 indexed.\n", [])
    assert _metadata(service, mended) == {"file": "text.gif", "f_album": "last"}


def test_a_folder_that_could_not_be_listed_is_looked_into_again(album: Path) -> None:
    own = {"file": "holidays", "shop": "A"}
    failure = {"file": str(album), "code": "bad_file", "reason": "the folder cannot be listed"}
    listed = album.parent / "listed"
    listed.write_text(json.dumps({**failure, "row": {"file": str(album), "metadata": own}}))
    rows = list(opened([str(listed)], Reading("url", [], "file", {}), {}).rows)
    assert [row.metadata for row in rows] == [
        {"file": "holidays/a.jpg", "shop": "A"},
        {"file": "holidays/sub/deep/B.JPEG", "shop": "A"},
    ]
    assert len({row.key for row in rows}) == 2
