"""`export --server`, everything deleted, `index` of the file: as before, also after a kill."""

import json
import os
import subprocess
import time
from collections.abc import Iterator
from dataclasses import replace
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import pyarrow as pa
import pyarrow.parquet as pq
import pytest
import requests

from demo.process import PROJECT, ServiceProcess, free_port
from demo.server import PictureServer
from image_search import Client, ExportPage, Model, WholeImage
from image_search.cli.tables.exported import ExportFile, Head, exported_source
from tests.cli.backup import fill, prints, run
from tests.cli.interrupted import command
from tests.running import environment


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return tmp_path_factory.mktemp("backup")


@pytest.fixture(scope="module")
def own(folder: Path) -> Iterator[ServiceProcess]:
    """A service of this file's own: all of its images are deleted again and again."""
    with ServiceProcess(environment(folder), folder / "log") as running:
        yield running


@pytest.fixture
def client(own: ServiceProcess) -> Iterator[Client]:
    with Client(own.url) as one:
        one.delete_many(all=True)
        yield one


def called(*words: str | Path, **more: str) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        command(*map(str, words)),
        cwd=PROJECT,
        capture_output=True,
        text=True,
        check=False,
        timeout=300,
        env=None if not more else {**_plain_environment(), **more},
    )


def _plain_environment() -> dict[str, str]:
    return {name: one for name, one in os.environ.items() if not name.startswith("IMAGE_SEARCH_")}


def test_made_up_rows_of_every_kind(tmp_path: Path) -> None:
    assert run(120, tmp_path) == []


def _filled(client: Client, pictures: PictureServer) -> ExportPage:
    urls = [f"{pictures.url}{number}.jpg?backup" for number in range(5)]
    client.add(
        urls[0], {"b_shop": "ü", "b_price": 2.0, "b_tags": ["a"], "url": "its own"}, id="b:0"
    )
    client.add(urls[1], "a free text")
    client.add(urls[2])
    client.add(urls[3], {"b_since": "2024-05-01T10:00:00Z", "b_n": 2**60})
    client.add(urls[0] + "&copy", {"b_price": 2.5})
    client.add(image=requests.get(urls[4], timeout=60).content, metadata={"b_new": True})
    page = client.export_page()
    assert (page.total, page.next) == (6, None)
    return page


def test_pictures_are_as_before(
    client: Client, own: ServiceProcess, pictures: PictureServer, tmp_path: Path
) -> None:
    whole, listed = _filled(client, pictures), client.list(limit=1000)
    upload = next(row for row in whole.rows if row.url.startswith("upload:"))
    file = client.original(upload.id)
    found = client.search(id="b:0", limit=6)
    backup = tmp_path / "all.parquet"
    done = called("export", backup, "--server", own.url)
    assert (done.returncode, done.stdout, done.stderr) == (0, f"6 images are in {backup}.\n", "")
    assert client.delete_many(all=True) == 6
    done = called("index", backup, "--server", own.url)
    assert (done.returncode, done.stdout, done.stderr) == (0, "6 indexed.\n", "")
    assert client.list(limit=1000) == listed
    assert set(map(repr, client.export_page().rows)) == set(map(repr, whole.rows))
    assert client.search(id="b:0", limit=6) == found
    assert client.original(upload.id) == file
    again = client.add(f"{pictures.url}0.jpg?later")
    assert again.duplicate_of == "b:0"
    assert called("index", backup, "--server", own.url).stdout == "0 indexed, 6 were done before.\n"


def test_a_folder_s_export_comes_back_too(
    client: Client, own: ServiceProcess, folder: Path, pictures: PictureServer, tmp_path: Path
) -> None:
    _filled(client, pictures)
    before, backup = prints(client), tmp_path / "all.parquet"
    done = called("export", backup, IMAGE_SEARCH_STORE_URI=str(folder / "index"))
    assert (done.returncode, done.stdout) == (0, f"6 images are in {backup}.\n"), done.stderr
    client.delete_many(all=True)
    assert called("index", backup, "--server", own.url).stdout == "6 indexed.\n"
    assert prints(client) == before


