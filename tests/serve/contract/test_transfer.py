"""Whole rows out of the index and into it over HTTP: what comes back, and what is refused."""

import base64
from collections.abc import Iterator
from dataclasses import asdict, replace
from io import BytesIO
from typing import Any

import numpy as np
import pytest
import requests
from PIL import Image

from demo.process import ServiceProcess
from demo.scenes.scenes import draw_scene
from demo.server import PictureServer
from image_search import Added, Client, ExportPage, RefusedError, WholeImage
from tests.running import Post

MARK = "?transfer"
_SEED = 777_001


@pytest.fixture(scope="module")
def client(service: ServiceProcess) -> Iterator[Client]:
    with Client(service.url) as one:
        yield one


@pytest.fixture(scope="module")
def page(client: Client, pictures: PictureServer) -> Iterator[ExportPage]:
    """Some images, as they are exported."""
    metadata: list[Any] = [
        {"t_shop": "ü", "t_price": 2.5, "t_new": True, "t_tags": ["a", ""], "t_n": -3},
        "a free text",
        None,
        {"t_since": "2024-05-01T10:00:00.000001Z"},
        {"$text": "words beside", "t_gps": {"lat": 1.5, "at": {"n": 2}}, "t_n": 1},
    ]
    pictures.add("own.jpg", draw_scene(_SEED).picture)  # no other test leaves it there
    urls = [f"{pictures.url}{name}.jpg{MARK}" for name in ("own", 1, 2, 3, 4)]
    for url, given in zip(urls, metadata, strict=True):
        client.add(url, given, id="t:1" if given is None else None)
    yield _own(client)
    client.delete_many(urls=urls)


def _own(client: Client) -> ExportPage:
    """This test's rows of all pages."""
    first = page = client.export_page(limit=3)
    rows = list(page.rows)
    while page.next is not None:
        page = client.export_page(page.next, limit=3)
        assert (page.version, page.total) == (first.version, first.total)
        rows += page.rows
    assert len(rows) == first.total
    assert len({row.id for row in rows}) == first.total
    return replace(first, rows=tuple(row for row in rows if MARK in row.url))


def as_sent(row: WholeImage) -> dict[str, Any]:
    small = row.thumbnail
    return {
        **asdict(row),
        "created_at": row.created_at.isoformat(),
        "vector": base64.b64encode(row.vector).decode(),
        "thumbnail": None if small is None else base64.b64encode(small).decode(),
    }


def body_of(page: ExportPage, rows: list[Any], **more: Any) -> dict[str, Any]:
    return {"model": asdict(page.model), "dim": page.dim, "rows": rows, **more}


def test_an_export_has_all_of_an_image(client: Client, page: ExportPage) -> None:
    assert len(page.rows) == 5
    assert page.columns["t_tags"] == "list of strings"
    for row in page.rows:
        stored = client.get(row.id)
        assert (row.url, row.metadata, row.created_at) == (
            stored.url,
            stored.metadata,
            stored.created_at,
        )
        vector = np.frombuffer(row.vector, "<f4")
        assert vector.shape == (page.dim,)
        assert abs(float(np.linalg.norm(vector)) - 1) < 1e-3
        assert row.thumbnail == client.thumbnail(row.id)
        assert len(row.pixels or "") == 64


def test_rows_that_were_deleted_are_as_before(
    client: Client, page: ExportPage, pictures: PictureServer
) -> None:
    listed = [client.get(row.id) for row in page.rows]
    like = client.search(id=page.rows[0].id, limit=4)
    assert client.delete_many(ids=[row.id for row in page.rows]) == 5
    results = client.import_rows(page.rows, page.model)
    assert results == [Added(row.id, created=True) for row in page.rows]
    assert [client.get(row.id) for row in page.rows] == listed
    assert _own(client).rows == page.rows
    assert client.search(id=page.rows[0].id, limit=4) == like
    # A second time they are the same rows, and a picture that is there is told as one.
    again = client.import_rows(page.rows, page.model)
    assert [one.created for one in again if isinstance(one, Added)] == [False] * 5
    assert len(_own(client).rows) == 5
    copy = client.add(f"{pictures.url}own.jpg?another")
    assert copy.duplicate_of in {row.id for row in page.rows if "/own.jpg" in row.url}
    client.delete(copy.id)


