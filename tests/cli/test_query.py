"""search, detect, get, delete and status against the real service."""

import json
import os
import pty
import subprocess
from collections.abc import Iterator
from pathlib import Path

import click
import pytest
import requests
from click.testing import CliRunner, Result
from PIL import Image

from demo.process import PROJECT, ServiceProcess, free_port
from demo.server import PictureServer
from image_search import Client, Hit, UnauthorizedError
from image_search.cli.main import main
from image_search.cli.query.connection import client_of
from image_search.cli.query.grid import grid, label
from image_search.cli.terminal import to_service
from tests.cli.interrupted import command

HOSTILE = "\x1b]0;owned\x07\u202egpj[red]\x9b2J"


@pytest.fixture
def ids(service: ServiceProcess, pictures: PictureServer) -> Iterator[list[str]]:
    with Client(service.url) as client:
        added = [
            client.add(f"{pictures.url}{number}.jpg?query", {"q_n": number, "q_name": HOSTILE}).id
            for number in range(3)
        ]
        yield added
        client.delete_many(added)


def _asked(service: ServiceProcess, *words: str, given: str | None = None) -> Result:
    name, *rest = words
    return CliRunner().invoke(main, [name, "--server", service.url, *rest], input=given)


def test_a_search(service: ServiceProcess, ids: list[str]) -> None:
    found = _asked(service, "search", "--filter", '{"q_n": {"$gte": 1}}', "--json")
    assert found.exit_code == 0, found.output
    documents = [json.loads(line) for line in found.output.splitlines()]
    assert {one["id"] for one in documents} == set(ids[1:])
    only = ("--filter", '{"q_n": 0}')  # others of the same pixels are as near
    nearest = _asked(service, "search", "--id", ids[0], *only).output
    assert nearest.startswith(f"1.000\t{ids[0]}\t")
    assert len(_asked(service, "search", "a cross", "--limit", "2").output.splitlines()) == 2


def test_files_are_searched_by_and_looked_at(
    service: ServiceProcess, pictures: PictureServer, ids: list[str], tmp_path: Path
) -> None:
    file, url = tmp_path / "a b.jpg", f"{pictures.url}0.jpg"
    file.write_bytes(requests.get(url, timeout=60).content)
    for command_, by_file, by_url in (
        ("search", ("--image", str(file)), ("--url", url)),
        ("detect", (str(file),), (url,)),
    ):
        found = _asked(service, command_, *by_file)
        assert found.exit_code == 0, found.output
        assert found.output == _asked(service, command_, *by_url).output != ""
    missing = _asked(service, "detect", str(tmp_path / "missing.jpg"))
    assert (missing.exit_code, missing.output.count("\n")) == (1, 1)
    assert "missing.jpg is no file: give one, or an http(s) URL" in missing.output
    assert "missing.jpg" in missing.output


def test_what_a_terminal_gets(service: ServiceProcess, ids: list[str]) -> None:
    master, slave = pty.openpty()
    words = command("search", "--filter", '{"q_n": 0}', "--server", service.url)
    environment = {**os.environ, "COLUMNS": "300", "TERM": "xterm", "NO_COLOR": "1"}
    subprocess.run(words, cwd=PROJECT, env=environment, stdout=slave, check=True, timeout=60)
    os.close(slave)
    shown = b""
    try:
        while part := os.read(master, 4096):
            shown += part
    except OSError:
        pass  # the other end is closed
    os.close(master)
    text = shown.decode()
    assert "metadata" in text
    assert "\\u202egpj[red]" in text
    for raw in ("\x1b]", "\x07", "\u202e", "\x9b"):
        assert raw not in text


