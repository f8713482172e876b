"""Sorting, totals, facets, cursors and a text beside a filter, over HTTP and by the client."""

import json
from typing import Any

import pytest
import requests

from demo.process import ServiceProcess
from demo.server import PictureServer
from image_search import Client
from tests.cli.test_query import _asked
from tests.running import Post

PRICES = [5, 2.5, None, 9, 2.5]
TITLES = ["Nike Pegasus", "Crème", "这是一双红色的运动鞋", "", "T-shirt"]
SHOP = {"from": "sorted"}


@pytest.fixture(scope="module")
def ids(service: ServiceProcess, pictures: PictureServer) -> list[str]:
    with Client(service.url) as client:
        return [
            client.add(
                f"{pictures.url}{number}.jpg?sorted",
                {
                    **SHOP,
                    "cost": price,
                    "label": f"Label {number % 2}",
                    "colors": ["red"],
                    "title": TITLES[number],
                    "$text": f"fine star number{number}",
                },
            ).id
            for number, price in enumerate(PRICES)
        ]


def found(post: Post, **request: Any) -> dict[str, Any]:
    answer = post("search_similar_images", {"metadata": SHOP, **request})
    assert answer.status_code == 200, answer.text
    return dict(answer.json())


def test_sorted_counted_and_paged(post: Post, ids: list[str]) -> None:
    cheapest = [ids[4], ids[1], ids[0], ids[3], ids[2]]
    whole = found(post, sort="cost", total=True, facets=["label", "cost"])
    assert [hit["id"] for hit in whole["results"]] == cheapest
    assert list(whole) == ["results", "total", "facets"]
    assert whole["total"] == len(PRICES)
    assert whole["facets"] == [
        {"key": "label", "type": "string", "count": 5, "more": False,
         "values": [{"value": "Label 0", "count": 3}, {"value": "Label 1", "count": 2}]},
        {"key": "cost", "type": "float", "count": 4, "min": 2.5, "max": 9.0},
    ]  # fmt: skip
    first = found(post, sort=["cost"], limit=2)
    rest = found(post, sort=["cost"], limit=3, cursor=first["next"])
    assert [hit["id"] for page in (first, rest) for hit in page["results"]] == cheapest
    assert "next" not in rest
    dearest = found(post, sort=["-cost", "label"])["results"]
    assert [hit["id"] for hit in dearest] == [ids[3], ids[0], ids[4], ids[1], ids[2]]


def test_a_search_that_asks_for_nothing_new_is_answered_as_before(
    post: Post, ids: list[str]
) -> None:
    answer = found(post)
    assert list(answer) == ["results"]
    assert [hit["id"] for hit in answer["results"]] == ids[::-1]


def test_a_text_beside_a_filter(post: Post, ids: list[str], pictures: PictureServer) -> None:
    named = found(post, text="number3", limit=1)["results"]
    assert named[0]["id"] == ids[3]
    both = found(post, text="number3", url=f"{pictures.url}1.jpg?sorted")["results"]
    assert {hit["id"] for hit in both} == set(ids)
    by_price = found(post, url=f"{pictures.url}1.jpg?sorted", sort="-cost", min_score=-1)
    assert [hit["id"] for hit in by_price["results"]] == [ids[3], ids[0], ids[4], ids[1], ids[2]]


def test_the_best_of_each_label(post: Post, ids: list[str], pictures: PictureServer) -> None:
    cheapest = found(post, sort="cost", group_by="label", total=True)
    assert [hit["id"] for hit in cheapest["results"]] == [ids[4], ids[1]]
    assert [hit["group_size"] for hit in cheapest["results"]] == [3, 2]
    assert (cheapest["total"], "next" in cheapest) == (len(PRICES), False)
    page = found(post, group_by="cost", limit=2)
    rest = found(post, group_by="cost", limit=2, cursor=page["next"])
    both = page["results"] + rest["results"]
    assert [hit["id"] for hit in both] == [ids[4], ids[3], ids[2], ids[0]]
    assert [hit["group_size"] for hit in both] == [2, 1, 1, 1]
    near = found(post, url=f"{pictures.url}1.jpg?sorted", group_by="label")["results"]
    assert (near[0]["id"], [hit["group_size"] for hit in near]) == (ids[1], [2, 3])
    named = found(post, text="number3", group_by="label")["results"]
    assert named[0]["id"] == ids[3]


@pytest.mark.parametrize(
    ("text", "number"),
    [("number3", 3), ("Pegasus", 0), ("pegas", 0), ("pegasis", 0), ("creme", 1), ("运动鞋", 2)],
)
def test_a_word_of_a_title_beside_a_filter(
    post: Post, ids: list[str], text: str, number: int
) -> None:
    named = found(post, text=text, limit=1)["results"]
    assert named[0]["id"] == ids[number]
    by_string = post("search_similar_images", {"metadata": text, "limit": 1}).json()["results"]
    assert by_string[0]["id"] == ids[number]


