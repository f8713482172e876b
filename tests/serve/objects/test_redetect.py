"""Images that nobody has looked into get their objects, while the service goes on."""

import json
from pathlib import Path
from typing import Any

import pytest
import requests
from click.testing import CliRunner, Result
from PIL import Image

from demo.process import ServiceProcess
from demo.scenes.mosaics import mosaic
from demo.server import PictureServer
from image_search import Client, NotFoundError, RefusedError
from image_search.cli.main import main

OWN = {"of": "redetect"}
UNSEEN = {**OWN, "$objects": None}


def redetect(finding: ServiceProcess, *words: str) -> Result:
    return CliRunner().invoke(main, ["redetect", "--server", finding.url, *words])


def without_objects(finding: ServiceProcess, client: Client, ids: list[str]) -> None:
    """Take the images out, and put them back as an export of before has them."""
    page = requests.get(f"{finding.url}/index/export?limit=1000", timeout=60).json()
    rows = [row for row in page["rows"] if row["id"] in ids]
    for row in rows:
        row.pop("objects", None)
    assert len(rows) == client.delete_many(ids)
    body = {"model": page["model"], "dim": page["dim"], "rows": rows}
    answer = requests.post(f"{finding.url}/index/import", json=body, timeout=60).json()
    assert [one.get("message") for one in answer["results"]] == [None] * len(ids)


@pytest.fixture
def unseen(finding: ServiceProcess, pictures: PictureServer) -> dict[str, Any]:
    """Images by address and by file, which have lost their objects; what these were."""
    with Client(finding.url) as client:
        ids = []
        for n in range(3):
            pictures.add_file(f"redetect-{n}.jpg", mosaic(9_800_000 + 10 * n).file)
            url = f"{pictures.url}redetect-{n}.jpg"
            ids.append(client.add(url, OWN, id=f"redetect-{n}").id)
        ids.append(client.add(None, OWN, id="redetect-up", image=mosaic(9_800_100).file).id)
        before = {each: client.objects(each) for each in ids}
        assert all(one.objects for one in before.values())
        without_objects(finding, client, ids)
        assert not any(client.objects(each).detected for each in ids)
        with pytest.raises(RefusedError, match=r"has looked .*: POST /images/\{id\}/objects"):
            client.thumbnail(ids[0], objects=[0])
        assert client.find(filter=UNSEEN, total=True).total == len(ids)
    return before


def test_the_command_finds_them_all(
    finding: ServiceProcess, pictures: PictureServer, unseen: dict[str, Any], tmp_path: Path
) -> None:
    failures = tmp_path / "failures"
    with Client(finding.url) as client:
        kept = {each: client.get(each) for each in unseen}
        other = Image.new("RGB", (64, 64), "teal")
        pictures.add("redetect-1.jpg", other)
        first = redetect(finding, "--failures", str(failures))
        assert first.exit_code == 1
        count = sum(len(one.objects) for own, one in unseen.items() if own != "redetect-1")
        assert f"3 images looked into, {count} objects found, 1 failed." in first.output
        [failed] = [json.loads(line) for line in failures.read_text().splitlines()]
        assert (failed["id"], "is another one by now" in failed["reason"]) == ("redetect-1", True)
        for own in unseen.keys() - {"redetect-1"}:
            assert client.objects(own) == unseen[own]
        assert {each: client.get(each) for each in unseen} == kept
        pictures.add_file("redetect-1.jpg", mosaic(9_800_010).file)
        again = redetect(finding)
        assert again.exit_code == 0, again.output
        assert "1 images looked into" in again.output
        assert client.objects("redetect-1") == unseen["redetect-1"]
        assert client.find(filter=UNSEEN, total=True).total == 0
        [hit] = client.search(id="redetect-1", object=0, search="objects", filter=OWN, limit=1)
        assert (hit.id, hit.score) == ("redetect-1", 1.0)


def test_one_image_is_looked_into_again(
    finding: ServiceProcess, service: ServiceProcess, unseen: dict[str, Any]
) -> None:
    with Client(finding.url) as client:
        assert client.find_objects("redetect-up") == unseen["redetect-up"]
        assert client.find_objects("redetect-up") == unseen["redetect-up"]
        with pytest.raises(NotFoundError):
            client.find_objects("nobody")
        client.delete_many(list(unseen))
    with Client(service.url) as off, pytest.raises(RefusedError, match="indexes no objects"):
        off.find_objects("x")
