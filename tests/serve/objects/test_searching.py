"""Searches for objects over HTTP: the right image, and the right box in it."""

import json
from typing import Any

import pytest
import requests

from demo.process import ServiceProcess
from demo.scenes.mosaics import Mosaic, Shown, mosaic, overlap
from demo.server import PictureServer
from tests.running import Post

COUNT = 24
ONLY = {"metadata": {"kind": "mosaic"}}
"""Other tests add images, too."""


@pytest.fixture(scope="module")
def mosaics(send: Post, pictures: PictureServer) -> dict[str, Mosaic]:
    """Indexed mosaics by id; the picture server has each as `ID.jpg`."""
    made = {f"mosaic-{n}": mosaic(9_600_000 + 4 * n) for n in range(COUNT)}
    images = []
    for own, each in made.items():
        pictures.add_file(f"{own}.jpg", each.file)
        images.append({"url": f"{pictures.url}{own}.jpg", "id": own, **ONLY})
    results = send("post_images_to_index", {"images": images}).json()["results"]
    assert all(one["objects"] for one in results)
    return made


def searched(send: Post, **asked: Any) -> list[dict[str, Any]]:
    answer = send("search_similar_images", {"search": "objects", **ONLY, **asked})
    assert answer.status_code == 200, answer.text
    results: list[dict[str, Any]] = answer.json()["results"]
    return results


def shown_at(mosaics: dict[str, Mosaic], hit: dict[str, Any], found: dict[str, Any]) -> Shown:
    """What is really in a found box."""
    shown = mosaics[hit["id"]].shown
    best = max(shown, key=lambda one: overlap(one.xyxy, found["xyxy"]))
    assert overlap(best.xyxy, found["xyxy"]) > 0.5
    return best


def commonest(mosaics: dict[str, Mosaic], *others: str) -> str:
    """What most mosaics show, beside some others."""
    seen = [
        words
        for each in mosaics.values()
        if set(others) <= (there := {one.words for one in each.shown})
        for words in there - set(others)
    ]
    return max(sorted(set(seen)), key=seen.count)


def test_a_text_finds_the_object(send: Post, mosaics: dict[str, Mosaic]) -> None:
    words = commonest(mosaics)
    having = {own for own, each in mosaics.items() if words in {one.words for one in each.shown}}
    hits = searched(send, text=words, limit=3)
    assert {hit["id"] for hit in hits} <= having
    for hit in hits:
        assert shown_at(mosaics, hit, hit["object"]).words == words
        assert hit["object"].keys() == {"n", "class_name", "confidence", "xyxy"}


def test_a_stored_object_finds_itself_and_its_like(send: Post, mosaics: dict[str, Mosaic]) -> None:
    own = next(iter(mosaics))
    for n in (0, 2):
        first, second = searched(send, id=own, object=n, limit=2)
        assert (first["id"], first["score"], first["object"]["n"]) == (own, 1.0, n)
        wanted = shown_at(mosaics, first, first["object"])
        assert shown_at(mosaics, second, second["object"]).class_name == wanted.class_name


def test_a_region_and_a_class_find_the_object_in_it(
    finding: ServiceProcess, send: Post, pictures: PictureServer, mosaics: dict[str, Mosaic]
) -> None:
    own, each = list(mosaics.items())[1]
    url = f"{pictures.url}{own}.jpg"
    told = requests.get(f"{finding.url}/images/{own}/objects", timeout=60).json()["objects"]
    for n, one in enumerate(told[:2]):
        [hit] = searched(send, url=url, region=one["xyxy"], limit=1)
        assert (hit["id"], hit["object"]["n"], hit["score"] > 0.99) == (own, n, True)
        form = {"search": "objects", "region": json.dumps(one["xyxy"]), "limit": "1"}
        answer = requests.post(
            f"{finding.url}/search_similar_images",
            data={**form, "metadata": json.dumps(ONLY["metadata"])},
            files={"image": ("x", each.file)},
            timeout=60,
        )
        assert answer.json()["results"] == [hit]
    name = each.shown[0].class_name
    [hit] = searched(send, url=url, object={"class_name": name}, limit=1)
    assert (hit["id"], hit["object"]["class_name"], hit["score"]) == (own, name, 1.0)