def test_the_log_tells_that_rows_were_put_in(client: Client, page: ExportPage) -> None:
    client.import_rows(page.rows[:1], page.model)
    (change,) = client.log(limit=1).changes
    assert (change.action, change.imported, change.ids) == ("replace", True, (page.rows[0].id,))
    client.update(page.rows[0].id, page.rows[0].metadata)
    assert client.log(limit=1).changes[0].imported is False


def test_of_one_id_the_last_row_stays(client: Client, page: ExportPage) -> None:
    row = page.rows[0]
    first, second = (replace(row, id="t:twice", metadata={"t_n": n}) for n in range(2))
    results = client.import_rows([first, second], page.model)
    assert [one.created for one in results if isinstance(one, Added)] == [True, False]
    assert client.get("t:twice").metadata == {"t_n": 1}
    skipped = client.import_rows([replace(row, id="t:copy")], page.model, skip_duplicates=True)
    assert [one.skipped for one in skipped if isinstance(one, Added)] == [True]
    assert client.delete_many(ids=["t:twice", "t:copy"]) == 1


def test_an_original_stays_with_its_image(
    client: Client, page: ExportPage, pictures: PictureServer
) -> None:
    data = requests.get(f"{pictures.url}7.jpg", timeout=60).content
    own = client.add(f"{pictures.url}7.jpg{MARK}&own", image=data).id
    (row,) = (row for row in _own(client).rows if row.id == own)
    client.delete(own)
    nowhere = replace(row, id="t:nowhere", original="0" * 64)
    client.import_rows([row, nowhere], page.model)
    assert client.original(own) == data
    assert client.thumbnail("t:nowhere") == row.thumbnail
    with pytest.raises(RefusedError) as caught:
        client.original("t:nowhere")
    assert caught.value.code == "no_file"
    assert client.delete_many(ids=[own, "t:nowhere"]) == 2


def _floats(*numbers: float) -> str:
    return base64.b64encode(np.array(numbers, "<f4").tobytes()).decode()


def _file(kind: str, side: int) -> str:
    file = BytesIO()
    Image.new("RGB", (side, 2)).save(file, kind)
    return base64.b64encode(file.getvalue()).decode()


TEXT = base64.b64encode(b"<svg onload=alert(1)>").decode()
CUT = base64.b64encode(base64.b64decode(_file("JPEG", 64))[:-2]).decode()


@pytest.mark.parametrize(
    ("name", "value", "code", "said"),
    [
        ("vector", _floats(*[float("nan")] * 128), "invalid_row", "finite and of unit length"),
        ("vector", _floats(*[float("inf")] * 128), "invalid_row", "finite and of unit length"),
        ("vector", _floats(*[1.0] * 128), "invalid_row", "finite and of unit length"),
        ("vector", _floats(*[0.0] * 128), "invalid_row", "finite and of unit length"),
        ("vector", _floats(1.0), "invalid_row", "128 dimensions"),
        ("vector", "", "invalid_row", "128 dimensions"),
        ("vector", "AAAAAAA=", "bad_request", "of 4 bytes each"),
        ("vector", "no base64!", "bad_request", "must be base64"),
        ("vector", [0.0] * 128, "bad_request", "vector must be a string"),
        ("thumbnail", TEXT, "bad_request", "must be a JPEG file"),
        ("thumbnail", CUT, "bad_request", "must be a JPEG file"),
        ("thumbnail", _file("PNG", 64), "bad_request", "must be a JPEG file"),
        ("thumbnail", _file("JPEG", 1025), "bad_request", "1024 pixels a side"),
        ("thumbnail", "", "bad_request", "must be a JPEG file"),
        ("pixels", None, "invalid_row", "a thumbnail needs pixels"),
        ("pixels", "../" * 21 + "a", "invalid_row", "64 hexadecimal digits"),
        ("pixels", "AB" * 32, "invalid_row", "64 hexadecimal digits"),
        ("original", "x", "invalid_row", "64 hexadecimal digits"),
        ("created_at", "2024-05-01 10:00", "bad_request", "created_at must be an RFC 3339 time"),
        ("created_at", "9999-01-01T00:00:00Z", "invalid_row", "between 1970 and now"),
        ("created_at", "1969-12-31T00:00:00Z", "invalid_row", "between 1970 and now"),
        ("created_at", 0, "bad_request", "created_at must be a string"),
        ("url", "ftp://a/b", "url_invalid", "must start with http"),
        ("url", "upload:../x", "url_invalid", "must start with http"),
        ("url", "", "url_invalid", "must start with http"),
        ("id", "a/b", "invalid_row", "the id must be 1 to 128"),
        ("id", "..", "invalid_row", "the id must be 1 to 128"),
        ("id", None, "bad_request", "id must be a string"),
        ("metadata", {"t_price": "dear"}, "metadata_conflict", "holds a float"),
        ("metadata", {"": 1}, "metadata_type", "not empty"),
        ("metadata", [1], "bad_request", "metadata must be an object or a string"),
        ("metadata", {f"t_{n}": n for n in range(33)}, "metadata_limit", "at most 32 new"),
        ("nosuch", 1, "bad_request", "unknown field 'nosuch'"),
    ],
)
def test_a_bad_row_is_refused_alone(
    client: Client, post: Post, page: ExportPage, name: str, value: Any, code: str, said: str
) -> None:
    bad = {**as_sent(page.rows[0]), "id": "t:bad", name: value}
    answer = post("index/import", body_of(page, [as_sent(page.rows[1]), bad]))
    assert answer.status_code == 200, answer.text
    good, refused = answer.json()["results"]
    assert good == {"id": page.rows[1].id, "created": False}
    assert refused["code"] == code
    assert said in refused["message"]
    assert "\n" not in refused["message"]
    assert "t:bad" not in {row.id for row in _own(client).rows}


