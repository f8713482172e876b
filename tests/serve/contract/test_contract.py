"""The contract of the four routes, over HTTP, against the real models and a real table."""

import io
import json
from typing import Any

import pytest
import requests
from PIL import Image

from demo.process import ServiceProcess
from demo.scenes.scenes import Scene
from demo.server import PictureServer, as_jpeg
from tests.running import Post

POST_ROUTES = ("post_image_to_index", "search_simmilar_images", "run_object_detection")
JSON = {"Content-Type": "application/json"}


def test_heartbeat(service: ServiceProcess) -> None:
    answer = requests.get(f"{service.url}/heartbeat", timeout=60)
    assert (answer.status_code, answer.json()) == (200, {"message": "Api is running"})


@pytest.mark.parametrize("body", [{}, {"url": None}, {"url": ""}, {"metadata": {"a": 1}}])
@pytest.mark.parametrize(
    ("route", "message"),
    [
        ("post_image_to_index", "No url provided"),
        ("run_object_detection", "url not provided error"),
    ],
)
def test_a_missing_url_has_its_fixed_answer(
    post: Post, route: str, message: str, body: dict[str, object]
) -> None:
    answer = post(route, body)
    assert (answer.status_code, answer.json()) == (400, {"message": message})


@pytest.mark.parametrize(
    "body",
    [{}, {"url": None}, {"url": "", "metadata": ""}, {"metadata": {}}, {"metadata": " \n"}],
)
def test_a_search_for_nothing_is_refused(post: Post, body: dict[str, object]) -> None:
    answer = post("search_simmilar_images", body)
    assert answer.status_code == 400
    assert "no url and no metadata" in answer.json()["message"]


@pytest.mark.parametrize("route", POST_ROUTES)
@pytest.mark.parametrize(
    "raw",
    [
        b'{"url": ',
        b"[1, 2]",
        b'"text"',
        b"\xff\xfe",
        b'{"url": "x", "metadata": {"a": NaN}}',
        b'{"url": "\\ud800"}',
        b"[" * 10_000,
        b'{"url": ["x"]}',
        b'{"url": 5}',
        b'{"url": "x", "surprise": 1}',
        b'{"url": "not a url"}',
        b'{"url": "ftp://example.com/a.jpg"}',
        b'{"url": "file:///etc/passwd"}',
        b'{"url": "http://127.0.0.1:1/a.jpg"}',
        b'{"url": "http://nosuch.invalid/a.jpg"}',
    ],
)
def test_bad_requests_answer_400_with_a_message(
    service: ServiceProcess, route: str, raw: bytes
) -> None:
    answer = requests.post(f"{service.url}/{route}", data=raw, headers=JSON, timeout=60)
    assert answer.status_code == 400, answer.text
    message = answer.json()["message"]
    assert message
    assert "\n" not in message
    assert "Traceback" not in message


@pytest.mark.parametrize(
    "content_type",
    ["text/plain", "application/x-www-form-urlencoded", "", "application/vnd.bentoml+pickle"],
)
def test_other_types_are_refused(service: ServiceProcess, content_type: str) -> None:
    answer = requests.post(
        f"{service.url}/post_image_to_index",
        data=b'{"url": "http://127.0.0.1:1/"}',
        headers={"Content-Type": content_type},
        timeout=60,
    )
    assert answer.status_code == 415
    types = "application/json or multipart/form-data or image/*"
    assert answer.json()["message"] == f"the Content-Type must be {types}"


def test_too_large_a_body_is_refused(service: ServiceProcess) -> None:
    body = json.dumps({"url": "x" * (2 << 20)})
    answer = requests.post(
        f"{service.url}/post_image_to_index", data=body, headers=JSON, timeout=10
    )
    assert answer.status_code == 413
    assert "1048576 bytes" in answer.json()["message"]


@pytest.mark.parametrize("route", POST_ROUTES)
@pytest.mark.parametrize(
    ("name", "code"),
    [("missing", "http_status"), ("text.jpg", "not_an_image"), ("cut.jpg", "image_broken")],
)
def test_a_file_that_is_no_image_is_refused(
    post: Post, pictures: PictureServer, scenes: list[Scene], route: str, name: str, code: str
) -> None:
    pictures.add_file("text.jpg", b"no image but text")
    pictures.add_file("cut.jpg", as_jpeg(scenes[0].picture)[:-400])
    answer = post(route, {"url": pictures.url + name})
    assert (answer.status_code, answer.json()["code"]) == (400, code)


def test_what_is_added_is_found(post: Post, pictures: PictureServer) -> None:
    url, metadata = pictures.url + "0.jpg", {"shop": "A", "price": 9.5, "tags": ["x", "y"]}
    added = post("post_image_to_index", {"url": url, "metadata": metadata})
    assert added.status_code == 200
    assert added.json()["message"] == "success"

    # Others of the shared service have added the same picture under other urls.
    results = post("search_simmilar_images", {"url": url, "limit": 100}).json()["results"]
    assert next(one for one in results if one["id"] == added.json()["id"]) == {
        "id": added.json()["id"],
        "url": url,
        "score": pytest.approx(1.0, abs=1e-5),
        "metadata": metadata,
    }


def test_the_same_url_is_replaced(post: Post, pictures: PictureServer) -> None:
    url = pictures.url + "1.jpg"
    answers = [
        post("post_image_to_index", {"url": url, "metadata": {"round": number}}).json()
        for number in (1, 2)
    ]
    assert answers[0]["id"] == answers[1]["id"]
    assert answers[1]["created"] is False
    results = post("search_similar_images", {"url": url, "limit": 1000}).json()["results"]
    mine = [hit["metadata"] for hit in results if hit["url"] == url]
    assert mine == [{"round": 2}]