def test_a_grid_of_the_results(service: ServiceProcess, ids: list[str], tmp_path: Path) -> None:
    for name, kind in (("found.jpg", "JPEG"), ("found.png", "PNG")):
        words = ("search", "--filter", '{"q_n": {"$gte": 0}}', "--grid", str(tmp_path / name))
        found = _asked(service, *words)
        assert (found.exit_code, len(found.output.splitlines())) == (0, 3)
        with Image.open(tmp_path / name) as picture:
            assert (picture.format, picture.size) == (kind, (14 + 3 * 214, 14 + 254))
            # The tiles are the pictures: many colours, where a placeholder has one.
            assert len(picture.crop((14, 14, 214, 214)).getcolors(1 << 16) or []) > 100
    none = _asked(service, "search", "--filter", '{"q_n": 9}', "--grid", str(tmp_path / "no.png"))
    assert (none.exit_code, none.output.count("no grid was written")) == (0, 1)
    assert not (tmp_path / "no.png").exists()
    assert _asked(service, "search", "a", "--grid", str(tmp_path / "a.pdf")).exit_code == 2


def test_a_result_without_a_picture_keeps_its_place() -> None:
    hits = [
        Hit("1", "http://a.example/x/cat.jpg?w=2", 0.5, None),
        Hit("2", "upload:abc", None, {"file": f"albums/{HOSTILE}.jpg"}),
    ]
    assert [label(hit) for hit in hits] == ["cat.jpg", f"{HOSTILE}.jpg"]
    assert label(Hit("3", "upload:abc", 1.0, "a text")) == "3"
    drawn = grid([*hits] * 4, [Image.new("RGB", (320, 10), "red"), None] * 4)
    assert drawn.size == (14 + 5 * 214, 14 + 2 * 254)
    assert drawn.getpixel((114, 114)) == (255, 0, 0)
    assert drawn.getpixel((14 + 214 + 100, 114)) == (234, 234, 230)


def test_lines_hold_nothing_raw(service: ServiceProcess, ids: list[str]) -> None:
    for words in (
        ["search", "--id", ids[0]],
        ["search", "--id", ids[0], "--json"],
        ["get", ids[0]],
    ):
        printed = _asked(service, *words).output
        assert "[red]" in printed
        assert not {"\x1b", "\x07", "\u202e", "\x9b"} & set(printed)


def test_detect(service: ServiceProcess, pictures: PictureServer, tmp_path: Path) -> None:
    picture = tmp_path / "found.jpg"
    done = _asked(service, "detect", pictures.url + "0.jpg", "--output", str(picture), "--json")
    assert json.loads(done.output.splitlines()[0])["class_name"]
    assert picture.read_bytes().startswith(b"\xff\xd8")
    shown = [json.loads(line) for line in done.output.splitlines()]
    more = _asked(service, "detect", pictures.url + "0.jpg", "--max", "1", "--json")
    left = len(shown) > 1
    assert json.loads(more.output.splitlines()[0]) == shown[0]
    assert ("There are more objects than these 1." in more.output) is left
    unknown = _asked(service, "detect", pictures.url + "0.jpg", "--class", "dgo")
    assert (unknown.exit_code, "unknown class 'dgo'" in unknown.output) == (1, True)


def test_get_delete_and_status(service: ServiceProcess, ids: list[str]) -> None:
    assert json.loads(_asked(service, "get", ids[0]).output)["metadata"]["q_n"] == 0
    assert "rows\t" in _asked(service, "status").output
    assert _asked(service, "delete", ids[0]).output == "1 deleted.\n"
    gone = _asked(service, "get", ids[0])
    assert (gone.exit_code, gone.output) == (1, "Error: no image has this id\n")
    kept = _asked(service, "delete", "--filter", '{"q_n": 1}', given="n\n")
    assert kept.exit_code == 1
    assert _asked(service, "get", ids[1]).exit_code == 0
    assert _asked(service, "delete", "--filter", '{"q_n": 1}', "--yes").output == "1 deleted.\n"
    everything = _asked(service, "delete", "--all", given="n\n")
    assert everything.exit_code == 1
    assert "images of the index at http://127.0.0.1" in everything.output
    broad = _asked(service, "delete", "--filter", '{"q_n": {"$ne": -1}}', "--yes")
    assert (broad.exit_code, '"all": true' in broad.output) == (1, True)


