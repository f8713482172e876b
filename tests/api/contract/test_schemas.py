"""What counts as given in a request, and what is said first of one that is wrong."""

from typing import Any

import pytest

from api.contract.requests.add import AddRequest
from api.contract.requests.detect import DetectRequest
from api.contract.requests.images import ListRequest, PatchRequest
from api.contract.requests.search import SearchRequest
from api.errors import RequestError


@pytest.mark.parametrize(
    ("given", "same"),
    [
        ({"limit": None, "offset": None, "min_score": None, "cutoff": None}, {}),
        ({"id": None, "query": None, "metadata": None}, {}),
        ({"metadata": " \t\n"}, {}),
    ],
)
def test_null_and_blank_are_absent_in_a_search(given: dict[str, Any], same: dict[str, Any]) -> None:
    url = {"url": "http://x/"}
    assert SearchRequest.checked({**url, **given}) == SearchRequest.checked({**url, **same})


def test_null_is_absent_elsewhere() -> None:
    url = {"url": "http://x/"}
    assert AddRequest.checked({**url, "on_duplicate": None}) == AddRequest.checked(url)
    assert DetectRequest.checked({**url, "format": None}) == DetectRequest.checked(url)
    assert ListRequest.checked({"limit": None, "offset": None}) == ListRequest.checked({})
    weighted = SearchRequest.checked({"query": [{"text": "a", "weight": None}]})
    assert weighted == SearchRequest.checked({"query": [{"text": "a"}]})


def test_null_is_a_value_where_one_is_needed() -> None:
    assert PatchRequest.checked({"metadata": None}, {"id": "x"}).metadata is None


def test_a_blank_text_is_stored_as_it_is() -> None:
    assert AddRequest.checked({"url": "http://x/", "metadata": "  "}).metadata == "  "


@pytest.mark.parametrize(
    "given",
    [{}, {"metadata": "  "}, {"metadata": {}}, {"url": "", "metadata": ""}, {"id": None}],
)
def test_a_search_for_nothing_says_all_that_it_can_be_for(given: dict[str, Any]) -> None:
    with pytest.raises(RequestError, match="no url and no metadata") as caught:
        SearchRequest.checked(given)
    assert all(word in str(caught.value) for word in ("url", "id", "query", "metadata"))


@pytest.mark.parametrize("sort", [5, {"shop": "asc"}, True])
def test_what_a_sort_can_be_is_said(sort: object) -> None:
    with pytest.raises(RequestError, match=r"^sort must be a string or a list of strings$"):
        SearchRequest.checked({"text": "red", "sort": sort})


def test_an_unknown_field_is_said_before_others_are_missed() -> None:
    with pytest.raises(RequestError, match="unknown field 'foo'; known fields: metadata"):
        PatchRequest.checked({"foo": 1}, {"id": "x"})
