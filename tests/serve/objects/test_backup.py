"""Export, all deleted, import: an index comes back with its objects, and no picture is fetched."""

from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pyarrow.parquet as pq
import pytest
import requests
from click.testing import CliRunner, Result

from demo.process import ServiceProcess
from demo.scenes.mosaics import mosaic
from image_search import Client
from image_search.cli.main import main

MANY = 9


def called(*words: str | Path, **environment: str) -> Result:
    return CliRunner().invoke(main, list(map(str, words)), env=environment)


def told(client: Client) -> dict[str, Any]:
    """What there is of each image, and which image its first object finds."""
    known = {}
    for row in client.export_page().rows:
        objects = client.objects(row.id)
        found = None
        if objects.objects:
            [found] = client.search(id=row.id, object=0, search="objects", limit=1)
        known[row.id] = repr((row, objects, found))
    return known


@pytest.fixture
def client(finding: ServiceProcess) -> Iterator[Client]:
    with Client(finding.url) as one:
        one.delete_many(all=True)
        for n in range(2):
            one.add(image=mosaic(9_700_000 + MANY * n).file, metadata={"n": n}, id=f"backup-{n}")
        yield one


def test_all_come_back(client: Client, finding: ServiceProcess, tmp_path: Path) -> None:
    before, count = told(client), client.status().objects
    over, folder = tmp_path / "over.parquet", Path(finding.log).parent / "index"
    assert called("export", over, "--server", finding.url).exit_code == 0
    local = tmp_path / "local.parquet"
    done = called("export", local, IMAGE_SEARCH_STORE_URI=str(folder), IMAGE_SEARCH_SERVER="x")
    assert done.exit_code == 0, done.output
    assert pq.read_table(local).equals(pq.read_table(over), check_metadata=True)
    for file in (over, local):
        client.delete_many(all=True)
        done = called("index", file, "--server", finding.url)
        assert done.exit_code == 0, done.output
        assert told(client) == before
    assert client.status().objects == count


def test_a_backup_of_before_comes_back_without_them(
    client: Client, finding: ServiceProcess, tmp_path: Path
) -> None:
    file = tmp_path / "before.parquet"
    called("export", file, "--server", finding.url)
    table = pq.read_table(file).drop_columns(["$objects", "$object_vectors"])
    told = {k: v for k, v in table.schema.metadata.items() if b"detector" not in k}
    pq.write_table(table.replace_schema_metadata(told), file)
    client.delete_many(all=True)
    assert called("index", file, "--server", finding.url).exit_code == 0
    assert client.list().total == 2
    assert not any(client.objects(f"backup-{n}").detected for n in range(2))


def test_those_of_another_detector_are_refused_in_one_line(
    client: Client, finding: ServiceProcess, service: ServiceProcess, tmp_path: Path
) -> None:
    file, other = tmp_path / "own.parquet", tmp_path / "other.parquet"
    called("export", file, "--server", finding.url)
    table = pq.read_table(file)
    made = {**table.schema.metadata, b"image_search:detector": b"yolo-other.pt"}
    pq.write_table(table.replace_schema_metadata(made), other)
    client.delete_many(all=True)
    done = called("index", other, "--server", finding.url)
    assert (done.exit_code, client.list().total) == (3, 0), done.output
    [line] = [one for one in done.output.splitlines() if "yolo-other.pt" in one]
    assert all(part in line for part in ("--without-objects", "image-search redetect"))
    done = called("index", file, "--server", service.url)
    assert (done.exit_code, "it indexes none" in done.output) == (3, True), done.output
    done = called("index", other, "--server", finding.url, "--without-objects")
    assert (done.exit_code, client.list().total) == (0, 2), done.output
    assert called("redetect", "--server", finding.url).exit_code == 0
    assert all(client.objects(f"backup-{n}").objects for n in range(2))


def test_the_route_refuses_them_too(client: Client, finding: ServiceProcess) -> None:
    page = requests.get(f"{finding.url}/index/export", timeout=60).json()
    body = {name: page[name] for name in ("model", "dim", "rows")}

    def sent(**more: Any) -> dict[str, Any]:
        answer = requests.post(f"{finding.url}/index/import", json={**body, **more}, timeout=60)
        answered: dict[str, Any] = answer.json()
        return answered

    other = {**page["detector"], "recipe": "another"}
    refused = sent(detector=other)
    assert (refused["code"], "redetect" in refused["message"]) == ("other_detector", True)
    assert sent()["message"] == "detector must be an object"
    row = body["rows"][0]
    few = {**row, "objects": {**row["objects"], "vectors": row["vector"]}}
    [one] = sent(rows=[few], detector=page["detector"])["results"]
    assert (one["code"], "for each object" in one["message"]) == ("bad_request", True)
    [one] = sent(rows=[{**row, "objects": {"width": 3}}], detector=page["detector"])["results"]
    assert (one["code"], "is missing" in one["message"]) == ("bad_request", True)