def test_only_some_objects_may_match(send: Post, mosaics: dict[str, Mosaic]) -> None:
    own, each = next(iter(mosaics.items()))
    name = next(one.class_name for one in each.shown)
    hits = searched(send, id=own, object=0, objects={"class_name": name}, limit=1000)
    there = [own for own, each in mosaics.items() if name in {o.class_name for o in each.shown}]
    assert sorted(hit["id"] for hit in hits) == sorted(there)
    assert {hit["object"]["class_name"] for hit in hits} == {name}
    sure = {"confidence": {"$gte": 0.9}, "area": {"$gt": 0.01}}
    for hit in searched(send, text="a red star", objects=sure, limit=1000):
        left, top, right, bottom = hit["object"]["xyxy"]
        assert hit["object"]["confidence"] >= 0.9
        assert (right - left) * (bottom - top) > 0.01 * (2 * 256) ** 2


def test_each_term_is_matched_by_an_object_of_its_own(
    send: Post, mosaics: dict[str, Mosaic]
) -> None:
    one = commonest(mosaics)
    other = commonest(mosaics, one)
    query = [{"text": one}, {"text": other, "weight": 0.5}]
    best, *_ = searched(send, query=query)
    assert "object" not in best
    found = [shown_at(mosaics, best, each).words for each in best["objects"]]
    assert found == [one, other]


def test_both_takes_the_better(
    send: Post, pictures: PictureServer, mosaics: dict[str, Mosaic]
) -> None:
    own = next(iter(mosaics))
    [whole] = searched(send, search="both", url=f"{pictures.url}{own}.jpg", limit=1)
    assert (whole["id"], whole["score"], "object" in whole) == (own, 1.0, False)
    [part] = searched(send, search="both", id=own, object=1, limit=1)
    assert (part["id"], part["score"], part["object"]["n"]) == (own, 1.0, 1)


def test_pages_and_totals(send: Post, mosaics: dict[str, Mosaic]) -> None:
    whole = searched(send, text="a blue circle", limit=COUNT)
    assert len(whole) == len({hit["id"] for hit in whole}) == COUNT
    scores = [hit["score"] for hit in whole]
    assert scores == sorted(scores, reverse=True)
    pages = [searched(send, text="a blue circle", limit=5, offset=n) for n in range(0, COUNT, 5)]
    assert [hit for page in pages for hit in page] == whole
    asked = {"search": "objects", "text": "a blue circle", "total": True, "facets": ["kind"]}
    answer = send("search_similar_images", {**asked, **ONLY, "min_score": scores[2]}).json()
    assert (len(answer["results"]), answer["total"]) == (3, COUNT)
    assert answer["facets"][0]["values"] == [{"value": "mosaic", "count": COUNT}]
    [one] = searched(send, text="a blue circle", group_by="kind")
    assert (one["group_size"], "object" in one) == (COUNT, True)
    newest = searched(send, text="a blue circle", sort="-$created_at", min_score=-1, limit=COUNT)
    own = searched(send, text="a blue circle", cutoff="auto", limit=COUNT)
    assert sorted(each["id"] for each in newest) == sorted(each["id"] for each in whole)
    assert 0 < len(own) <= COUNT
    assert own == whole[: len(own)]
    classes = {o.class_name for each in mosaics.values() for o in each.shown}
    told = send("search_similar_images", {**ONLY, "facets": ["$objects"], "limit": 1}).json()
    assert classes <= {each["value"] for each in told["facets"][0]["values"]}


def test_a_part_can_be_searched_for_in_whole_images(send: Post, mosaics: dict[str, Mosaic]) -> None:
    own = next(iter(mosaics))
    asked = {"id": own, "object": 0, **ONLY, "limit": 1}
    [hit] = send("search_similar_images", asked).json()["results"]
    assert "object" not in hit


URL = {"url": "http://x.example/"}