def test_another_model_indexes_from_the_urls(
    client: Client, own: ServiceProcess, pictures: PictureServer, tmp_path: Path
) -> None:
    whole, backup = _filled(client, pictures), tmp_path / "all.parquet"
    called("export", backup, "--server", own.url)
    table = pq.read_table(backup)
    told = {**table.schema.metadata, b"image_search:model": b"ViT-B-32"}
    pq.write_table(table.replace_schema_metadata(told), backup)
    client.delete_many(all=True)
    failures = tmp_path / "failures"
    done = called("index", backup, "--server", own.url, "--failures", failures)
    assert (done.returncode, done.stdout.startswith("5 indexed, 1 failed")) == (1, True), done
    assert done.stderr.count("embedded anew") == 1
    (failed,) = [json.loads(line) for line in failures.read_text().splitlines()]
    assert (failed["code"], failed["url"].startswith("upload:")) == ("no_original", True)
    for row in whole.rows:
        if row.url.startswith("http"):
            stored = client.get(row.id)
            assert (stored.url, stored.metadata) == (row.url, row.metadata)
            assert stored.created_at > row.created_at


def _spoilt(table: pa.Table, row: int, name: str, value: Any) -> pa.Table:
    place = table.schema.get_field_index(name)
    values = table.column(name).to_pylist()
    values[row] = value
    return table.set_column(
        place, table.schema.field(name), pa.array(values, table.schema.types[place])
    )


def test_bad_rows_are_named_and_the_others_are_in(
    client: Client, own: ServiceProcess, tmp_path: Path
) -> None:
    fill(client, 20)
    before, backup = prints(client), tmp_path / "all.parquet"
    called("export", backup, "--server", own.url)
    table = pq.read_table(backup)
    ids = table["id"].to_pylist()
    dim = table.schema.field("vector").type.list_size
    spoilt: dict[int, tuple[str, Any, str]] = {
        1: ("vector", [float("nan")] * dim, "invalid_row"),
        3: ("vector", [0.5] * dim, "invalid_row"),
        4: ("vector", None, "bad_row"),
        6: ("$thumbnail", b"GIF89a", "bad_request"),
        7: ("$pixels", "x", "invalid_row"),
        9: ("$metadata", "{", "bad_row"),
        10: ("$metadata", '{"price": "dear"}', "metadata_conflict"),
        11: ("url", "javascript:alert(1)", "url_invalid"),
        12: ("id", "a/b", "invalid_row"),
        13: ("id", None, "bad_row"),
    }
    for row, (name, value, _) in spoilt.items():
        table = _spoilt(table, row, name, value)
    pq.write_table(table, backup)
    client.delete_many(all=True)
    failures = tmp_path / "failures"
    done = called("index", backup, "--server", own.url, "--failures", failures)
    assert (done.returncode, done.stdout[:22]) == (1, "10 indexed, 10 failed "), done
    failed = [json.loads(line) for line in failures.read_text().splitlines()]
    assert {one["line"] - 1: one["code"] for one in failed} == {
        row: code for row, (_, _, code) in spoilt.items()
    }
    good = [own_id for row, own_id in enumerate(ids) if row not in spoilt]
    assert prints(client) == {own_id: before[own_id] for own_id in good}


