"""Bad input to every route: status 400 (or 404 for an id), one line, and never a hang."""

import json
from typing import Any

import pytest
import requests

from demo.process import ServiceProcess

JSON = {"Content-Type": "application/json"}
UNKNOWN = "0" * 32
DEEP: Any = {"a": 1}
for _ in range(60):
    DEEP = {"$not": DEEP}

POSTS: list[tuple[str, Any]] = [
    ("post_images_to_index", {}),
    ("post_images_to_index", {"images": []}),
    ("post_images_to_index", {"images": {}}),
    ("post_images_to_index", {"images": "x"}),
    ("post_images_to_index", {"images": [{"url": "x"}] * 257}),
    ("post_images_to_index", {"images": [{"url": "x"}], "surprise": 1}),
    ("post_images_to_index", {"images": [{"url": "x"}], "on_duplicate": "maybe"}),
    ("post_image_to_index", {"url": "x", "on_duplicate": "maybe"}),
    ("search_simmilar_images", {"id": 5}),
    ("search_simmilar_images", {"id": ""}),
    ("search_simmilar_images", {"id": "x" * 10_000}),
    ("search_simmilar_images", {"query": []}),
    ("search_simmilar_images", {"query": {}}),
    ("search_simmilar_images", {"query": [5]}),
    ("search_simmilar_images", {"query": [{}]}),
    ("search_simmilar_images", {"query": [{"id": "a", "text": "b"}]}),
    ("search_simmilar_images", {"query": [{"text": "b", "weight": 0}]}),
    ("search_simmilar_images", {"query": [{"text": "b", "weight": 101}]}),
    ("search_simmilar_images", {"query": [{"text": "b", "weight": 10**400}]}),
    ("search_simmilar_images", {"query": [{"text": "b", "weight": True}]}),
    ("search_simmilar_images", {"query": [{"text": "b" * 10_001}]}),
    ("search_simmilar_images", {"query": [{"text": ""}]}),
    ("search_simmilar_images", {"query": [{"text": "b"}] * 17}),
    ("search_simmilar_images", {"metadata": "a", "cutoff": "manual"}),
    ("search_simmilar_images", {"metadata": DEEP}),
    ("search_simmilar_images", {"metadata": "a", "offset": -1}),
    ("search_simmilar_images", {"metadata": "a", "offset": 10**30}),
    ("delete_images", {}),
    ("delete_images", {"ids": []}),
    ("delete_images", {"ids": ["x"] * 1001}),
    ("delete_images", {"ids": [5]}),
    ("delete_images", {"ids": "x"}),
    ("delete_images", {"metadata": {}}),
    ("delete_images", {"metadata": "text"}),
    ("delete_images", {"metadata": {"no such key": 1}}),
    ("delete_images", {"metadata": DEEP}),
    ("delete_images", {"ids": ["x"], "metadata": {"a": 1}}),
    ("delete_images", {"ids": ["x"], "all": True}),
    ("delete_images", {"all": False}),
    ("delete_images", {"all": 1}),
    ("index/restore", {}),
    ("index/restore", {"version": 0}),
    ("index/restore", {"version": 10**30}),
    ("index/restore", {"version": 2**63 - 1}),
    ("index/restore", {"version": "1"}),
    ("index/restore", {"version": 1, "before": "2026-01-31T12:00:00Z"}),
    ("index/restore", {"before": "yesterday"}),
    ("index/restore", {"before": "2026-01-31T12:00:00"}),
    ("index/restore", {"before": "0001-01-01T00:00:00+23:59"}),
    ("index/restore", {"before": "1990-01-01T00:00:00Z"}),
]
RAW = [b"{", b"[]", b"\xff", b'{"a": NaN}', b"[" * 10_000, b'{"ids": ["\\ud800"]}', b"null"]
QUERIES = [
    "images?limit=0",
    "images?limit=1001",
    "images?limit=-1",
    "images?limit=ten",
    "images?limit=1.5",
    "images?limit=",
    "images?limit=1&limit=2",
    "images?offset=-1",
    f"images?offset={10**30}",
    "images?page=2",
    "images?limit=%00",
    "index?x=1",
    "index/versions?limit=3",
    f"images/{UNKNOWN}?x=1",
]
IDS = ["x", "x" * 10_000, "%ff%fe", "'%20OR%201=1", "%00", "%0a", "..%5c", "%F0%9F%9A%B2", "{id}"]
PATCHES: list[Any] = [{}, {"metadata": 5}, {"metadata": []}, {"id": "x", "metadata": {}}, {"x": 1}]


def is_one_line(answer: requests.Response, status: int) -> bool:
    message = answer.json()["message"]
    clean = bool(message) and "\n" not in message and "Traceback" not in message
    return answer.status_code == status and clean and len(message) < 1000


@pytest.mark.parametrize(("route", "body"), POSTS)
def test_bodies(service: ServiceProcess, route: str, body: Any) -> None:
    answer = requests.post(f"{service.url}/{route}", json=body, timeout=60)
    assert is_one_line(answer, 400), answer.text


@pytest.mark.parametrize("raw", RAW)
@pytest.mark.parametrize(
    ("method", "route"),
    [
        ("POST", "post_images_to_index"),
        ("POST", "delete_images"),
        ("POST", "index/restore"),
        ("PATCH", f"images/{UNKNOWN}"),
    ],
)
def test_what_is_no_json_object(
    service: ServiceProcess, method: str, route: str, raw: bytes
) -> None:
    url = f"{service.url}/{route}"
    assert is_one_line(requests.request(method, url, data=raw, headers=JSON, timeout=60), 400)
    plain = requests.request(method, url, data=raw, headers={"Content-Type": "text/x"}, timeout=60)
    assert is_one_line(plain, 415)


@pytest.mark.parametrize("path", QUERIES)
def test_parameters(service: ServiceProcess, path: str) -> None:
    answer = requests.get(f"{service.url}/{path}", timeout=60)
    assert is_one_line(answer, 400), answer.text


@pytest.mark.parametrize("method", ["GET", "DELETE", "PATCH"])
@pytest.mark.parametrize("image", IDS)
def test_ids_that_there_are_not(service: ServiceProcess, method: str, image: str) -> None:
    body = json.dumps({"metadata": {"a": 1}}) if method == "PATCH" else None
    answer = requests.request(
        method, f"{service.url}/images/{image}", data=body, headers=JSON, timeout=60
    )
    assert is_one_line(answer, 404), answer.text


@pytest.mark.parametrize("body", PATCHES)
def test_patches(service: ServiceProcess, body: Any) -> None:
    answer = requests.patch(f"{service.url}/images/{UNKNOWN}", json=body, timeout=60)
    assert is_one_line(answer, 400), answer.text


def test_too_large_a_batch_is_refused(service: ServiceProcess) -> None:
    images = [{"url": "http://x/", "metadata": "x" * 5000}] * 256
    answer = requests.post(
        f"{service.url}/post_images_to_index", json={"images": images}, timeout=60
    )
    assert is_one_line(answer, 413)
