"""A service without keys answers to its own names only, as a browser finds that rebinds one."""

import json
from urllib.parse import quote

import pytest
import requests
from playwright.sync_api import Route

from demo.process import ServiceProcess
from demo.server import PictureServer
from tests.guard.case import Case
from tests.guard.judge import Outcome, complaints
from tests.guard.tables.hosts import CASES, EVIL
from tests.page.chromium import executable, launched
from tests.running import Post
from tests.serve.wire import exchange

WITHIN_S = 60


@pytest.mark.parametrize("case", CASES, ids=lambda case: case.title)
def test_row(case: Case, service: ServiceProcess) -> None:
    url = f"{service.url}/{case.path}"
    headers = {**case.headers, **({"Content-Type": "application/json"} if case.body else {})}
    outcome = Outcome.of(
        lambda: requests.request(
            case.method, url, data=case.body, headers=headers, timeout=WITHIN_S
        )
    )
    assert not complaints(case, outcome, WITHIN_S), outcome


@pytest.mark.parametrize(
    ("head", "status"),
    [
        (f"GET http://{EVIL}/images HTTP/1.1\r\nHost: localhost", 421),
        (f"GET http://{EVIL}/images HTTP/1.1\r\nHost: {EVIL}", 421),
        (f"GET http://localhost/images HTTP/1.1\r\nHost: {EVIL}", 421),
        (f"GET HTTP://LOCALHOST@{EVIL}/images HTTP/1.1\r\nHost: localhost", 421),
        (f"GET http://{EVIL}?/images HTTP/1.1\r\nHost: localhost", 400),
        (f"GET http://{EVIL}#@localhost/ HTTP/1.1\r\nHost: localhost", 400),
        ("GET http://127.0.0.1:3000/images HTTP/1.1\r\nHost: localhost", 200),
        (f"GET /images HTTP/1.1\r\nHost: localhost\r\nHost: {EVIL}", 400),
        (f"GET /images HTTP/1.1\r\nHost: localhost\r\n {EVIL}", 400),
        (f"GET /images HTTP/1.1\r\nHost:{EVIL}", 421),
        (f"GET /images HTTP/1.1\r\nhost: \t{EVIL}\t", 421),
        ("GET /images HTTP/1.1\r\nHost:", 421),
        (f"GET /images HTTP/1.0\r\nHost: {EVIL}", 421),
        (f"GET /images HTTP/1.1\r\nHost: {EVIL}\r\nX-Forwarded-Host: localhost", 421),
        (f"GET /images HTTP/1.1\r\nHost: {EVIL}\r\nForwarded: host=localhost", 421),
        ("GET /images HTTP/1.1", 400),
        ("GET /images HTTP/1.0", 200),
    ],
)
def test_heads_that_no_library_would_send(head: str, status: int, service: ServiceProcess) -> None:
    answer = exchange(service, f"{head}\r\nConnection: close\r\n\r\n".encode())
    assert answer.startswith(f"HTTP/1.1 {status} ".encode()), answer


ATTACK = """async ([id, all]) => {
  const json = { "Content-Type": "application/json" };
  const broad = '{"metadata": {"$not": {"a": "b"}}}';
  const tries = [
    ["/images", {}],
    [`/images/${id}`, {}],
    [`/images/${id}/thumbnail`, {}],
    [`/images/${id}/image`, {}],
    ["/search_similar_images", { method: "POST", headers: json, body: '{"metadata": {}}' }],
  ];
  const changes = [
    [`/images/${id}`, { method: "DELETE" }],
    ["/delete_images", { method: "POST", headers: json, body: JSON.stringify({ ids: [id] }) }],
    ["/delete_images", { method: "POST", headers: json, body: broad }],
    ["/delete_images", { method: "POST", headers: json, body: '{"all": true}' }],
    ["/delete_images", { method: "POST", body: new Blob(['{"all": true}']) }],
    ["/index/restore", { method: "POST", headers: json, body: '{"version": 1}' }],
  ];
  const statuses = [];
  for (const [path, options] of all ? [...tries, ...changes] : tries) {
    const answer = await fetch(path, options);
    statuses.push(answer.status);
    await answer.arrayBuffer();
  }
  return statuses;
}"""


def attack(service: ServiceProcess, host: str, id_: str, *, all_: bool) -> list[int]:
    """What a page of a host gets that comes to stand for the service's address."""
    executable()
    url = f"http://{host}:{service.port}/attack"
    # The name leads to the service by now: the page that it led to before is the tests' own.
    rules = f"MAP {EVIL} 127.0.0.1, EXCLUDE 127.0.0.1, EXCLUDE localhost, MAP * ~NOTFOUND"
    # The newest browsers ask a person first, or refuse: most of those in use do not yet.
    unaware = "--disable-features=LocalNetworkAccessChecks,BlockInsecurePrivateNetworkRequests"
    with launched(unaware, names=rules) as browser:
        page = browser.new_page()

        def from_before(route: Route) -> None:
            route.fulfill(content_type="text/html", body="<!DOCTYPE html><title>kittens</title>")

        page.route(url, from_before)
        page.goto(url)
        statuses: list[int] = page.evaluate(ATTACK, [id_, all_])
    return statuses


def test_a_browser_that_rebinds_a_name_gets_nothing(
    service: ServiceProcess, post: Post, pictures: PictureServer
) -> None:
    body = requests.get(f"{pictures.url}0.jpg", timeout=60).content
    fields = {"image": ("picture", body)}
    given = {"metadata": json.dumps({"rebound": True})}
    added = requests.post(
        f"{service.url}/post_image_to_index", files=fields, data=given, timeout=60
    )
    id_ = quote(added.json()["id"])
    try:
        before = requests.get(f"{service.url}/index", timeout=60).json()
        assert set(attack(service, EVIL, id_, all_=True)) == {421}
        after = requests.get(f"{service.url}/index", timeout=60).json()
        assert (after["rows"], after["version"]) == (before["rows"], before["version"])
        # It is the name alone that keeps the page out: the same one, from localhost, is let in.
        assert attack(service, "localhost", id_, all_=False) == [200, 200, 200, 200, 400]
    finally:
        post("delete_images", {"ids": [added.json()["id"]]})
