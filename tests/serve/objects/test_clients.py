"""The client and the command with objects: what they read, and the boxes that are drawn."""

import asyncio
import io
import json
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import requests
from click.testing import CliRunner, Result
from PIL import Image

from demo.process import ServiceProcess
from demo.scenes.mosaics import mosaic
from demo.server import PictureServer
from image_search import AsyncClient, Client, IndexedObject, RefusedError
from image_search.cli.main import main


@pytest.fixture(scope="module")
def added(finding: ServiceProcess, pictures: PictureServer) -> str:
    pictures.add_file("clients.jpg", mosaic(9_700_000).file)
    with Client(finding.url) as client:
        done = client.add(f"{pictures.url}clients.jpg", id="clients", metadata={"of": "clients"})
    assert done.objects is not None
    assert done.objects > 2
    return done.id


def pixels(data: bytes) -> Any:
    with Image.open(io.BytesIO(data)) as picture:
        return np.asarray(picture.convert("RGB")).astype(int)


def test_the_client_reads_objects_and_searches_them(
    finding: ServiceProcess, pictures: PictureServer, added: str
) -> None:
    url, kept = f"{pictures.url}clients.jpg", {"of": "clients"}
    with Client(finding.url) as client:
        own = client.objects(added)
        assert (own.detected, own.width, own.height) == (True, 512, 512)
        first = own.objects[0]
        assert isinstance(first, IndexedObject)
        for asked in (
            {"id": added, "object": 0},
            {"url": url, "region": first.xyxy},
        ):
            [hit] = client.search(search="objects", filter=kept, **asked)
            assert hit.object == first
        surest = max(
            (one for one in own.objects if one.class_name == first.class_name),
            key=lambda one: one.confidence,
        )
        found = client.find(url=url, object=first.class_name, search="both", filter=kept)
        assert found.results[0].object == surest
        terms: list[dict[str, Any]] = [{"text": "a red star"}, {"id": added, "object": 1}]
        [hit] = client.search(query=terms, search="objects", filter=kept)
        assert (hit.object, len(hit.objects), hit.objects[1]) == (None, 2, own.objects[1])
        only = {"class_name": first.class_name, "area": {"$lte": 1}}
        [hit] = client.search("a star", search="objects", objects=only, filter=kept)
        assert hit.object is not None
        assert hit.object.class_name == first.class_name
        objects = client.status().objects
        assert objects is not None
        assert objects.objects >= len(own.objects)

    async def the_same() -> None:
        async with AsyncClient(finding.url) as client:
            assert await client.objects(added) == own

    asyncio.run(the_same())


def test_a_thumbnail_has_the_objects_drawn_in_where_they_are(
    finding: ServiceProcess, added: str
) -> None:
    with Client(finding.url) as client:
        own, plain = client.objects(added), pixels(client.thumbnail(added))
        drawn = pixels(client.thumbnail(added, objects=[1]))
        assert drawn.shape == plain.shape
        assert own.width is not None
        scale = plain.shape[1] / own.width
        left, top, right, bottom = (round(scale * edge) for edge in own.objects[1].xyxy)
        changed = np.abs(drawn - plain).max(axis=2) > 60
        for edge in (
            changed[top + 1 : bottom - 1, left - 1 : left + 2],
            changed[bottom - 2 : bottom + 1, left + 1 : right - 1].T,
        ):
            assert edge.any(axis=1).mean() > 0.9
        outside = changed[:, min(right + 120, changed.shape[1]) :]
        assert not outside.any()
        with pytest.raises(RefusedError, match="there is no object 99"):
            client.thumbnail(added, objects=[0, 99])
    for query in ("objects=x", "objects=1,", "objects=1000", f"objects={'1,' * 100}1"):
        answer = requests.get(f"{finding.url}/images/{added}/thumbnail?{query}", timeout=60)
        assert answer.status_code == 400, query
    whole = requests.get(f"{finding.url}/images/{added}/thumbnail", timeout=60)
    some = requests.get(f"{finding.url}/images/{added}/thumbnail?objects=0", timeout=60)
    assert whole.headers["ETag"] != some.headers["ETag"]


def asked(finding: ServiceProcess, *words: str) -> Result:
    return CliRunner().invoke(main, [*words, "--server", finding.url])


def test_the_command_searches_objects(
    finding: ServiceProcess, pictures: PictureServer, added: str, tmp_path: Path
) -> None:
    with Client(finding.url) as client:
        first = client.objects(added).objects[0]
    file = tmp_path / "query.jpg"
    file.write_bytes(requests.get(f"{pictures.url}clients.jpg", timeout=60).content)
    region = ",".join(map(str, first.xyxy))
    node = ("--filter", '{"of": "clients"}')
    for words in (
        ("--image", str(file), "--region", region),
        ("--id", added, "--object", "0"),
        ("a star", "--in", "objects", "--class", first.class_name),
    ):
        done = asked(finding, "search", *words, *node, "--json")
        assert done.exit_code == 0, done.output
        assert json.loads(done.output)["object"]["class_name"] == first.class_name
    table = asked(finding, "search", "--id", added, "--object", "0", *node)
    assert f"0: {first.class_name} {first.confidence:.2f} at" in " ".join(table.output.split())
    assert asked(finding, "search", "x", "--region", "1,2,3").exit_code == 2
    unknown = asked(finding, "search", "x", "--class", "dgo")
    assert (unknown.exit_code, "unknown class 'dgo'" in unknown.output) == (1, True)
    assert "detector" in asked(finding, "status").output
