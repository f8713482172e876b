"""Which types of bodies are taken where, and from whose pages."""

from typing import Any

import pytest

from api.requests.multipart import FORM_TYPE
from api.requests.reader import (
    UPLOAD_PATHS,
    accepted_types,
    is_foreign_form,
    is_upload,
    media_type,
)

ADD = "/post_image_to_index"


def scope(path: str = ADD, method: str = "POST", **headers: str) -> dict[str, Any]:
    raw = [(name.replace("_", "-").encode(), text.encode()) for name, text in headers.items()]
    return {"type": "http", "path": path, "method": method, "headers": raw}


@pytest.mark.parametrize("kind", ["multipart/form-data; boundary=x", "image/jpeg", "Image/X-Any"])
def test_pictures_are_taken_on_their_routes_alone(kind: str) -> None:
    read = media_type(scope(content_type=kind))
    for path in UPLOAD_PATHS:
        assert is_upload(path, read)
    for path in (
        "/post_images_to_index",
        "/delete_images",
        "/index/restore",
        "/images/x",
        ADD + "/",
    ):
        assert not is_upload(path, read)


@pytest.mark.parametrize("kind", ["image/", "image", "images/png", "multipart/mixed", "*/*", ""])
def test_what_is_no_picture_is_not_taken(kind: str) -> None:
    read = media_type(scope(content_type=kind))
    assert not is_upload(ADD, read)
    assert read not in accepted_types("POST", ADD)


def test_two_types_are_none() -> None:
    twice = scope(content_type="image/png")
    twice["headers"] *= 2
    assert media_type(twice) is None
    assert not is_upload(ADD, None)


@pytest.mark.parametrize(
    ("origin", "host", "origins", "foreign"),
    [
        (None, "here.example", (), False),
        ("http://here.example", "here.example", (), False),
        ("https://HERE.example", "here.EXAMPLE", (), False),
        ("http://here.example:3000", "here.example:3000", (), False),
        ("http://here.example:3001", "here.example:3000", (), True),
        ("http://there.example", "here.example", (), True),
        ("http://here.example.there.example", "here.example", (), True),
        ("null", "here.example", (), True),
        ("", "", (), True),
        ("null", "", (), True),
        ("http://[", "here.example", (), True),
        ("https://shop.example", "here.example", ("https://shop.example",), False),
        ("http://shop.example", "here.example", ("https://shop.example",), True),
        ("http://there.example", "here.example", ("*",), False),
        ("null", "here.example", ("*",), False),
    ],
)
def test_forms_of_other_sites_pages_are_foreign(
    origin: str | None, host: str, origins: tuple[str, ...], foreign: bool
) -> None:
    headers = {"content_type": FORM_TYPE, "host": host} | (
        {} if origin is None else {"origin": origin}
    )
    assert is_foreign_form(scope(**headers), origins) is foreign
