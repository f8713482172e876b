"""The routes of single images and of the index, over HTTP, against the real models and table."""

import io
from typing import Any

import pytest
import requests
from PIL import Image

from demo.process import ServiceProcess
from demo.scenes.scenes import Scene
from demo.server import PictureServer, as_jpeg
from store.metadata.values import parse_timestamp
from store.schemas import image_id
from tests.running import Post

UNKNOWN = "0" * 32


def ask(service: ServiceProcess, method: str, path: str, body: Any = None) -> requests.Response:
    return requests.request(method, f"{service.url}/{path}", json=body, timeout=60)


def lossless(picture: Image.Image, file_format: str) -> bytes:
    file = io.BytesIO()
    Image.open(io.BytesIO(as_jpeg(picture))).convert("RGB").save(file, file_format, lossless=True)
    return file.getvalue()


def add(post: Post, url: str, **more: Any) -> dict[str, Any]:
    answer = post("post_image_to_index", {"url": url, **more})
    assert answer.status_code == 200, answer.text
    added: dict[str, Any] = answer.json()
    return added


def test_an_image_is_read_changed_and_deleted(
    service: ServiceProcess, post: Post, pictures: PictureServer
) -> None:
    url = pictures.url + "14.jpg"
    path = f"images/{add(post, url, metadata={'kind': 'x', 'size': 5, 'on': True})['id']}"
    image = ask(service, "GET", path).json()
    assert image["url"] == url
    assert parse_timestamp(image["created_at"]) is not None

    changed = ask(service, "PATCH", path, {"metadata": {"size": 6, "on": None}}).json()
    assert changed == {**image, "metadata": {"kind": "x", "size": 6}}
    assert ask(service, "GET", path).json() == changed
    assert ask(service, "PATCH", path, {"metadata": "a text"}).json()["metadata"] == "a text"
    assert ask(service, "PATCH", path, {"metadata": None}).json()["metadata"] is None
    conflict = ask(service, "PATCH", path, {"metadata": {"size": "six"}})
    assert (conflict.status_code, conflict.json()["code"]) == (400, "metadata_conflict")

    assert ask(service, "DELETE", path).json() == {"message": "success", "deleted": 1}
    for method, body in (("GET", None), ("DELETE", None), ("PATCH", {"metadata": {"size": 1}})):
        gone = ask(service, method, path, body)
        assert (gone.status_code, gone.json()["code"]) == (404, "not_found")


def test_a_merge_patch_may_have_its_own_type(
    service: ServiceProcess, post: Post, pictures: PictureServer
) -> None:
    path = f"images/{add(post, pictures.url + '14.jpg?typed', metadata={'kind': 'x'})['id']}"
    answer = requests.patch(
        f"{service.url}/{path}",
        data=b'{"metadata": {"kind": "y"}}',
        headers={"Content-Type": "application/merge-patch+json"},
        timeout=30,
    )
    assert (answer.status_code, answer.json()["metadata"]) == (200, {"kind": "y"})
    patch = ask(service, "GET", "docs.json").json()["paths"]["/images/{id}"]["patch"]
    assert "application/merge-patch+json" in patch["requestBody"]["content"]
    assert ask(service, "DELETE", path).json()["deleted"] == 1


def test_the_list_is_newest_first(
    service: ServiceProcess, post: Post, pictures: PictureServer
) -> None:
    added = [add(post, f"{pictures.url}{number}.jpg?list")["id"] for number in range(3)]
    first = ask(service, "GET", "images?limit=2").json()
    second = ask(service, "GET", "images?limit=1&offset=2").json()
    assert [one["id"] for one in first["images"] + second["images"]] == added[::-1]
    beyond = ask(service, "GET", "images?offset=1000000").json()
    assert beyond == {"images": [], "total": first["total"]}
    assert ask(service, "GET", "images").json()["total"] >= 3


def test_many_are_added_and_a_bad_one_fails_alone(post: Post, pictures: PictureServer) -> None:
    url = pictures.url + "15.jpg?many"
    add(post, url, metadata={"nth": 0})  # so that the key's column is there, and of integers
    images = [
        {"url": url, "metadata": {"nth": 1}},
        {"url": pictures.url + "missing"},
        {"url": pictures.url + "16.jpg?many", "metadata": {"nth": "one"}},
        {"metadata": {"nth": 1}},
        {"url": 5},
        {"url": url + "2", "surprise": 1},
        "text",
        None,
        {"url": url, "metadata": {"nth": 2}},
        {"url": pictures.url + "16.jpg?many", "metadata": {"nth": 3}},
    ]
    results = post("post_images_to_index", {"images": images}).json()["results"]
    codes = [one.get("code") for one in results]
    assert codes == [
        None, "http_status", "metadata_conflict", "no_url", "bad_request", "bad_request",
        "bad_request", "bad_request", None, None,
    ]  # fmt: skip
    urls = [one.get("url") if isinstance(one, dict) else None for one in images]
    assert [one["url"] for one in results] == [u if isinstance(u, str) else None for u in urls]
    assert [one["id"] for one in (results[0], results[8])] == [image_id(url)] * 2
    found = post("search_simmilar_images", {"metadata": {"nth": {"$exists": True}}}).json()
    assert sorted(one["metadata"]["nth"] for one in found["results"]) == [2, 3]


def test_as_many_as_may_be(post: Post, pictures: PictureServer) -> None:
    images = [{"url": f"{pictures.url}{n % 24}.jpg?batch={n}"} for n in range(256)]
    results = post("post_images_to_index", {"images": images}).json()["results"]
    assert [one["id"] for one in results] == [image_id(one["url"]) for one in images]
    deleted = post("delete_images", {"ids": [one["id"] for one in results]}).json()
    assert deleted == {"message": "success", "deleted": 256}


