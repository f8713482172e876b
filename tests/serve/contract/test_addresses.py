"""Addresses as people paste them: with blanks around, and with the picture itself inside."""

import pytest
import requests

from demo.process import ServiceProcess
from demo.server import PictureServer
from tests.running import Post


def test_blanks_around_an_address_are_no_part_of_it(post: Post, pictures: PictureServer) -> None:
    url = f"{pictures.url}/3.jpg"
    plain = post("post_image_to_index", {"url": url}).json()
    spaced = post("post_image_to_index", {"url": f" \t{url}\n"}).json()
    assert (spaced["id"], spaced["created"]) == (plain["id"], False)
    many = [{"url": url}, {"url": f"{url} "}, {"url": f"\u00a0{url}"}]
    results = post("post_images_to_index", {"images": many}).json()["results"]
    assert [(one["id"], one["url"]) for one in results] == [(plain["id"], url)] * 3
    for query in ({"url": f" {url}"}, {"query": [{"url": f"{url} "}]}):
        found = post("search_simmilar_images", {**query, "limit": 100}).json()["results"]
        same = {hit["id"]: hit["url"] for hit in found if hit["score"] == 1}  # others' too
        assert same[plain["id"]] == url
    assert post("run_object_detection", {"url": f" {url} "}).status_code == 200
    inside = post("post_image_to_index", {"url": url.replace("3.jpg", "3 .jpg")})
    assert (inside.status_code, inside.json()["code"]) == (400, "url_invalid")


@pytest.mark.parametrize("route", ["post_image_to_index", "run_object_detection"])
def test_an_address_of_blanks_is_none(route: str, post: Post) -> None:
    assert post(route, {"url": "  "}).json() == post(route, {"url": ""}).json()


def test_a_data_url_is_told_the_way_out(post: Post, service: ServiceProcess) -> None:
    url = "data:image/png;base64," + "iVBORw0KGgo" * 2_000
    for answer in (
        post("post_image_to_index", {"url": url}),
        post("search_simmilar_images", {"url": url}),
        post("search_simmilar_images", {"query": [{"url": " DATA:,x"}]}),
        requests.post(f"{service.url}/post_image_to_index", json={"url": url}, timeout=60),
    ):
        assert answer.status_code == 400
        assert answer.json()["code"] == "url_invalid"
        assert "send the picture's bytes" in answer.json()["message"]
    (one,) = post("post_images_to_index", {"images": [{"url": url}]}).json()["results"]
    assert "send the picture's bytes" in one["message"]