def test_filters_come_before_the_ranking(post: Post, pictures: PictureServer) -> None:
    for number in range(2, 8):
        request = {"url": f"{pictures.url}{number}.jpg", "metadata": {"rare": number >= 6}}
        assert post("post_image_to_index", request).status_code == 200
    search = {"url": pictures.url + "2.jpg", "metadata": {"rare": True}, "limit": 2}
    results = post("search_simmilar_images", search).json()["results"]
    assert {hit["url"] for hit in results} == {pictures.url + "6.jpg", pictures.url + "7.jpg"}
    newest = post("search_simmilar_images", {"metadata": {"rare": True}}).json()["results"]
    assert [hit["url"] for hit in newest] == [pictures.url + "7.jpg", pictures.url + "6.jpg"]
    assert [hit["score"] for hit in newest] == [None, None]


def test_a_conflicting_type_is_refused(post: Post, pictures: PictureServer) -> None:
    url = pictures.url + "8.jpg"
    assert post("post_image_to_index", {"url": url, "metadata": {"size": 5}}).status_code == 200
    answer = post("post_image_to_index", {"url": url, "metadata": {"size": "five"}})
    assert answer.status_code == 400
    message = answer.json()["message"]
    assert all(part in message for part in ("size", "integer", "string"))


def test_an_unknown_key_is_refused_with_the_known_ones(post: Post, pictures: PictureServer) -> None:
    request = {"url": pictures.url + "9.jpg", "metadata": {"colour": "red"}}
    assert post("post_image_to_index", request).status_code == 200
    answer = post("search_simmilar_images", {"metadata": {"color": "red"}})
    assert answer.status_code == 400
    assert "'color'" in answer.json()["message"]
    assert "'colour'" in answer.json()["message"]


def test_stored_text_is_searched(post: Post, pictures: PictureServer) -> None:
    url, text = pictures.url + "10.jpg", 'Zwölf Boxkämpfer - it\'s a "quoted" 🚲'
    assert post("post_image_to_index", {"url": url, "metadata": text}).status_code == 200
    best = post("search_simmilar_images", {"metadata": "boxkampfer"}).json()["results"][0]
    assert (best["url"], best["metadata"]) == (url, text)
    both = post("search_simmilar_images", {"url": url, "metadata": text}).json()["results"][0]
    assert both["url"] == url


@pytest.mark.parametrize("limit", [0, 1001, -1, "5", 2.5, True])
def test_senseless_limits_are_refused(post: Post, limit: object) -> None:
    answer = post("search_simmilar_images", {"metadata": "x", "limit": limit})
    assert answer.status_code == 400
    assert answer.json()["message"].startswith("limit must be")


def test_detection_answers_a_picture(post: Post, pictures: PictureServer) -> None:
    url = pictures.url + "11.jpg"
    answer = post("run_object_detection", {"url": url})
    assert answer.status_code == 200
    assert answer.headers["Content-Type"] == "image/jpg"
    with Image.open(io.BytesIO(answer.content)) as annotated:
        original = Image.open(io.BytesIO(requests.get(url, timeout=60).content))
        assert (annotated.format, annotated.size) == ("JPEG", original.size)


def test_detections_as_json(post: Post, pictures: PictureServer, scenes: list[Scene]) -> None:
    request = {"url": pictures.url + "11.jpg", "format": "json"}
    answer = post("run_object_detection", request).json()
    shown = sorted(one.class_name for one in scenes[11].objects)
    assert sorted(one["class_name"] for one in answer["detections"]) == shown
    surest = post("run_object_detection", {**request, "confidence": 1.0}).json()
    assert surest["detections"] == []
    assert post("run_object_detection", {**request, "confidence": 0.1}).status_code == 400


def test_detections_of_some_classes_and_the_surest_ones(
    post: Post, pictures: PictureServer, scenes: list[Scene]
) -> None:
    crowded = max(
        range(len(scenes)), key=lambda one: len({o.class_name for o in scenes[one].objects})
    )
    request = {"url": f"{pictures.url}{crowded}.jpg", "format": "json"}
    everything = post("run_object_detection", request).json()
    found = everything["detections"]
    name = found[-1]["class_name"]
    assert len(found) > 1
    assert "more" not in everything
    of_class = post("run_object_detection", {**request, "classes": [name]}).json()
    assert of_class["detections"] == [one for one in found if one["class_name"] == name]
    assert "more" not in of_class
    surest = post("run_object_detection", {**request, "max_detections": 1}).json()
    assert surest == {**everything, "detections": found[:1], "more": True}
    drawn = post("run_object_detection", {"url": request["url"], "max_detections": 1})
    assert drawn.headers["X-More-Detections"] == "true"
    assert "X-More-Detections" not in post("run_object_detection", {"url": request["url"]}).headers


@pytest.mark.parametrize(
    ("fields", "message"),
    [
        (
            {"classes": ["star", "dgo"]},
            "unknown class 'dgo'; this detector knows 'circle', 'cross',",
        ),
        ({"classes": "star"}, "classes must be a list"),
        ({"max_detections": 301}, "max_detections must be less than or equal to 300"),
        ({"tiles": 10}, "tiles must be less than or equal to 9"),
        ({"max_detections": 0}, "max_detections must be greater than or equal to 1"),
    ],
)
def test_detections_that_cannot_be(
    post: Post, pictures: PictureServer, fields: dict[str, Any], message: str
) -> None:
    answer = post("run_object_detection", {"url": pictures.url + "11.jpg", **fields})
    assert answer.status_code == 400
    assert answer.json()["message"].startswith(message)