def test_the_list_of_images_by_cursor(service: ServiceProcess, ids: list[str]) -> None:
    listed: list[str] = []
    params: dict[str, Any] = {"limit": 2}
    while True:
        page = requests.get(f"{service.url}/images", params=params, timeout=60).json()
        listed += [image["id"] for image in page["images"]]
        if "next" not in page:
            break
        params["cursor"] = page["next"]
    assert listed[: len(ids)] == ids[::-1]
    assert len(set(listed)) == len(listed) == page["total"]


@pytest.mark.parametrize(
    ("request_", "code", "words"),
    [
        ({"sort": "size"}, "unknown_key", "unknown metadata key 'size'"),
        ({"sort": 5}, "bad_request", "sort must be"),
        ({"sort": [["cost"]]}, "bad_request", "sort"),
        ({"sort": ["cost", "-cost"]}, "invalid_query", "names a key twice"),
        ({"facets": ["size"]}, "unknown_key", "unknown metadata key 'size'"),
        ({"facets": "label"}, "bad_request", "facets"),
        ({"group_by": "size"}, "unknown_key", "unknown metadata key 'size'"),
        ({"group_by": ["label"]}, "bad_request", "group_by must be a string"),
        ({"group_by": "colors"}, "invalid_query", "images cannot be grouped by it"),
        ({"distinct": "url"}, "bad_request", "distinct must be 'pixels'"),
        ({"distinct": True}, "bad_request", "distinct must be 'pixels'"),
        ({"total": "yes"}, "bad_request", "total must be"),
        ({"cursor": "no"}, "invalid_query", "the cursor is not one"),
        ({"cursor": "no", "offset": 3}, "invalid_query", "do not go together"),
        ({"text": "x", "id": "y"}, "bad_request", "id and text do not go together"),
        ({"text": "x", "metadata": "y"}, "bad_request", "text and a metadata text"),
        ({"text": 5}, "bad_request", "text must be"),
    ],
)
def test_refusals(
    post: Post, ids: list[str], request_: dict[str, Any], code: str, words: str
) -> None:
    answer = post("search_similar_images", {"metadata": SHOP, **request_})
    assert (answer.status_code, answer.json()["code"]) == (400, code), answer.text
    assert words in answer.json()["message"]


def test_the_client_and_the_command(service: ServiceProcess, ids: list[str]) -> None:
    with Client(service.url) as client:
        page = client.find(filter=SHOP, sort="-cost", facets=["label"], total=True, limit=2)
        assert [hit.id for hit in page.results] == [ids[3], ids[0]]
        assert page.total == len(PRICES)
        assert [(one.value, one.count) for one in page.facets[0].values] == [
            ("Label 0", 3),
            ("Label 1", 2),
        ]
        rest = client.find(filter=SHOP, sort="-cost", cursor=page.next)
        assert [hit.id for hit in rest.results] == [ids[4], ids[1], ids[2]]
        assert rest.next is None
        assert [hit.id for hit in client.search("number3", filter=SHOP, limit=1)] == [ids[3]]
        labels = client.find(filter=SHOP, group_by="label", distinct="pixels").results
        assert [(hit.id, hit.group_size) for hit in labels] == [(ids[4], 3), (ids[3], 2)]
        assert client.search(filter=SHOP, limit=2, group_by="label") == [*labels]
        assert [hit.group_size for hit in client.search(filter=SHOP)] == [None] * len(PRICES)
        assert len(client.list(limit=3, cursor=client.list(limit=2).next).images) == 3
    told = _asked(
        service, "search", "--filter", '{"from": "sorted"}', "--sort", "cost", "--facet", "label"
    ).output
    assert told.index(ids[4]) < told.index(ids[3])
    assert "Label 0" in told
    label = ("search", "--filter", '{"from": "sorted"}', "--group-by", "label", "--distinct")
    lines = _asked(service, *label).output.splitlines()
    assert [(ids[4] in line, line.split("\t")[-1]) for line in lines] == [(True, "3"), (False, "2")]
    printed = [json.loads(line) for line in _asked(service, *label, "--json").output.splitlines()]
    assert [one["group_size"] for one in printed] == [3, 2]
    plain = _asked(service, "search", "--filter", '{"from": "sorted"}', "--json").output
    assert list(json.loads(plain.splitlines()[0])) == ["id", "url", "score", "metadata"]


def test_one_of_the_same_pixels(post: Post, pictures: PictureServer) -> None:
    for copy in ("a", "b"):
        url = f"{pictures.url}7.jpg?{copy}"
        metadata = {"from": "copies", "copy": copy}
        assert post("post_image_to_index", {"url": url, "metadata": metadata}).ok
    for more in ({}, {"url": f"{pictures.url}7.jpg"}, {"text": "a star"}, {"sort": "-copy"}):
        copies = {"metadata": {"from": "copies"}, **more}
        assert len(found(post, **copies)["results"]) == 2
        [hit] = found(post, **copies, distinct="pixels")["results"]
        assert "group_size" not in hit
        [hit] = found(post, **copies, distinct="pixels", group_by="copy")["results"]
        assert hit["group_size"] == 1