def test_a_file_that_is_damaged_is_said(
    client: Client, own: ServiceProcess, tmp_path: Path
) -> None:
    fill(client, 40)
    backup = tmp_path / "all.parquet"
    called("export", backup, "--server", own.url)
    data = backup.read_bytes()
    cut, changed = tmp_path / "cut.parquet", tmp_path / "changed.parquet"
    cut.write_bytes(data[: len(data) // 2])
    changed.write_bytes(data[:5000] + bytes([data[5000] ^ 1]) + data[5001:])
    client.delete_many(all=True)
    done = called("index", cut, "--server", own.url)
    assert (done.returncode, "not a Parquet file" in done.stderr) == (2, True), done
    done = called("index", changed, "--server", own.url)
    assert (done.returncode, "cannot be read after row 0" in done.stderr) == (2, True), done
    assert client.status().rows == 0


def test_a_new_index_gets_keys_that_one_request_may_not_bring(
    client: Client, own: ServiceProcess, tmp_path: Path
) -> None:
    (row, *_), model = _rows_of(client), client.status().model
    keys = 60
    for n in range(keys):
        client.declare_column(f"key {n}", "float")
        client.import_rows([replace(row, id=f"k:{n}", metadata={f"key {n}": n})], model)
    client.delete(row.id)
    client.update("k:0", {f"key {n}": n for n in range(keys)})
    client.update("k:1", {"key 1": 1.0})  # the type is that of the index, not of the first value
    before, backup = prints(client), tmp_path / "all.parquet"
    called("export", backup, "--server", own.url)
    client.delete_many(all=True)
    for n in range(keys):
        client.drop_column(f"key {n}")
    assert called("index", backup, "--server", own.url).stdout == f"{keys} indexed.\n"
    assert prints(client) == before
    columns = client.status().columns
    assert {columns[f"key {n}"] for n in range(keys)} == {"float"}
    client.delete_many(all=True)
    for n in range(keys):
        client.drop_column(f"key {n}")


def _rows_of(client: Client) -> tuple[Any, ...]:
    fill(client, 1)
    return client.export_page().rows


def test_a_killed_service_loses_nothing_of_an_import(tmp_path: Path) -> None:
    rows = 3000
    service = ServiceProcess(environment(tmp_path), tmp_path / "log")
    service.start()
    try:
        with Client(service.url) as client:
            fill(client, rows)
            before, backup = prints(client), tmp_path / "all.parquet"
            called("export", backup, "--server", service.url)
            client.delete_many(all=True)
        _killed_in_the_middle(service, backup, rows)
        service.start()
        done = called("index", backup, "--server", service.url)
        assert done.returncode == 0, done
        assert "were done before" in done.stdout
        with Client(service.url) as client:
            assert prints(client) == before
    finally:
        service.kill()


def _killed_in_the_middle(service: ServiceProcess, backup: Path, rows: int) -> None:
    state = backup.with_name(backup.name + ".index-state")
    words = command("index", str(backup), "--server", service.url, "--patience", "1")
    with subprocess.Popen(words, cwd=PROJECT, stderr=subprocess.PIPE) as running:
        while not (state.exists() and state.read_bytes().count(b"\n") > rows // 8):
            assert running.poll() is None
            time.sleep(0.01)
        service.kill()
        running.communicate(timeout=120)
        assert running.returncode == 3


def test_nobody_there_is_said(tmp_path: Path) -> None:
    done = called("export", tmp_path / "x", "--server", f"http://127.0.0.1:{free_port()}")
    assert (done.returncode, done.stderr.count("\n")) == (3, 1), done
    assert list(tmp_path.iterdir()) == []


def test_unknown_formats_are_not_guessed(tmp_path: Path) -> None:
    file = tmp_path / "later.parquet"
    table = pa.table({"id": ["a"], "url": ["http://a/"]})
    pq.write_table(table.replace_schema_metadata({"image_search:export": "9"}), file)
    done = called("index", file, "--server", "http://127.0.0.1:1")
    assert (done.returncode, "later release" in done.stderr) == (2, True), done


def test_an_integer_of_a_widened_column_that_no_float_is(tmp_path: Path) -> None:
    """The column for people has the nearest float, and `$metadata` what was sent."""
    path, given = tmp_path / "a.parquet", {"n": 2**53 + 1}
    image = WholeImage("a", "http://a/", given, datetime.now(UTC), bytes(4))
    with path.open("wb") as file, ExportFile(file, Head(Model("m", "p"), 1, {"n": "float"})) as out:
        out.add(image)
    source = exported_source(path)
    assert source is not None
    assert [row.metadata for row in source.rows] == [given]
    assert pq.read_table(path).column("n").to_pylist() == [2.0**53]
