"""Pictures sent with the request: as a form, or alone."""

import asyncio
import io
import subprocess
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from typing import Any

import httpx
import pytest
import requests
from PIL import Image

from demo.process import ServiceProcess
from demo.scenes.scenes import Scene, draw_scene
from demo.server import PictureServer
from store.schemas import image_id
from tests.running import Post
from tests.serve.contract.test_contract import POST_ROUTES

Send = Callable[..., requests.Response]
SEEDS = iter(range(9_000_000, 9_001_000))


def sender(service: ServiceProcess, *, alone: bool) -> Send:
    """Sends a file as a form, or alone with the fields in the query."""

    def send(route: str, data: bytes, **fields: str) -> requests.Response:
        url = f"{service.url}/{route}"
        if alone:
            headers = {"Content-Type": "image/jpeg"}
            return requests.post(url, data=data, params=fields, headers=headers, timeout=60)
        return requests.post(url, files={"image": ("ü.jpg", data)}, data=fields, timeout=60)

    return send


@pytest.fixture(params=["form", "alone"])
def send(service: ServiceProcess, request: pytest.FixtureRequest) -> Send:
    return sender(service, alone=request.param == "alone")


@pytest.fixture
def picture() -> bytes:
    """A picture that no other test has seen."""
    file = io.BytesIO()
    draw_scene(next(SEEDS)).picture.save(file, "JPEG", quality=92)
    return file.getvalue()


@pytest.fixture
def added(post: Post, pictures: PictureServer, picture: bytes) -> dict[str, Any]:
    """The same picture, indexed by its URL."""
    name = f"same-{image_id(repr(picture))}.jpg"
    pictures.add_file(name, picture)
    answer = post("post_image_to_index", {"url": pictures.url + name}).json()
    return {**answer, "address": pictures.url + name}


def test_an_upload_is_indexed_and_found(
    service: ServiceProcess, send: Send, picture: bytes
) -> None:
    fields = {"metadata": '{"shop": "ü", "price": 9.5}'}
    first = send("post_image_to_index", picture, **fields)
    assert first.status_code == 200
    again = send("post_image_to_index", picture, **fields).json()
    assert (first.json()["created"], again["created"]) == (True, False)
    assert first.json()["id"] == again["id"] == image_id(again["url"])
    assert again["url"].startswith("upload:")

    stored = requests.get(f"{service.url}/images/{again['id']}", timeout=60).json()
    assert stored["url"] == again["url"]
    assert stored["metadata"] == {"shop": "ü", "price": 9.5}

    found = send("search_simmilar_images", picture, limit="1", min_score="0.99").json()["results"]
    assert [(one["id"], one["score"]) for one in found] == [(again["id"], 1.0)]


def test_an_upload_and_its_url_are_each_others_duplicates(
    service: ServiceProcess, post: Post, send: Send, picture: bytes, added: dict[str, Any]
) -> None:
    uploaded = send("post_image_to_index", picture).json()
    assert uploaded["duplicate_of"] == added["id"]
    by_url = post("post_image_to_index", {"url": added["address"]}).json()
    assert by_url["duplicate_of"] == uploaded["id"]
    # One vector: each is as near to the other as to itself.
    for one in (added["id"], uploaded["id"]):
        found = post("search_simmilar_images", {"id": one, "limit": 2}).json()["results"]
        assert {hit["id"] for hit in found} == {added["id"], uploaded["id"]}
        assert {hit["score"] for hit in found} == {1.0}


def test_an_upload_can_be_skipped(send: Send, picture: bytes, added: dict[str, Any]) -> None:
    answer = send("post_image_to_index", picture, on_duplicate="skip").json()
    assert answer["skipped"] is True
    assert answer["id"] == added["id"]
    assert "url" not in answer


def test_an_upload_is_searched_with_a_filter_and_with_a_text(
    post: Post, send: Send, picture: bytes, added: dict[str, Any]
) -> None:
    by_url = {"url": added["address"], "limit": 5}
    for metadata, as_json in (
        ('{"shop": {"$exists": false}}', {"shop": {"$exists": False}}),
        ("a red circle", "a red circle"),
    ):
        found = send("search_similar_images", picture, metadata=metadata, limit="5").json()
        assert found == post("search_similar_images", {**by_url, "metadata": as_json}).json()


