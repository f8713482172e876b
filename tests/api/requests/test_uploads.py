"""From texts of forms and queries to what JSON would have said."""

from typing import Any

import pytest

from api.contract.operations.declared import OPERATIONS
from api.contract.requests.add import AddRequest
from api.contract.requests.detect import DetectRequest
from api.contract.requests.search import SearchRequest
from api.errors import RequestError
from api.requests.reader import UPLOAD_PATHS
from api.requests.source import INSTEAD_OF_A_PICTURE, is_upload_url, upload_url
from api.requests.uploads import typed


@pytest.mark.parametrize(
    ("model", "texts", "fields"),
    [
        (SearchRequest, {"limit": "5", "min_score": "0.5"}, {"limit": 5, "min_score": 0.5}),
        (SearchRequest, {"min_score": "-1", "offset": ""}, {"min_score": -1, "offset": ""}),
        (SearchRequest, {"limit": "five", "x": "1"}, {"limit": "five", "x": "1"}),
        (SearchRequest, {"limit": "5.5"}, {"limit": 5.5}),
        (SearchRequest, {"limit": "nan"}, {"limit": "nan"}),
        (SearchRequest, {"limit": "\u0665"}, {"limit": "\u0665"}),
        (SearchRequest, {"query": '[{"text": "red"}]'}, {"query": [{"text": "red"}]}),
        (SearchRequest, {"cutoff": "auto"}, {"cutoff": "auto"}),
        (DetectRequest, {"confidence": "1e-1"}, {"confidence": 0.1}),
        (DetectRequest, {"picture": "true"}, {"picture": True}),
        (DetectRequest, {"picture": "false"}, {"picture": False}),
        (DetectRequest, {"picture": "yes"}, {"picture": "yes"}),
        (AddRequest, {"metadata": '{"price": 9.5}'}, {"metadata": {"price": 9.5}}),
        (AddRequest, {"metadata": ' {"n": 1}'}, {"metadata": {"n": 1}}),
        (AddRequest, {"metadata": "a red {shoe}"}, {"metadata": "a red {shoe}"}),
        (AddRequest, {"metadata": "5"}, {"metadata": "5"}),
        (AddRequest, {"metadata": "[1]"}, {"metadata": "[1]"}),
        (AddRequest, {"url": "5", "on_duplicate": "skip"}, {"url": "5", "on_duplicate": "skip"}),
    ],
)
def test_a_text_is_what_its_field_is(
    model: Any, texts: dict[str, str], fields: dict[str, Any]
) -> None:
    read = typed(model, texts)
    assert read == fields
    assert [type(one) for one in read.values()] == [type(one) for one in fields.values()]


@pytest.mark.parametrize("text", ['{"a"', '{"a": NaN}', '{"a": 1, "a": 2}', '{"a": 1e999}', "{a}"])
def test_what_begins_as_an_object_must_be_one(text: str) -> None:
    with pytest.raises(RequestError, match=r"^metadata: ") as caught:
        typed(AddRequest, {"metadata": text})
    assert "body" not in str(caught.value)


def test_pictures_are_taken_where_a_url_alone_names_one() -> None:
    with_url = {
        one.path for one in OPERATIONS if one.method == "post" and "url" in one.request.model_fields
    }
    assert with_url == UPLOAD_PATHS
    assert set(INSTEAD_OF_A_PICTURE) <= SearchRequest.model_fields.keys()


def test_the_url_of_an_upload_is_made_from_its_bytes() -> None:
    assert upload_url(b"abc") == (
        "upload:ba7816bf8f01cfea414140de5dae2223b00361a396177a9cb410ff61f20015ad"  # FIPS 180-4
    )
    assert is_upload_url(upload_url(b""))
    assert not is_upload_url("http://upload:80/")