@pytest.mark.parametrize(
    ("asked", "message"),
    [
        ({}, "no url and no metadata"),
        ({"metadata": {"kind": "mosaic"}}, "needs a picture, an object or a text"),
        ({**URL, "region": [1, 2, 3]}, "region must be"),
        ({**URL, "region": [9, 9, 9, 12]}, "region must be left, top, right and bottom"),
        ({"text": "x", "region": [1, 1, 9, 9]}, "region goes with the url"),
        ({**URL, "object": 1}, "object as a number goes with the id"),
        ({"id": "mosaic-0", "object": {"class_name": "star"}}, "object as a class goes with"),
        ({"id": "mosaic-0", "object": 99}, "there is no object 99"),
        ({"id": "nobody", "object": 0}, "no image has the id 'nobody'"),
        ({**URL, "object": {"class_name": "dgo"}}, "unknown class 'dgo'; this detector knows"),
        ({"text": "x", "objects": {"class_name": "dgo"}}, "unknown class 'dgo'"),
        ({"text": "x", "objects": {"class_name": {"$in": ["star", "dgo"]}}}, "unknown class"),
        ({"text": "x", "objects": {"colour": "red"}}, "an object has no 'colour'"),
        ({"text": "x", "objects": {"area": "large"}}, "area"),
        ({"text": "x", "sort": "colour"}, "unknown metadata key 'colour'"),
        ({"text": "x", "cursor": "e30"}, "page by offset"),
        ({"query": [{"text": "x", "weight": -1}]}, "weights above 0"),
        ({"query": [{"text": "x", "region": [1, 1, 9, 9]}]}, "region goes with the url"),
        ({"text": "x", "search": "images", "objects": {}}, 'objects goes with "search"'),
    ],
)
@pytest.mark.usefixtures("mosaics")
def test_what_cannot_be(send: Post, asked: dict[str, Any], message: str) -> None:
    answer = send("search_similar_images", {"search": "objects", **asked})
    assert (answer.status_code, "\n" in answer.text) == (400, False)
    assert message in answer.json()["message"]


def test_a_region_must_lie_in_the_picture(
    send: Post, pictures: PictureServer, mosaics: dict[str, Mosaic]
) -> None:
    url = f"{pictures.url}{next(iter(mosaics))}.jpg"
    answer = send("search_similar_images", {"url": url, "region": [9, 9, 600, 600]})
    assert "which has 512 x 512 pixels" in answer.json()["message"]


def test_without_the_setting_it_is_refused(post: Post) -> None:
    answer = post("search_similar_images", {"text": "x", "search": "objects"})
    assert (answer.status_code, answer.json()["code"]) == (400, "no_objects")


def test_filters_on_objects_go_wherever_filters_do(
    finding: ServiceProcess, send: Post, mosaics: dict[str, Mosaic]
) -> None:
    boxes = {
        own: requests.get(f"{finding.url}/images/{own}/objects", timeout=60).json()["objects"]
        for own in mosaics
    }
    name = next(iter(mosaics.values())).shown[0].class_name
    of = {"class_name": name, "confidence": {"$gte": 0.9}, "$count": {"$gte": 2}}
    node = {**ONLY["metadata"], "$objects": of}
    right = {
        own
        for own, each in boxes.items()
        if sum(one["class_name"] == name and one["confidence"] >= 0.9 for one in each) >= 2
    }
    assert 0 < len(right) < COUNT
    for asked in ({}, {"text": "a red star", "search": "objects"}, {"id": "mosaic-0"}):
        body = {"metadata": node, "limit": 1000, "total": True, **asked}
        answer = send("search_similar_images", body).json()
        assert {hit["id"] for hit in answer["results"]} == right
        assert answer["total"] == len(right)
    changed = send("update_images", {"metadata": node, "set": {"two": True}}).json()
    assert changed == {"updated": len(right)}
    for route, more in (
        ("search_similar_images", {}),
        ("delete_images", {}),
        ("update_images", {"set": {"x": 1}}),
    ):
        unknown = {"$not": {"$or": [{"$objects": {"class_name": "dgo"}}]}}
        refused = send(route, {"metadata": unknown, **more})
        assert (refused.status_code, refused.json()["code"]) == (400, "unknown_class")


def test_filters_on_objects_need_the_setting(post: Post) -> None:
    answer = post("search_similar_images", {"metadata": {"$objects": {}}})
    assert (answer.status_code, answer.json()["code"]) == (400, "no_objects")
