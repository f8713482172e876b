"""Searches by an indexed image and by weighted terms, against the real models."""

import io
from typing import Any

import pytest

from demo.scenes.scenes import Scene, draw_scene
from demo.server import PictureServer
from tests.running import Post

SET = {"set": "terms"}


@pytest.fixture(scope="module")
def ids(post: Post, pictures: PictureServer) -> list[str]:
    """Ids of the first eight scenes, added under urls of this module's own."""
    images = [{"url": f"{pictures.url}{n}.jpg?terms", "metadata": SET} for n in range(8)]
    results = post("post_images_to_index", {"images": images}).json()["results"]
    return [one["id"] for one in results]


def found(post: Post, **request: Any) -> list[dict[str, Any]]:
    answer = post("search_simmilar_images", {"metadata": SET, **request})
    assert answer.status_code == 200, answer.text
    results: list[dict[str, Any]] = answer.json()["results"]
    return results


def test_by_an_indexed_image(post: Post, pictures: PictureServer, ids: list[str]) -> None:
    by_id = found(post, id=ids[3])
    by_url = found(post, url=f"{pictures.url}3.jpg")
    assert (by_id[0]["id"], by_id[0]["score"]) == (ids[3], 1.0)
    assert {one["id"]: one["score"] for one in by_id} == {
        one["id"]: pytest.approx(one["score"], abs=1e-3) for one in by_url
    }


def test_pages_fit_together(post: Post, ids: list[str]) -> None:
    whole = found(post, id=ids[1], limit=8)
    pages = [found(post, id=ids[1], limit=3, offset=offset) for offset in (0, 3, 6)]
    assert [one for page in pages for one in page] == whole
    newest = [found(post, limit=3, offset=offset) for offset in (0, 3, 6)]
    assert [len(page) for page in newest] == [3, 3, 2]
    assert {one["id"] for page in newest for one in page} == set(ids)


def test_one_term_is_the_plain_search(post: Post, ids: list[str]) -> None:
    plain = found(post, id=ids[2])
    for weight in (1, 0.01, 100):
        weighted = found(post, query=[{"id": ids[2], "weight": weight}])
        assert [one["id"] for one in weighted] == [one["id"] for one in plain]


def test_terms_pull_and_push(post: Post, pictures: PictureServer, ids: list[str]) -> None:
    def scores(*terms: dict[str, Any]) -> dict[str, float]:
        return {one["id"]: one["score"] for one in found(post, query=list(terms))}

    alone = scores({"id": ids[0]})
    both = scores({"id": ids[0]}, {"url": f"{pictures.url}1.jpg"})
    away = scores({"id": ids[0]}, {"id": ids[1], "weight": -0.5})
    assert both[ids[1]] > alone[ids[1]] > away[ids[1]]
    assert both[ids[0]] == pytest.approx(both[ids[1]], abs=1e-3)


def test_a_text_is_a_term(post: Post, scenes: list[Scene], ids: list[str]) -> None:
    for number in (0, 5):
        near = found(post, query=[{"text": scenes[number].caption}])
        far = found(post, query=[{"text": scenes[number].caption, "weight": -1}])
        assert [one["id"] for one in near] == [one["id"] for one in far][::-1]
        assert ids[number] in [one["id"] for one in near[:2]]


def test_the_cutoff_leaves_out_a_tail_only(post: Post, ids: list[str]) -> None:
    everything = found(post, id=ids[4])
    cut = found(post, id=ids[4], cutoff="auto")
    assert cut
    assert cut == everything[: len(cut)]


@pytest.mark.parametrize(
    ("request_", "code", "said"),
    [
        ({"id": "nope"}, "unknown_id", "'nope'"),
        ({"query": [{"id": "nope"}]}, "unknown_id", "'nope'"),
        ({"id": "a", "url": "http://x/"}, "bad_request", "url and id do not go together"),
        ({"id": "a", "query": [{"id": "b"}]}, "bad_request", "id and query do not go together"),
        ({"url": "http://x/", "query": [{"id": "b"}]}, "bad_request", "url and query do not"),
        ({"id": "a", "metadata": "text"}, "bad_request", 'as a term of "query"'),
        ({"query": [{"id": "b"}], "metadata": "text"}, "bad_request", "query and a metadata text"),
    ],
)
def test_what_does_not_work_is_said(
    post: Post, request_: dict[str, Any], code: str, said: str
) -> None:
    answer = post("search_simmilar_images", request_)
    assert (answer.status_code, answer.json()["code"]) == (400, code)
    assert said in answer.json()["message"]


def test_terms_that_cancel_each_other(post: Post, pictures: PictureServer, ids: list[str]) -> None:
    terms = [{"id": ids[0]}, {"url": f"{pictures.url}0.jpg", "weight": -1}]
    answer = post("search_simmilar_images", {"query": terms})
    assert answer.status_code == 400
    assert "cancel each other" in answer.json()["message"]


def test_a_filter_is_checked_before_a_download(post: Post, pictures: PictureServer) -> None:
    request = {"url": pictures.url + "missing", "metadata": {"no such key": 1}}
    assert post("search_simmilar_images", request).json()["code"] == "unknown_key"
    conflict = {"url": pictures.url + "missing", "metadata": {"numbers": [1]}}
    assert post("post_image_to_index", conflict).json()["code"] == "metadata_type"


def test_a_large_picture_finds_itself_with_the_score_of_itself(
    post: Post, pictures: PictureServer
) -> None:
    """Also beside a text, and where only the same is wanted."""
    file = io.BytesIO()
    drawn = draw_scene(9_100_001).picture.resize((1600, 1200))
    drawn.save(file, "JPEG", quality=92)
    pictures.add_file("large-itself.jpg", file.getvalue())
    url = f"{pictures.url}large-itself.jpg"
    added = post("post_image_to_index", {"url": url}).json()
    for more in ({}, {"min_score": 1.0}, {"metadata": "a scene"}, {"cutoff": "auto"}):
        request = {"url": url, "limit": 1000, **more}
        results = post("search_simmilar_images", request).json()["results"]
        assert [hit["score"] for hit in results if hit["id"] == added["id"]] == [1.0]