def test_the_same_pixels_are_known_again(
    post: Post, pictures: PictureServer, scenes: list[Scene]
) -> None:
    original = add(post, pictures.url + "17.jpg")["id"]
    png = pictures.add_file("17.png", lossless(scenes[17].picture, "PNG"))
    webp = pictures.add_file("17.webp", lossless(scenes[17].picture, "WEBP"))
    copy = add(post, png)
    assert (copy["duplicate_of"], copy["created"]) == (original, True)
    assert original not in [one["id"] for one in copy.get("near_duplicates", [])]

    skipped = add(post, webp, on_duplicate="skip")
    assert skipped["skipped"] is True
    assert skipped["id"] == skipped["duplicate_of"] == original
    assert post("delete_images", {"ids": [image_id(webp)]}).json()["deleted"] == 0
    again = add(post, png, on_duplicate="skip", metadata={"again": True})
    assert "skipped" not in again
    assert again["created"] is False


def test_near_duplicates_are_named_and_can_be_skipped(
    post: Post, pictures: PictureServer, scenes: list[Scene]
) -> None:
    original = add(post, pictures.url + "18.jpg")["id"]
    file = io.BytesIO()
    scenes[18].picture.save(file, "JPEG", quality=60)
    worse = pictures.add_file("18-worse.jpg", file.getvalue())
    skipped = add(post, worse, on_duplicate="skip_near")
    assert skipped["skipped"] is True
    near = {one["id"]: one["score"] for one in skipped["near_duplicates"]}
    assert near[original] >= 0.98
    copy = add(post, pictures.url + "18.jpg?copy", on_duplicate="skip_near")
    assert (copy["skipped"], copy["id"], copy["duplicate_of"]) == (True, original, original)
    added = add(post, worse)
    assert "duplicate_of" not in added
    assert original in [one["id"] for one in added["near_duplicates"]]
    assert "skipped" not in add(post, worse, on_duplicate="skip_near")  # its own url is replaced
    post("delete_images", {"ids": [added["id"]]})


def test_deleting_by_filter(post: Post, pictures: PictureServer) -> None:
    for number in range(4):
        add(post, f"{pictures.url}{number}.jpg?doomed", metadata={"doomed": number})
    answer = post("delete_images", {"metadata": {"doomed": {"$gte": 1}}})
    assert answer.json() == {"message": "success", "deleted": 3}
    left = post("search_simmilar_images", {"metadata": {"doomed": {"$exists": True}}}).json()
    assert [one["metadata"] for one in left["results"]] == [{"doomed": 0}]


def test_the_state_and_going_back(
    service: ServiceProcess, post: Post, pictures: PictureServer
) -> None:
    kept = add(post, pictures.url + "19.jpg", metadata={"mark": "before"})["id"]
    before = ask(service, "GET", "index").json()
    assert (before["dim"], before["columns"]["mark"]) == (128, "string")
    assert before["indexed_rows"] + before["unindexed_rows"] == before["rows"]
    lost = add(post, pictures.url + "20.jpg?lost", metadata={"mark": "after"})["id"]
    assert ask(service, "GET", "index").json()["rows"] == before["rows"] + 1

    versions = ask(service, "GET", "index/versions").json()["versions"]
    numbers = [one["version"] for one in versions]
    assert numbers == sorted(numbers, reverse=True)
    assert before["version"] in numbers
    restored = post("index/restore", {"version": before["version"]}).json()["restored"]
    assert (restored["version"], restored["rows"]) == (before["version"], before["rows"])
    assert ask(service, "GET", f"images/{lost}").status_code == 404
    assert ask(service, "GET", f"images/{kept}").json()["metadata"] == {"mark": "before"}
    assert ask(service, "GET", "index").json()["version"] > max(numbers)


@pytest.mark.parametrize("method", ["GET", "POST", "PUT", "DELETE"])
@pytest.mark.parametrize("path", ["nowhere", "images/a/b", "index/x"])
def test_nothing_there_is_said_in_json(service: ServiceProcess, method: str, path: str) -> None:
    answer = ask(service, method, path)
    assert (answer.status_code, answer.json()["code"]) == (404, "not_found")


@pytest.mark.parametrize(
    ("method", "path"),
    [
        ("GET", "post_image_to_index"),
        ("DELETE", "images"),
        ("POST", f"images/{UNKNOWN}"),
        ("PUT", "index"),
        ("GET", "index/restore"),
    ],
)
def test_another_method_is_refused_in_json(service: ServiceProcess, method: str, path: str) -> None:
    answer = ask(service, method, path)
    assert (answer.status_code, answer.json()["code"]) == (405, "method_not_allowed")
    assert answer.headers["Allow"]


def test_ids_leave_nothing_behind(service: ServiceProcess) -> None:
    """Neither a metric of their own, nor a line of their own in the log."""
    for number in range(5):
        assert ask(service, "GET", f"images/secret-{number}%0aforged").status_code == 404
    metrics = requests.get(f"{service.url}/metrics", timeout=60).text
    assert 'endpoint="/images/{id}"' in metrics
    assert "secret-" not in metrics + service.log.read_text(errors="replace")


def test_the_metrics_know_the_index(service: ServiceProcess) -> None:
    metrics = requests.get(f"{service.url}/metrics", timeout=60).text
    for name in ("rows", "fragments", "queued", "recall", "commits_total", "upkeep_runs_total"):
        assert f"\nimage_search_index_{name} " in metrics
