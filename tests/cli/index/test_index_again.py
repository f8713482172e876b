"""What failed is tried again: by the next call, and from the list of failures."""

import json
from collections.abc import Iterator
from pathlib import Path

import pytest
import requests

from demo.process import ServiceProcess, free_port
from demo.server import PictureServer
from image_search import Client
from tests.cli.index.test_index import _index as index
from tests.cli.index.test_index import _there as there
from tests.images.fetch.servers import Answer, Server, http_server


@pytest.fixture
def moody(pictures: PictureServer) -> Iterator[tuple[Server, dict[str, int]]]:
    """A picture host whose answers are statuses that can be set by path; 200 is a picture."""
    statuses: dict[str, int] = {}
    picture = requests.get(pictures.url + "4.jpg", timeout=60).content

    def answer(path: str) -> Answer:
        status = statuses.get(path, 200)
        return status, {"Retry-After": "60"}, picture if status == 200 else b""

    with http_server(answer) as server:
        yield server, statuses


def test_what_may_pass_is_tried_by_the_next_call(
    service: ServiceProcess, moody: tuple[Server, dict[str, int]], tmp_path: Path
) -> None:
    host, statuses = moody
    statuses |= {"/busy": 503, "/slow": 429, "/gone": 404}
    table, failures = tmp_path / "a.csv", tmp_path / "failed.txt"
    closed = f"http://127.0.0.1:{free_port()}/closed"
    urls = [*(host.url + path for path in ("/busy", "/slow", "/gone", "/good")), closed]
    table.write_text("url,m_shop\n" + "".join(f"{url},A\n" for url in urls))
    first = index(table, "--failures", failures, server=service.url)
    assert (first.returncode, first.stdout[:20]) == (1, "1 indexed, 4 failed ")
    assert "Failures that may pass: 3; the same command tries them again." in first.stderr

    statuses |= {"/busy": 200}
    asked = len(host.requests)
    second = index(table, "--json", server=service.url)
    numbers = json.loads(second.stdout)
    assert [numbers[key] for key in ("indexed", "done_before", "failed", "may_pass")] == [
        1,
        1,
        3,
        2,
    ]
    assert sorted(path for path, _ in host.requests[asked:]) == ["/busy", "/slow", "/slow"]

    statuses |= {"/slow": 200, "/gone": 200}
    again = index(failures, "--failures", tmp_path / "rest.jsonl", server=service.url)
    assert (again.returncode, again.stdout[:20]) == (1, "3 indexed, 1 failed ")
    rest = json.loads((tmp_path / "rest.jsonl").read_text())
    assert rest["row"] == {"url": closed, "metadata": {"m_shop": "A"}}
    found = there(service, host.url)
    assert found == {url: {"m_shop": "A"} for url in urls[:-1]}
    refused = index(failures, "--failures", failures, server=service.url)
    assert (refused.returncode, "name another file" in refused.stderr) == (2, True)


def test_of_one_image_the_last_row_stays_also_where_an_earlier_one_comes_late(
    service: ServiceProcess, moody: tuple[Server, dict[str, int]], tmp_path: Path
) -> None:
    host, statuses = moody
    statuses["/late"] = 503
    table, paths = tmp_path / "a.csv", ("late", "last", "other")
    ids = ("late-1", "late-1", "late-2")
    rows = [
        f"{host.url}/{path},{id},{n}\n" for n, (path, id) in enumerate(zip(paths, ids, strict=True))
    ]
    table.write_text("url,sku,w_n\n" + "".join(rows))
    words = (table, "--id-column", "sku")
    assert index(*words, server=service.url).stdout.startswith("2 indexed, 1 failed")
    statuses.clear()
    asked = len(host.requests)
    assert index(*words, server=service.url).stdout == "2 indexed, 1 were done before.\n"
    assert [path for path, _ in host.requests[asked:]] == ["/late", "/last"]
    with Client(service.url) as client:
        assert client.get("late-1").metadata == {"w_n": 1}
    assert index(*words, server=service.url).stdout == "0 indexed, 3 were done before.\n"


def test_what_was_refused_for_good_is_tried_where_asked(
    service: ServiceProcess, moody: tuple[Server, dict[str, int]], tmp_path: Path
) -> None:
    host, statuses = moody
    statuses["/mended"] = 404
    table = tmp_path / "a.jsonl"
    table.write_text(json.dumps({"url": host.url + "/mended", "g_n": 1}))
    assert index(table, server=service.url).returncode == 1
    statuses.clear()
    assert index(table, server=service.url).stdout.startswith("0 indexed, 1 failed (")
    assert index(table, "--retry-all", server=service.url).stdout == "1 indexed.\n"
    assert index(table, server=service.url).stdout == "0 indexed, 1 were done before.\n"
