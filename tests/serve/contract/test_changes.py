"""The log of changes and undoing over HTTP; tests/serve/docs/test_audit.py has keys as well."""

import re
from datetime import UTC, datetime
from typing import Any

import pytest
import requests

from demo.process import ServiceProcess
from demo.server import PictureServer
from store.metadata.values import format_timestamp
from tests.running import Post

UNKNOWN = "0" * 32


def log(service: ServiceProcess, **query: Any) -> requests.Response:
    return requests.get(f"{service.url}/index/log", params=query, timeout=60)


def test_a_request_and_its_line(
    service: ServiceProcess, post: Post, pictures: PictureServer
) -> None:
    since = format_timestamp(datetime.now(UTC))
    urls = [f"{pictures.url}{n}.jpg?changes" for n in range(3)]
    answer = requests.post(
        f"{service.url}/post_images_to_index",
        json={"images": [{"url": url, "metadata": {"changes": "yes"}} for url in urls]},
        headers={"X-Request-ID": "changes-1", "X-Forwarded-For": "198.51.100.1"},
        timeout=60,
    )
    ids = [one["id"] for one in answer.json()["results"]]
    requests.patch(f"{service.url}/images/{ids[0]}", json={"metadata": {"changes": "no"}})
    assert post("delete_images", {"metadata": {"changes": "yes"}}).json()["deleted"] == 2
    told = log(service, since=since).json()
    assert told["more"] is False
    deleted, patched, *added = told["changes"]
    assert deleted["filter"] == {"changes": "yes"}
    assert (deleted["action"], deleted["count"], set(deleted["ids"])) == (
        "delete_matching",
        2,
        set(ids[1:]),
    )
    assert (patched["action"], patched["ids"]) == ("patch", ids[:1])
    assert {one["request_id"] for one in added} == {"changes-1"}
    assert sorted(own for one in added for own in one["ids"]) == sorted(ids)
    for one in told["changes"]:
        assert (one["key"], one["table"]) == (None, "images")
        assert one["version"] > one["version_before"]
    assert log(service, since=since, action="patch").json()["changes"] == [patched]
    assert log(service, id=ids[0], limit=1).json() == {"changes": [patched], "more": True}
    assert log(service, since=since, key="nobody").json() == {"changes": [], "more": False}
    line = r"\[INFO\] .* delete_matching by no key from \S+: 2 images, version \d+ to \d+"
    assert re.search(line, service.log.read_text())
    line = r"\[INFO\] .* add by no key from \S+: \d images?, .* \(request=changes-1\b"
    assert re.search(line, service.log.read_text())
    files = [*(service.log.parent / "index" / "changes").iterdir()]
    assert files
    assert {one.stat().st_mode & 0o777 for one in files} == {0o600}


@pytest.mark.parametrize(
    ("query", "says"),
    [
        ({"limit": "0"}, "limit"),
        ({"limit": "1001"}, "limit"),
        ({"since": "yesterday"}, "since must be an RFC 3339 time with a zone"),
        ({"before": "2026-01-31T12:00:00"}, "before must be an RFC 3339 time with a zone"),
        ({"since": "2026-01-31T12:00:00Z" * 9}, "since"),
        ({"action": "explode"}, "action"),
        ({"offset": "1"}, "offset"),
        ({"key": "x" * 300}, "key"),
    ],
)
def test_senseless_queries(service: ServiceProcess, query: dict[str, str], says: str) -> None:
    answer = log(service, **query)
    assert (answer.status_code, answer.json()["code"]) == (400, "bad_request")
    assert says in answer.json()["message"]


@pytest.mark.parametrize(
    "body",
    [
        {},
        {"key": "shop"},
        {"key": "", "since": "2026-01-31T12:00:00Z"},
        {"key": "shop", "since": "today"},
        {"key": "shop", "since": None},
        {"key": None, "since": "2026-01-31T12:00:00Z"},
        {"key": "shop", "since": "2026-01-31T12:00:00Z", "before": "x"},
        {"key": "shop", "since": "2026-01-31T12:00:00Z", "dry_run": "yes"},
        {"key": "shop", "since": "2026-01-31T12:00:00Z", "version": 3},
    ],
)
def test_senseless_undoing(post: Post, body: dict[str, Any]) -> None:
    answer = post("index/undo", body)
    assert (answer.status_code, answer.json()["code"]) == (400, "bad_request")


def test_a_key_that_changed_nothing_has_nothing_to_undo(post: Post) -> None:
    body = {"key": "nobody", "since": "2026-01-31T12:00:00Z"}
    nothing = {"removed": 0, "restored": 0, "left": [], "left_total": 0}
    assert post("index/undo", body).json() == {"message": "success", "dry_run": False, **nothing}
