"""Both clients against the real service: every route, and what is refused."""

import asyncio
from collections.abc import Callable, Iterator
from dataclasses import replace
from datetime import UTC, datetime
from typing import Any

import pytest
import requests

from demo.process import ServiceProcess
from demo.server import PictureServer
from image_search import (
    Added,
    AsyncClient,
    Client,
    NotAdded,
    NotFoundError,
    NotImported,
    RefusedError,
    UnauthorizedError,
)
from tests.serve.two_workers.conftest import KEY


class _Awaited:
    """An `AsyncClient` whose methods wait, so that both clients take one test."""

    def __init__(self, url: str) -> None:
        self._loop = asyncio.new_event_loop()
        self._client = AsyncClient(url, api_key=KEY)

    def __getattr__(self, name: str) -> Callable[..., Any]:
        method = getattr(self._client, name)
        return lambda *args, **named: self._loop.run_until_complete(method(*args, **named))

    def end(self) -> None:
        self._loop.run_until_complete(self._client.close())
        self._loop.close()


@pytest.fixture(params=["sync", "async"])
def client(request: pytest.FixtureRequest, watched: ServiceProcess) -> Iterator[Any]:
    if request.param == "sync":
        with Client(watched.url, api_key=KEY) as one:
            yield one
        return
    awaited = _Awaited(watched.url)
    yield awaited
    awaited.end()


def test_a_picture_is_sent_in_place_of_its_url(client: Any, pictures: PictureServer) -> None:
    url = f"{pictures.url}5.jpg"
    data = requests.get(url, timeout=60).content
    added = client.add(image=data, metadata={"shop": "ü", "price": 2.5})
    stored = client.get(added.id)
    assert stored.url.startswith("upload:")
    assert stored.metadata == {"shop": "ü", "price": 2.5}
    assert client.original(added.id) == data
    assert client.thumbnail(added.id).startswith(b"\xff\xd8")
    assert client.add(image=data, metadata="a text").id == added.id
    assert client.get(added.id).metadata == "a text"

    assert client.search(image=data, limit=3) == client.search(url=url, limit=3)
    kept = {"shop": {"$exists": False}}
    assert client.search(image=data, filter=kept) == client.search(url=url, filter=kept)
    assert client.search("a cross", image=data) == client.search("a cross", url=url)
    named = client.search("a cross", url=url, filter=kept)
    assert named == client.search("a cross", image=data, filter=kept)
    assert client.detect(image=data, confidence=0.5) == client.detect(url, confidence=0.5)
    assert client.annotate(image=data) == client.annotate(url)
    client.delete(added.id)

    named = client.add(url, id="a.b:c", image=data)  # the url is stored, and not fetched
    assert (named.id, client.get("a.b:c").url) == ("a.b:c", url)
    assert [one.id for one in client.list(url=url).images] == ["a.b:c"]
    assert client.update_many({"shop": "N"}, filter={"shop": "no such shop"}) == 0
    assert client.delete_many(urls=[url]) == 1
    with pytest.raises(RefusedError, match="do not go together"):
        client.search(url=url, image=data)
    with pytest.raises(RefusedError, match="No url provided"):
        client.add()
    with pytest.raises(RefusedError, match="supported format"):
        client.detect(image=b"no picture")
    for other in ({"id": added.id}, {"query": [{"text": "a cross"}]}):
        with pytest.raises(ValueError, match="an image and a text go with no id"):
            client.search("a cross", image=data, **other)


