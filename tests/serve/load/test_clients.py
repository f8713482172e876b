"""BentoML's own clients against the service, and the OpenAPI document."""

import asyncio
import re

import bentoml
import pytest
import requests
from bentoml.exceptions import BentoMLException
from openapi_spec_validator import validate

from demo.process import ServiceProcess
from demo.server import PictureServer

POSTS = (
    "/post_image_to_index",
    "/post_images_to_index",
    "/search_simmilar_images",
    "/search_similar_images",
    "/run_object_detection",
    "/delete_images",
    "/index/restore",
)
MOUNTED = {
    "/images": {"get"},
    "/images/{id}": {"get", "patch", "delete"},
    "/index": {"get"},
    "/index/versions": {"get"},
}


def test_the_synchronous_client(service: ServiceProcess, pictures: PictureServer) -> None:
    url = pictures.url + "12.jpg"
    with bentoml.SyncHTTPClient(service.url) as client:
        added = client.post_image_to_index(url=url, metadata={"from": "client"})
        assert added["message"] == "success"
        found = client.search_simmilar_images(url=url, metadata={"from": "client"}, limit=1)
        assert [hit["id"] for hit in found["results"]] == [added["id"]]
        assert client.run_object_detection(url=url).startswith(b"\xff\xd8")
        copies = [{"url": url + "?copy"}, {"url": "no url"}]
        results = client.post_images_to_index(images=copies, on_duplicate="skip")["results"]
        assert results[0]["duplicate_of"] == added["id"]
        assert results[1].keys() == {"url", "message", "code"}
        weighted = client.search_simmilar_images(query=[{"id": added["id"], "weight": 2}])
        assert added["id"] in [hit["id"] for hit in weighted["results"][:3]]
        assert client.delete_images(ids=[added["id"], "x"])["deleted"] == 1
        with pytest.raises(BentoMLException, match="could not be reached"):
            client.run_object_detection(url="http://127.0.0.2/x.jpg")


def test_the_asynchronous_client(service: ServiceProcess, pictures: PictureServer) -> None:
    async def ask() -> int:
        async with bentoml.AsyncHTTPClient(service.url) as client:
            added = await client.post_image_to_index(url=pictures.url + "13.jpg", metadata="text")
            found = await client.search_similar_images(metadata="text")
            return [hit["id"] for hit in found["results"]].count(added["id"])

    assert asyncio.run(ask()) == 1


def test_the_openapi_document(service: ServiceProcess) -> None:
    document = requests.get(f"{service.url}/docs.json", timeout=60).json()
    validate(document)
    paths = document["paths"]
    assert "/heartbeat" in paths
    for operation in (paths[route]["post"] for route in POSTS):
        assert {"200", "400", "401", "413", "415", "429"} <= operation["responses"].keys()
        assert operation["requestBody"]["content"]["application/json"]["examples"]
    for route, methods in MOUNTED.items():
        assert paths[route].keys() == methods
        for operation in paths[route].values():
            assert {"200", "400", "401", "429"} <= operation["responses"].keys()
            assert ("404" in operation["responses"]) == ("{id}" in route)
            assert operation["description"]
    parameters = {one["name"]: one for one in paths["/images"]["get"]["parameters"]}
    assert parameters["limit"]["schema"]["maximum"] == 1000
    assert set(parameters) == {"limit", "offset", "url", "cursor"}
    assert "image/jpg" in paths["/run_object_detection"]["post"]["responses"]["200"]["content"]


@pytest.mark.parametrize("path", ["", "docs"])
def test_the_pages_load_what_the_service_has(service: ServiceProcess, path: str) -> None:
    page = requests.get(f"{service.url}/{path}", timeout=60)
    assert page.status_code == 200
    parts = re.findall(r'(?:src|href)="([^"#]+)"', page.text)
    assert len(parts) > 3
    for part in parts:
        assert part.startswith(("./", "?"))  # nothing is loaded from other hosts
        assert requests.get(f"{service.url}/{part.removeprefix('./')}", timeout=60).ok