def test_update_by_a_filter_and_delete_by_url(service: ServiceProcess, ids: list[str]) -> None:
    url = json.loads(_asked(service, "get", ids[2]).output)["url"]
    node = ["--filter", '{"q_n": 2}']
    kept = _asked(service, "update", '{"q_n": 5}', *node, given="n\n")
    assert kept.exit_code == 1
    done = _asked(service, "update", '{"q_n": 5, "q_new": "x"}', *node, "--yes")
    assert done.output == "1 changed.\n"
    assert json.loads(_asked(service, "get", ids[2]).output)["metadata"]["q_new"] == "x"
    assert _asked(service, "delete", "--url", url, "--url", "nobody's").output == "1 deleted.\n"


@pytest.mark.parametrize(
    "words",
    [
        ["update", "{}"],
        ["update", "no object", "--all"],
        ["update", "{}", "--all", "--filter", '{"a": 1}'],
        ["delete", "a", "--url", "b"],
        ["search"],
        ["search", "--filter", "{}"],
        ["delete"],
        ["delete", "a", "--filter", '{"a": 1}'],
        ["delete", "a", "--all"],
    ],
)
def test_wrong_usage(service: ServiceProcess, words: list[str]) -> None:
    assert _asked(service, *words).exit_code == 2


def test_who_is_refused_without_a_key_is_told_where_it_is_given() -> None:
    with (
        pytest.raises(click.ClickException, match="--api-key-file") as refused,
        client_of("http://127.0.0.1", None),
    ):
        raise UnauthorizedError("a valid API key is needed", "unauthorized", 401)
    assert refused.value.exit_code == 3


def test_undoing_what_nobody_did_says_so(service: ServiceProcess) -> None:
    done = _asked(service, "undo", "nobody", "--since", "2026-01-01T00:00:00Z", "--yes")
    assert (done.exit_code, "no change by nobody" in done.output) == (0, True)


def test_nobody_listens() -> None:
    server = f"http://127.0.0.1:{free_port()}"
    done = CliRunner().invoke(main, ["get", "a", "--server", server])
    assert done.exit_code == 3
    assert done.output.startswith("Error: no connection to")


@pytest.mark.parametrize(
    ("options", "environment", "sent"),
    [
        (["--api-key-file", "{file}"], {}, "the-key-of-the-file"),
        ([], {"IMAGE_SEARCH_API_KEY_FILE": "{file}"}, "the-key-of-the-file"),
        ([], {"IMAGE_SEARCH_API_KEY": "its-own"}, "its-own"),
        (["--api-key-file", "{file}"], {"IMAGE_SEARCH_API_KEY": "its-own"}, "the-key-of-the-file"),
        (["--api-key", "typed"], {"IMAGE_SEARCH_API_KEY_FILE": "{file}"}, "typed"),
        (["--api-key", "typed", "--api-key-file", "{file}"], {}, "the-key-of-the-file"),
        ([], {}, None),
    ],
)
def test_where_the_key_comes_from(
    tmp_path: Path, options: list[str], environment: dict[str, str], sent: str | None
) -> None:
    file = tmp_path / "key"
    file.write_text("the-key-of-the-file\n")
    seen: list[str | None] = []

    @click.command()
    @to_service
    def told(server: str, api_key: str | None) -> None:
        seen.append(api_key)

    filled = {name: text.format(file=file) for name, text in environment.items()}
    unset = dict.fromkeys(("IMAGE_SEARCH_API_KEY", "IMAGE_SEARCH_API_KEY_FILE"))
    CliRunner().invoke(told, [one.format(file=file) for one in options], env={**unset, **filled})
    assert seen == [sent]


@pytest.mark.parametrize("held", [b"", b"two keys", b"\xff\xfe"])
def test_a_file_that_holds_no_key(tmp_path: Path, held: bytes) -> None:
    file = tmp_path / "key"
    file.write_bytes(held)
    done = CliRunner().invoke(main, ["status", "--api-key-file", str(file)])
    assert done.exit_code == 2
    assert "must hold an API key" in done.output