def test_objects_are_found_in_an_upload(
    post: Post, send: Send, picture: bytes, added: dict[str, Any]
) -> None:
    as_json = send("run_object_detection", picture, format="json", confidence="0.5")
    given = {"url": added["address"], "format": "json", "confidence": 0.5}
    assert as_json.json() == post("run_object_detection", given).json()
    name = as_json.json()["detections"][0]["class_name"]
    asked = {"classes": f'["{name}"]', "max_detections": "1", "format": "json"}
    [surest] = send("run_object_detection", picture, **asked).json()["detections"]
    assert surest == as_json.json()["detections"][0]
    drawn = send("run_object_detection", picture)
    assert drawn.headers["Content-Type"] == "image/jpg"
    assert Image.open(io.BytesIO(drawn.content)).size == Image.open(io.BytesIO(picture)).size


def test_a_form_may_hold_a_url_or_a_text_instead(
    service: ServiceProcess, post: Post, pictures: PictureServer
) -> None:
    for fields in ({"url": pictures.url + "1.jpg"}, {"metadata": "a red circle"}):
        url = f"{service.url}/search_simmilar_images"
        answer = requests.post(url, data=fields, files={"image": ("", b"")}, timeout=60)
        assert answer.json() == post("search_simmilar_images", fields).json()


@pytest.mark.parametrize("route", POST_ROUTES)
@pytest.mark.parametrize(
    ("data", "fields", "code", "says"),
    [
        (b"no image but text", {}, "not_an_image", "supported format"),
        (b"x" * (50 * 2**20 + 1), {}, "image_too_large", "52,428,800 bytes"),
        (None, {"unknown": "1"}, "bad_request", "unknown field 'unknown'"),
    ],
)
def test_bad_uploads_are_refused(
    send: Send, picture: bytes, route: str, data: bytes | None, fields: Any, code: str, says: str
) -> None:
    answer = send(route, picture if data is None else data, **fields)
    assert (answer.status_code, answer.json()["code"]) == (400, code)
    assert says in answer.json()["message"]


@pytest.mark.parametrize("route", POST_ROUTES)
def test_an_upload_may_bring_its_url_where_it_is_added(
    send: Send, picture: bytes, route: str
) -> None:
    url = f"http://127.0.0.1:1/{image_id(repr(picture))}.jpg"  # nothing is there
    answer = send(route, picture, url=f" {url}\n")
    if route != "post_image_to_index":
        assert (answer.status_code, answer.json()["code"]) == (400, "bad_request")
        assert "image and url do not go together" in answer.json()["message"]
        return
    added = answer.json()
    assert (added["url"], added["id"], added["created"]) == (url, image_id(url), True)
    assert send(route, picture, url=url).json()["created"] is False
    own = send(route, picture, url=url, id="a:1._-").json()
    assert (own["id"], own["url"], own["duplicate_of"]) == ("a:1._-", url, added["id"])


@pytest.mark.parametrize(
    ("url", "code"),
    [
        ("javascript:alert(1)", "url_invalid"),
        ("file:///etc/passwd", "url_invalid"),
        ("http://user:word@example.com/", "url_invalid"),
        ("http://example.com/" + "a" * 9000, "url_invalid"),
        ("upload:" + "0" * 64, "bad_request"),
    ],
)
def test_the_url_of_an_upload_is_one_of_the_web(
    service: ServiceProcess, picture: bytes, url: str, code: str
) -> None:
    answer = sender(service, alone=False)("post_image_to_index", picture, url=url)
    assert (answer.status_code, answer.json()["code"]) == (400, code)


@pytest.mark.parametrize("route", POST_ROUTES)
def test_bodies_that_hold_no_picture(service: ServiceProcess, route: str) -> None:
    url = f"{service.url}/{route}"
    empty = requests.post(url, headers={"Content-Type": "image/png"}, timeout=60)
    assert (empty.status_code, empty.json()["code"]) == (400, "bad_request")
    none = requests.post(url, files={"image": ("", b"")}, timeout=60)
    nothing = requests.post(url, json={}, timeout=60)
    assert (none.status_code, none.json()) == (400, nothing.json())


