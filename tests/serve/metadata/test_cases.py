"""Cases of people who do this job, from end to end: tables whose values do not keep to one type,
forms of time, and a service under a path of somebody's web server."""

import re
from collections.abc import Iterator
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from posixpath import normpath
from threading import Thread
from typing import Any

import pytest
import requests

from demo.process import ServiceProcess
from demo.server import PictureServer
from image_search import Client
from tests.cli.index.test_index import _index, _there
from tests.running import Post

PREFIX = "/images-search"
C1 = """url,c_amount,c_when,c_zip,c_flag,c_code
{0}1.jpg?case=1,10,2024-05-01T10:00:00Z,01234,true,1e5
{0}2.jpg?case=2,20,2024-05-02T10:00:00Z,98765,false,2e5
"""
C2 = """url,c_amount,c_when,c_zip,c_flag,c_code
{0}3.jpg?case=3,10.5,2024-05-01,01234-5,true,ABC
"""
P = """{{"url": "{0}4.jpg?case=4", "c_amount": 10.0, "c_when": "2024-05-01T10:00:00"}}
{{"url": "{0}5.jpg?case=5", "c_amount": 12.5, "c_when": "2024-05-03 10:00"}}
{{"url": "{0}6.jpg?case=6", "c_amount": "cheap", "c_when": "2024-05-03"}}
"""


@pytest.fixture
def dropped(service: ServiceProcess) -> Iterator[None]:
    """Takes the keys of a test away."""
    yield
    with Client(service.url) as client:
        for key in [key for key in client.status().columns if key.startswith("c_")]:
            client.drop_column(key)


@pytest.mark.usefixtures("dropped")
def test_tables_whose_columns_change_their_types(
    service: ServiceProcess, pictures: PictureServer, tmp_path: Path
) -> None:
    for name, table, told in (
        ("c1.csv", C1, "2 indexed."),
        ("c2.csv", C2, "1 indexed."),
        ("p.jsonl", P, "2 indexed, 1 failed"),
    ):
        path = tmp_path / name
        path.write_text(table.format(pictures.url))
        done = _index(path, "--failures", tmp_path / "failures", server=service.url)
        assert done.stdout.startswith(told), (done.stdout, done.stderr)
    rows = {int(url[-1]): row for url, row in _there(service, "?case=").items()}
    assert rows == {
        1: _row(10.0, "2024-05-01T10:00:00Z", zip="01234", flag=True, code="1e5"),
        2: _row(20.0, "2024-05-02T10:00:00Z", zip="98765", flag=False, code="2e5"),
        3: _row(10.5, "2024-05-01", zip="01234-5", flag=True, code="ABC"),
        4: _row(10.0, "2024-05-01T10:00:00"),
        5: _row(12.5, "2024-05-03 10:00"),
    }
    with Client(service.url) as client:
        columns = client.status().columns
        assert (columns["c_amount"], columns["c_when"]) == ("float", "string")
        found = client.search(filter={"c_amount": {"$gte": 10, "$lt": 12.5}})
        assert {int(hit.url[-1]) for hit in found} == {1, 3, 4}
    told_why = (tmp_path / "failures").read_text()
    assert "metadata key 'c_amount' holds a float, not a string" in told_why


def _row(amount: float, when: str, **more: Any) -> dict[str, Any]:
    return {"c_amount": amount, "c_when": when, **{f"c_{key}": v for key, v in more.items()}}


@pytest.mark.usefixtures("dropped")
def test_forms_of_time_are_taken_as_utc(
    service: ServiceProcess, post: Post, pictures: PictureServer
) -> None:
    day, *moments = "2024-05-01", "2024-05-01T10:00:00", "2024:05:01 10:00:00"
    forms = ["2024-05-01T12:00:00+02:00", day, *moments]
    with Client(service.url) as client:
        ids = [
            client.add(f"{pictures.url}{n}.jpg?time", {"c_at": form}).id
            for n, form in enumerate(forms)
        ]
        assert client.status().columns["c_at"] == "timestamp"
        assert [client.get(each).metadata for each in ids] == [
            {"c_at": "2024-05-01T00:00:00Z" if form == day else "2024-05-01T10:00:00Z"}
            for form in forms
        ]
        for form in moments:
            found = post("search_similar_images", {"metadata": {"c_at": form}}).json()["results"]
            assert {hit["id"] for hit in found} == {ids[0], ids[2], ids[3]}
        client.delete_many(ids=ids)


@pytest.fixture
def behind(service: ServiceProcess) -> Iterator[str]:
    """The address of a web server that has the service under a path, which it takes away."""

    class Handler(BaseHTTPRequestHandler):
        def _pass(self) -> None:
            if not self.path.startswith(PREFIX + "/"):
                self.send_error(404)
                return
            length = int(self.headers.get("Content-Length", 0))
            answer = requests.request(
                self.command,
                service.url + self.path.removeprefix(PREFIX),
                data=self.rfile.read(length),
                headers={"Content-Type": self.headers.get("Content-Type", "text/plain")},
                allow_redirects=False,
                timeout=60,
            )
            self.send_response(answer.status_code)
            for name in ("Content-Type", "Location"):
                if name in answer.headers:
                    self.send_header(name, answer.headers[name])
            self.send_header("Content-Length", str(len(answer.content)))
            self.end_headers()
            self.wfile.write(answer.content)

        do_GET = do_POST = do_PATCH = do_DELETE = _pass  # noqa: N815 - names of the library

        def log_message(self, *_: Any) -> None:
            """Says nothing."""

    with ThreadingHTTPServer(("127.0.0.1", 0), Handler) as server:
        Thread(target=server.serve_forever, daemon=True).start()
        yield f"http://127.0.0.1:{server.server_port}{PREFIX}"
        server.shutdown()


def test_everything_works_under_a_path(behind: str, pictures: PictureServer) -> None:
    with Client(behind) as client:
        added = client.add(pictures.url + "9.jpg?path", {"note": "under a path"})
        assert client.get(added.id).metadata == {"note": "under a path"}
        [hit] = client.search(filter={"note": "under a path"})
        assert hit.id == added.id
        assert client.delete(added.id) == 1
    seen = set[str]()
    waiting = ["/", "/docs"]
    while waiting:
        at = waiting.pop()
        if at in seen:
            continue
        seen.add(at)
        answer = requests.get(behind + at, timeout=60, allow_redirects=False)
        assert answer.status_code == 200, at
        kind = answer.headers["Content-Type"]
        links = re.findall(r'(?:src|href)="([^"#?]+)"', answer.text) if "html" in kind else []
        if "javascript" in kind and "swagger" not in at:
            links = re.findall(r'from "(\.[^"]+)"', answer.text)
        assert not [link for link in links if link.startswith("/")], at
        folder = at.rsplit("/", 1)[0]
        waiting += [normpath(f"{folder}/{link}") for link in links if ":" not in link]
    assert {"/page/main.js", "/page/search/search.js", "/page/style/base.css"} <= seen
