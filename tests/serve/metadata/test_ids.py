"""Ids of one's own, and what is looked up, deleted and changed by url or by filter, over HTTP."""

import asyncio
from typing import Any
from urllib.parse import quote

import pytest
import requests

from demo.process import ServiceProcess
from demo.server import PictureServer
from image_search import Client
from store.schemas import image_id
from tests.running import Post


def of_url(service: ServiceProcess, url: str, **more: Any) -> dict[str, Any]:
    answer = requests.get(f"{service.url}/images", {"url": url, **more}, timeout=60)
    assert answer.status_code == 200, answer.text
    found: dict[str, Any] = answer.json()
    return found


def add(post: Post, **body: Any) -> dict[str, Any]:
    answer = post("post_image_to_index", body)
    assert answer.status_code == 200, answer.text
    added: dict[str, Any] = answer.json()
    return added


def test_one_stock_picture_for_two_products(
    service: ServiceProcess, post: Post, pictures: PictureServer
) -> None:
    url = pictures.url + "21.jpg?stock"
    first = add(post, url=url, id="shop-A:1", metadata={"sku": "1"})
    second = add(post, url=url, id="shop-A:2", metadata={"sku": "2"})
    third = add(post, url=url)
    assert [one["id"] for one in (first, second, third)] == ["shop-A:1", "shop-A:2", image_id(url)]
    assert (first["created"], second["created"]) == (True, True)
    # Other tests of this service may have left the picture in it.
    assert second["duplicate_of"] == first.get("duplicate_of", "shop-A:1")
    found = of_url(service, url)
    assert found["total"] == 3
    assert [one["id"] for one in found["images"]] == [image_id(url), "shop-A:2", "shop-A:1"]
    page = of_url(service, url, limit=1, offset=1)
    assert ([one["id"] for one in page["images"]], page["total"]) == (["shop-A:2"], 3)
    assert of_url(service, url + "#not") == {"images": [], "total": 0}
    assert post("delete_images", {"urls": [url, "nobody's"]}).json()["deleted"] == 3
    assert of_url(service, url)["total"] == 0


def test_a_new_signature_replaces_the_row_of_an_id(
    service: ServiceProcess, post: Post, pictures: PictureServer
) -> None:
    old, new = (f"{pictures.url}22.jpg?signature={n}" for n in "ab")
    assert add(post, url=old, id="signed", metadata={"kind": "x"})["created"] is True
    again = add(post, url=new, id="signed")
    assert (again["id"], again["created"], again.get("duplicate_of")) == ("signed", False, None)
    stored = requests.get(f"{service.url}/images/signed", timeout=60).json()
    assert (stored["url"], stored["metadata"]) == (new, None)
    assert of_url(service, old)["total"] == 0
    skipped = add(post, url=old, id="other", on_duplicate="skip")
    assert (skipped["skipped"], skipped["id"]) == (True, "signed")
    # A known id is replaced, whatever else has its pixels.
    add(post, url=old)
    assert add(post, url=new, id="signed", on_duplicate="skip")["created"] is False
    assert post("delete_images", {"urls": [old, new]}).json()["deleted"] == 2


def test_a_batch_that_names_an_id_twice_keeps_its_order(
    service: ServiceProcess, post: Post, pictures: PictureServer
) -> None:
    urls = [f"{pictures.url}{n % 5}.jpg?twice" for n in range(12)]
    images = [{"url": url, "id": "twice", "metadata": {"nth": n}} for n, url in enumerate(urls)]
    of_url_alone = {"url": urls[0], "metadata": {"nth": 1}}
    named = {"url": urls[1], "id": image_id(urls[0]), "metadata": {"nth": 2}}
    bad = {"url": urls[0], "id": "a/b"}
    results = post("post_images_to_index", {"images": [*images, of_url_alone, named, bad]}).json()
    assert [one.get("created") for one in results["results"]] == (
        [True] + [False] * 11 + [True, False, None]
    )
    assert "id must be 1 to 128" in results["results"][-1]["message"]
    for own, nth in (("twice", 11), (image_id(urls[0]), 2)):
        stored = requests.get(f"{service.url}/images/{own}", timeout=60).json()
        assert stored["metadata"] == {"nth": nth}
    assert post("delete_images", {"ids": ["twice", image_id(urls[0])]}).json()["deleted"] == 2