@pytest.mark.parametrize("route", POST_ROUTES)
def test_too_large_an_upload_is_refused(service: ServiceProcess, route: str) -> None:
    url, headers = f"{service.url}/{route}", {"Content-Type": "image/png"}
    answer = requests.post(url, data=b"x" * (52 * 2**20), headers=headers, timeout=60)
    assert (answer.status_code, answer.json()["code"]) == (413, "body_too_large")


def test_who_sends_all_before_reading_sees_the_refusal(service: ServiceProcess) -> None:
    """A connection that is closed while a client still sends loses the answer on its way."""

    async def send() -> httpx.Response:
        async with httpx.AsyncClient(timeout=60) as client:
            files = {"image": ("large.png", b"x" * (60 << 20))}
            return await client.post(f"{service.url}/post_image_to_index", files=files)

    answer = asyncio.run(send())
    assert (answer.status_code, answer.json()["code"]) == (413, "body_too_large")


@pytest.mark.parametrize(
    ("origin", "status"),
    [(None, 200), ("own", 200), ("https://evil.example", 415), ("null", 415), ("", 415)],
)
def test_only_this_services_pages_send_forms(
    service: ServiceProcess, picture: bytes, origin: str | None, status: int
) -> None:
    """A browser asks nobody before it sends a form for any page."""
    own = service.url.replace("http:", "https:")  # as behind a proxy that ends TLS
    headers = {} if origin is None else {"Origin": own if origin == "own" else origin}
    url, files = f"{service.url}/search_simmilar_images", {"image": ("x", picture)}
    answer = requests.post(url, files=files, headers=headers, timeout=60)
    assert answer.status_code == status
    if status != 200:
        assert answer.json()["code"] == "foreign_form"


def test_curl_sends_a_file_either_way(
    service: ServiceProcess, picture: bytes, tmp_path: Any
) -> None:
    file = tmp_path / 'a b;c"d.jpg'
    file.write_bytes(picture)
    url = f"{service.url}/search_simmilar_images"
    quoted = str(file).replace('"', '\\"')
    form = ["curl", "-sS", url, "-F", f'image=@"{quoted}"', "-F", "limit=1"]
    alone = ["curl", "-sS", f"{url}?limit=1", "-H", "Content-Type: image/jpeg"]
    alone += ["--data-binary", f"@{file}"]
    answers = [subprocess.run(one, check=True, capture_output=True).stdout for one in (form, alone)]
    assert answers[0] == answers[1]
    assert b"results" in answers[0]


def test_more_large_uploads_than_there_is_room_for(service: ServiceProcess, send: Send) -> None:
    """Those are told to come back, as others that find no room are."""

    def one(_: int) -> requests.Response:
        return send("run_object_detection", b"no picture" + bytes(15 << 20))

    with ThreadPoolExecutor(32) as threads:
        answers = list(threads.map(one, range(48)))
    assert {(one.status_code, one.json()["code"]) for one in answers} <= {
        (400, "not_an_image"),
        (429, "overloaded"),
    }
    assert all("Retry-After" in one.headers for one in answers if one.status_code == 429)
    assert sum(one.status_code == 400 for one in answers) >= 8


def test_a_form_takes_no_query(service: ServiceProcess, picture: bytes) -> None:
    url, files = f"{service.url}/search_simmilar_images?limit=1", {"image": ("x", picture)}
    answer = requests.post(url, files=files, timeout=60)
    assert (answer.status_code, answer.json()["code"]) == (400, "bad_request")
    assert "none in the query" in answer.json()["message"]


def test_a_query_that_is_no_utf_8_is_refused(service: ServiceProcess, picture: bytes) -> None:
    url = f"{service.url}/search_simmilar_images?metadata=%ff"
    answer = requests.post(url, picture, headers={"Content-Type": "image/jpeg"}, timeout=60)
    assert (answer.status_code, answer.json()["message"]) == (400, "the query must be UTF-8")


def test_many_uploads_at_once(service: ServiceProcess, send: Send, scenes: list[Scene]) -> None:
    def one(number: int) -> int:
        file = io.BytesIO()
        scenes[number % len(scenes)].picture.save(file, "PNG")
        return send("run_object_detection", file.getvalue(), format="json").status_code

    with ThreadPoolExecutor(16) as threads:
        assert set(threads.map(one, range(48))) == {200}