@pytest.mark.parametrize("row", [None, 5, "x", [], ["id"]])
def test_what_is_no_row_is_refused_alone(post: Post, page: ExportPage, row: Any) -> None:
    answer = post("index/import", body_of(page, [row])).json()
    assert answer["results"] == [
        {"id": None, "message": "each row must be an object", "code": "bad_request"}
    ]


@pytest.mark.parametrize(
    ("change", "code", "said"),
    [
        ({"model": {"name": "ViT-B-32", "pretrained": "x"}}, "other_model", "from their URLs"),
        ({"dim": 127}, "other_model", "127 dimensions"),
        ({"model": None}, "bad_request", "model must be an object"),
        ({"model": {"name": "x"}}, "bad_request", "pretrained is missing"),
        ({"rows": []}, "bad_request", "rows must have at least 1 item"),
        ({"rows": [{}] * 1001}, "bad_request", "at most 1000"),
        ({"rows": {}}, "bad_request", "rows must be a list"),
        ({"dim": "128"}, "bad_request", "dim must be an integer"),
        ({"skip_duplicates": "yes"}, "bad_request", "skip_duplicates"),
    ],
)
def test_a_bad_request_puts_nothing_in(
    post: Post, page: ExportPage, change: dict[str, Any], code: str, said: str
) -> None:
    answer = post("index/import", {**body_of(page, [as_sent(page.rows[0])]), **change})
    assert (answer.status_code, answer.json()["code"]) == (400, code)
    assert said in answer.json()["message"]


@pytest.mark.parametrize("cursor", ["", "1", "1.x", "-1.0", "1.0.0", "1." + "9" * 19, "٣.٣"])
def test_a_cursor_is_what_a_page_gave(service: ServiceProcess, cursor: str) -> None:
    answer = requests.get(f"{service.url}/index/export", {"cursor": cursor}, timeout=60)
    assert (answer.status_code, answer.json()["code"]) == (400, "bad_request")


def test_a_version_that_there_is_not_is_said(service: ServiceProcess) -> None:
    answer = requests.get(f"{service.url}/index/export?cursor=99999999.0", timeout=60)
    assert (answer.status_code, answer.json()["code"]) == (400, "unknown_version")
    assert "begin the export anew" in answer.json()["message"]


def test_behind_the_last_row_there_is_nothing(client: Client, page: ExportPage) -> None:
    end = client.export_page(f"{page.version}.{page.total}")
    assert (end.rows, end.total, end.next) == ((), page.total, None)