@pytest.mark.parametrize("own", ["a.b:c-d_e", "...", "v1.0:" + "x" * 123, "thumbnail", "-", "%2e"])
def test_an_id_is_a_piece_of_an_address(
    service: ServiceProcess, post: Post, pictures: PictureServer, own: str
) -> None:
    body = {"url": pictures.url + "23.jpg?piece", "id": own}
    answer = post("post_image_to_index", body)
    if own == "%2e":
        assert (answer.status_code, answer.json()["code"]) == (400, "bad_request")
        return
    assert answer.json()["id"] == own
    path = f"{service.url}/images/{quote(own, safe='')}"
    assert requests.get(path, timeout=60).json()["id"] == own
    assert requests.get(f"{path}/thumbnail", timeout=60).status_code == 200
    found = post("search_similar_images", {"id": own, "limit": 1}).json()["results"]
    assert [one["id"] for one in found] == [own]
    with Client(service.url) as client:
        assert client.update(own, {"kind": "x"}).metadata == {"kind": "x"}
        assert client.delete(own) == 1


def test_all_that_match_are_changed(
    service: ServiceProcess, post: Post, pictures: PictureServer
) -> None:
    urls = [f"{pictures.url}{n}.jpg?matched" for n in range(6)]
    with Client(service.url) as client:
        for n, url in enumerate(urls):
            client.add(url, {"lot": n, "kind": "m", "on": True}, id=f"lot-{n}")
        client.add(urls[0], "only text", id="text")
        before = client.get("lot-1").created_at
        node = {"kind": "m", "lot": {"$lt": 4}}
        answer = post("update_images", {"metadata": node, "set": {"lot": 9, "on": None}})
        assert (answer.status_code, answer.json()) == (200, {"updated": 4})
        assert client.get("lot-1").metadata == {"lot": 9, "kind": "m"}
        assert client.get("lot-1").created_at == before
        assert client.get("lot-4").metadata == {"lot": 4, "kind": "m", "on": True}
        assert client.update_many({"lot": 1}, filter=node) == 0  # none matches any more
        change = client.log(limit=1).changes[0]
        assert (change.action, change.count) == ("patch", 4)
        assert set(change.ids) == {f"lot-{n}" for n in range(4)}
        assert client.update_many("words", filter={"lot": 9}) == 4
        assert client.get("lot-1").metadata == "words"
        for bad, code in (
            ({"metadata": {"kind": "m"}, "set": {"lot": "text"}}, "metadata_conflict"),
            ({"metadata": {"nosuch": 1}, "set": {}}, "unknown_key"),
            ({"metadata": {"$not": {"kind": "nosuch"}}, "set": {"on": False}}, "invalid_filter"),
            ({"metadata": {}, "set": {"on": False}}, "bad_request"),
            ({"set": {"on": False}}, "bad_request"),
            ({"metadata": {"kind": "m"}}, "bad_request"),
            ({"all": True, "metadata": {"kind": "m"}, "set": {}}, "bad_request"),
        ):
            answer = post("update_images", bad)
            assert (answer.status_code, answer.json()["code"]) == (400, code), bad
        assert client.delete_many(urls=urls) == 7


def test_adds_go_on_while_many_are_changed(
    service: ServiceProcess, post: Post, pictures: PictureServer
) -> None:
    with Client(service.url) as client:
        client.add(pictures.url + "5.jpg?meanwhile", {"kind": "w", "lot": 0})

        async def both() -> list[Any]:
            change = asyncio.to_thread(client.update_many, {"lot": 1}, filter={"kind": "w"})
            added = asyncio.to_thread(
                client.add, pictures.url + "6.jpg?meanwhile", {"kind": "w", "lot": 0}
            )
            return list(await asyncio.gather(change, added))

        changed, _ = asyncio.run(both())
        assert changed in {1, 2}
        assert client.delete_many(filter={"kind": "w"}) == 2