def test_every_route(client: Any, pictures: PictureServer) -> None:
    urls = [f"{pictures.url}{number}.jpg" for number in range(4)]
    assert client.heartbeat() == "Api is running"
    first = client.add(urls[0], {"shop": "A", "since": datetime(2026, 1, 2, tzinfo=UTC)})
    again = client.add(urls[0], {"shop": "A"})
    assert (again.id, again.created) == (first.id, False)
    many = client.add_many([{"url": urls[1], "metadata": {"shop": "B"}}, urls[2], "ftp://x/y"])
    assert [type(one) for one in many] == [Added, Added, NotAdded]
    assert many[2].code == "url_invalid"
    assert client.search(url=urls[0])[0].id == first.id
    assert client.search(id=first.id, limit=1)[0].score == 1.0
    assert [hit.url for hit in client.search(filter={"shop": "B"})] == [urls[1]]
    assert client.search(filter={"shop": "B"})[0].score is None
    assert [hit.url for hit in client.search("a cross", filter={"shop": "B"})] == [urls[1]]
    assert client.search("a cross", url=urls[0], limit=2, offset=1)
    terms = [{"text": "a cross"}, {"url": urls[0], "weight": -0.5}]
    assert client.search(query=terms, min_score=-1, cutoff="auto")
    found = client.detect(urls[0], confidence=0.3)
    assert found.detections[0].class_name
    assert client.annotate(urls[0]).startswith(b"\xff\xd8")
    assert client.get(first.id).metadata == {"shop": "A"}
    with pytest.raises(NotFoundError, match="is not stored"):
        client.original(first.id)
    assert client.list(limit=2).total == 3
    assert client.update(first.id, {"shop": None, "price": 2.5}).metadata == {"price": 2.5}
    status = client.status()
    assert (status.rows, status.columns["price"]) == (3, "float")
    whole = client.versions()[0]
    assert client.delete(first.id) == 1
    assert client.delete_many([many[0].id, "unknown"]) == 1
    assert client.restore(whole.version).rows == 3
    assert client.delete_many(filter={"shop": "B"}) == 1
    assert client.delete_many([first.id, many[1].id]) == 2


def test_what_is_refused(client: Any, pictures: PictureServer) -> None:
    with pytest.raises(RefusedError) as missing:
        client.add(pictures.url + "missing.jpg")
    assert (missing.value.code, missing.value.status) == ("http_status", 400)
    assert "404" in missing.value.message
    for strange in ("0", ".", "..", "a/b", "?", "é"):
        with pytest.raises(NotFoundError) as unknown:
            client.get(strange)
        assert unknown.value.status == 404
        with pytest.raises(NotFoundError):
            client.thumbnail(strange)
    with pytest.raises(RefusedError, match="give one of"):
        client.delete_many(["a"], filter={"shop": "A"})
    with pytest.raises(ValueError, match="JSON"):
        client.add(pictures.url + "0.jpg", {"price": float("nan")})
    with pytest.raises(TypeError, match="set"):
        client.add(pictures.url + "0.jpg", {"tags": {"a"}})


@pytest.mark.parametrize("key", [None, "another"])
def test_a_wrong_key_is_refused_and_not_tried_again(
    watched: ServiceProcess, key: str | None
) -> None:
    with Client(watched.url, api_key=key) as client, pytest.raises(UnauthorizedError) as refused:
        client.status()
    assert (refused.value.status, refused.value.code) == (401, "unauthorized")


def test_whole_rows_go_out_and_in(client: Any, pictures: PictureServer) -> None:
    own = client.add(f"{pictures.url}6.jpg?whole", {"w_n": 1}).id
    page = client.export_page(limit=1)
    rows = list(page.rows)
    while page.next is not None:  # any worker answers
        page = client.export_page(page.next, limit=7)
        rows += page.rows
    (row,) = (one for one in rows if one.id == own)
    small = client.thumbnail(own)
    assert (row.metadata, row.thumbnail, len(row.vector)) == ({"w_n": 1}, small, 4 * page.dim)
    client.delete(own)
    bad = replace(row, id="w:bad", vector=b"\0" * len(row.vector))
    added, refused = client.import_rows([row, bad], page.model)
    assert added == Added(own, created=True)
    assert (type(refused), refused.id, refused.code) == (NotImported, "w:bad", "invalid_row")
    assert client.get(own).created_at == row.created_at
    with pytest.raises(RefusedError, match="were made with"):
        client.import_rows([row], replace(page.model, name="ViT-B-32"))
    client.delete(own)
