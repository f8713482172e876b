"""Metadata keys over HTTP: one is dropped, whatever it is called; and how many a request brings."""

from typing import Any

import pytest
import requests

from demo.process import ServiceProcess
from demo.server import PictureServer
from image_search import Client, RefusedError
from tests.cli.test_query import _asked
from tests.running import Post

ODD = (
    "a/b",
    "..",
    ".",
    "a.b",
    "gps/../x",
    "ü ö",
    "🦊",
    "a?b#c",
    "%2F",
    "\x00\n",
    "a\nb",
    "\n",
    "  ",
    "x" * 128,
)


@pytest.mark.parametrize("key", ODD)
def test_a_key_is_dropped_whatever_it_is_called(
    service: ServiceProcess, pictures: PictureServer, key: str
) -> None:
    with Client(service.url) as client:
        own = client.add(pictures.url + "6.jpg?columns", {key: "x", "columns": 1}).id
        assert client.status().columns[key] == "string"
        assert client.drop_column(key) == 1
        assert key not in client.status().columns
        assert client.get(own).metadata == {"columns": 1}
        with pytest.raises(RefusedError, match="unknown metadata key") as caught:
            client.drop_column(key)
        assert (caught.value.status, caught.value.code) == (400, "unknown_key")


def test_it_is_answered_named_and_undone(
    service: ServiceProcess, post: Post, pictures: PictureServer
) -> None:
    url = f"{service.url}/index/columns/dropped"
    with Client(service.url) as client:
        own = client.add(pictures.url + "7.jpg?columns", {"dropped": 5}).id
        before = client.versions()[0].version
        answer = requests.delete(url, timeout=60)
        assert (answer.status_code, answer.json()) == (
            200,
            {"message": "success", "key": "dropped", "count": 1},
        )
        listed = requests.get(f"{service.url}/index/columns", timeout=60).json()["columns"]
        assert "dropped" not in {each["key"] for each in listed}
        found = post("search_similar_images", {"metadata": {"dropped": 5}})
        assert found.json()["code"] == "unknown_key"
        assert client.add(pictures.url + "8.jpg?columns", {"dropped": "a text"}).created
        client.restore(before)
        assert client.get(own).metadata == {"dropped": 5}
    assert requests.get(url, timeout=60).status_code == 405


def test_the_command_asks_first(service: ServiceProcess, pictures: PictureServer) -> None:
    with Client(service.url) as client:
        client.add(pictures.url + "9.jpg?columns", {"by command": 1})
        assert _asked(service, "drop-column", "by command", given="n\n").exit_code == 1
        assert "by command" in client.status().columns
        dropped = _asked(service, "drop-column", "by command", "--yes")
        assert (dropped.exit_code, dropped.output) == (0, "1 images had it.\n")
        again = _asked(service, "drop-column", "by command", "--yes")
        assert again.exit_code == 1
        assert "unknown metadata key 'by command'" in again.output


def test_one_request_brings_so_many_new_keys(
    service: ServiceProcess, post: Post, pictures: PictureServer
) -> None:
    def keys(first: int, count: int) -> dict[str, Any]:
        return {f"brought {n}": n for n in range(first, first + count)}

    url = pictures.url + "10.jpg?columns"
    refused = post("post_image_to_index", {"url": url, "metadata": keys(0, 33)})
    assert (refused.status_code, refused.json()["code"]) == (400, "metadata_limit")
    message = refused.json()["message"]
    assert all(word in message for word in ("32", "33", "IMAGE_SEARCH_MAX_NEW_KEYS", "before"))
    many = {"images": [{"url": f"{url}{n}", "metadata": keys(n, 1)} for n in range(40)]}
    results = post("post_images_to_index", many).json()["results"]
    codes = [one.get("code") for one in results]
    assert (codes.count(None), codes.count("metadata_limit")) == (32, 8)
    again = post("post_images_to_index", many).json()["results"]
    assert all("code" not in one for one in again)
    patch = requests.patch(
        f"{service.url}/images/{again[0]['id']}", json={"metadata": keys(100, 33)}, timeout=60
    )
    assert (patch.status_code, patch.json()["code"]) == (400, "metadata_limit")
    with Client(service.url) as client:
        for key in [key for key in client.status().columns if key.startswith("brought ")]:
            client.drop_column(key)


def test_a_key_is_declared_over_http(
    service: ServiceProcess, post: Post, pictures: PictureServer
) -> None:
    url = f"{service.url}/index/columns/code%2Fx"
    said = {"message": "success", "key": "code/x", "type": "string"}
    for created in (True, False):
        answer = requests.put(url, json={"type": "string"}, timeout=60)
        assert (answer.status_code, answer.json()) == (200, {**said, "created": created})
    with Client(service.url) as client:
        own = client.add(pictures.url + "11.jpg?columns", {"code/x": "2024-05-01"}).id
        assert client.get(own).metadata == {"code/x": "2024-05-01"}
        with pytest.raises(RefusedError, match="'code/x' holds a string, not an integer"):
            client.declare_column("code/x", "integer")
        told = _asked(service, "declare-column", "code/x", "string").output
        assert told == "code/x was already a key of type string.\n"
        change = client.log(action="declare_column", limit=1).changes[0]
        assert (change.action, change.column, change.type) == ("declare_column", "code/x", "string")
        client.drop_column("code/x")


def test_what_people_send_widens(
    service: ServiceProcess, post: Post, pictures: PictureServer
) -> None:
    def add(n: int, metadata: Any) -> Any:
        sent = {"url": f"{pictures.url}{n % 10}.jpg?widens{n}", "metadata": metadata}
        return post("post_image_to_index", sent).json()

    ids = [
        add(n, metadata)["id"]
        for n, metadata in enumerate(
            [
                {"w": {"price": 10, "title": "2024-05-01T12:00:00+02:00"}},
                {"w": {"price": 12.5, "title": "hello"}, "$text": "a red star"},
                {"w.price": 10.0, "w.title": "2024:05:01 10:00:00"},
            ]
        )
    ]
    with Client(service.url) as client:
        assert [client.get(each).metadata for each in ids] == [
            {"w": {"price": 10, "title": "2024-05-01T12:00:00+02:00"}},
            {"w": {"price": 12.5, "title": "hello"}, "$text": "a red star"},
            {"w.price": 10.0, "w.title": "2024:05:01 10:00:00"},
        ]
        columns = client.status().columns
        assert (columns["w.price"], columns["w.title"]) == ("float", "string")
        found = post("search_similar_images", {"metadata": {"w.price": {"$lt": 12}}}).json()
        assert {hit["id"] for hit in found["results"]} == {ids[0], ids[2]}
        assert client.update(ids[0], {"w": {"price": 11}}).metadata == {
            "w": {"price": 11, "title": "2024-05-01T12:00:00+02:00"}
        }
        refused = add(3, {"w": {"price": "cheap"}})
        assert refused["message"] == "metadata key 'w.price' holds a float, not a string"
        client.delete_many(ids=ids)
        for key in ("w.price", "w.title"):
            client.drop_column(key)
