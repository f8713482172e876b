"""An index of another detector: refused, gone over to, looked into again while it is searched."""

import asyncio
from pathlib import Path

import numpy as np
import pytest
from click.testing import CliRunner

from demo.process import ServiceProcess
from demo.server import PictureServer
from image_search import Client, IndexStatus
from image_search.cli.main import main
from store.index import ImageIndex
from store.schemas import Detector, ModelIdentity, NewImage, NewObjects, ObjectBox
from store.settings import StoreSettings
from tests.running import environment, own_models

OLD = Detector("yolo-old.pt", "as before")
COUNT = 6


async def fill(folder: Path, status: IndexStatus, url: str) -> None:
    """Images with objects that another detector has found."""
    model = ModelIdentity(status.model.name, status.model.pretrained, status.dim)
    settings = StoreSettings(store_uri=str(folder / "index"))
    index = await ImageIndex.open(settings, model, detector=OLD)
    box = (ObjectBox("old thing", 0.5, (0.0, 0.0, 0.5, 0.5)),)
    for n in range(COUNT):
        vector = np.zeros(status.dim, np.float32)
        vector[n] = 1
        objects = NewObjects((256, 256), box, 0, vector[None])
        await index.upsert(NewImage(f"{url}{n}.jpg", vector, own_id=f"d-{n}", objects=objects))
    await index.close()


@own_models
def test_an_index_goes_over_to_another_detector(
    service: ServiceProcess,
    pictures: PictureServer,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    with Client(service.url) as client:
        asyncio.run(fill(tmp_path, client.status(), pictures.url))
    settings = environment(tmp_path, IMAGE_SEARCH_OBJECTS="on")
    for name, value in settings.items():
        monkeypatch.setenv(name, value)
    begun = CliRunner().invoke(main, ["redetect", "--begin"])
    assert begun.exit_code == 0, begun.output
    assert all(part in begun.output for part in (str(OLD), f"\n{COUNT} images", "sha256:"))
    with ServiceProcess(settings, tmp_path / "log") as running, Client(running.url) as client:
        told = client.status().objects
        assert told is not None
        assert (told.images, told.earlier, told.detector == OLD.name) == (COUNT, COUNT, False)
        before = client.objects("d-1")
        assert (before.found_by, before.objects[0].class_name) == (str(OLD), "old thing")
        [hit] = client.search(id="d-1", object=0, search="objects", limit=1)
        assert (hit.id, hit.object and hit.object.class_name) == ("d-1", "old thing")
        assert client.find_objects("d-2").found_by is None
        again = CliRunner().invoke(main, ["redetect", "--server", running.url])
        assert f"{COUNT - 1} images looked into" in again.output, again.output
        assert all(client.objects(f"d-{n}").found_by is None for n in range(COUNT))
        assert "old thing" not in str(client.objects("d-1"))
        assert client.find(filter={"$objects": None}, total=True).total == 0
        done = CliRunner().invoke(main, ["redetect", "--begin"])
        assert done.output.startswith("Nothing to do")
