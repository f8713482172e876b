"""The gate: keys and room, in front of a small application."""

import asyncio
from typing import Any

import httpx
import pytest
from starlette.applications import Starlette
from starlette.requests import Request
from starlette.responses import PlainTextResponse
from starlette.routing import Route

from api.access.caller import CALLER, Caller
from api.access.caller import Scope as KeyScope
from api.access.keys import Key, KeyRing, _digest
from api.middleware.gate import Gate
from api.middleware.request_body import BodyReader
from api.middleware.stack import Answers
from api.routes.page import OPEN_FILES, PAGES
from tests.api.telemetry.metrics import rise

KEYS = frozenset({"first", "zweite-ü"})
MERGE_PATCH = "application/merge-patch+json"
PATHS = ("/livez", "/readyz", "/heartbeat", "/metrics", "/docs.json", "/work")


def gated(keys: frozenset[str] = frozenset(), room: int = 10) -> Answers:
    async def answer(_: Request) -> PlainTextResponse:
        await asyncio.sleep(0.05)
        return PlainTextResponse("ok")

    methods = ["GET", "POST", "PATCH"]
    routes = [Route(path, answer, methods=methods) for path in PATHS]
    return Answers(Gate(Starlette(routes=routes), KeyRing(keys), room, BodyReader(1000)))


def statuses(gate: Answers, *asked: tuple[str, bytes | None]) -> list[httpx.Response]:
    """All of these requests at once."""

    async def ask() -> list[httpx.Response]:
        transport = httpx.ASGITransport(app=gate)
        async with httpx.AsyncClient(transport=transport, base_url="http://test") as client:
            calls = [
                client.get(path, headers={b"Authorization": key} if key else None)
                for path, key in asked
            ]
            return list(await asyncio.gather(*calls))

    return asyncio.run(ask())


@pytest.mark.parametrize(
    ("key", "status"),
    [
        (b"Bearer first", 200),
        (b"bearer first", 200),
        ("Bearer zweite-ü".encode(), 200),
        (b"Bearer second", 401),
        (b"Bearer firs", 401),
        (b"Bearer ", 401),
        (b"Basic first", 401),
        (b"first", 401),
        (b"Bearer \xff\xfe", 401),
        (None, 401),
    ],
)
def test_keys(key: bytes | None, status: int) -> None:
    for path in ("/work", "/heartbeat", "/metrics", "/docs.json"):
        answer = statuses(gated(KEYS), (path, key))[0]
        assert answer.status_code == status
        if status == 401:
            assert answer.headers["WWW-Authenticate"] == "Bearer"
            assert "API key" in answer.json()["message"]


@pytest.mark.parametrize("path", ["/livez", "/readyz"])
def test_probes_need_no_key(path: str) -> None:
    assert statuses(gated(KEYS), (path, None))[0].status_code == 200


@pytest.mark.parametrize("path", PAGES)
def test_a_browser_without_a_key_gets_the_page(path: str) -> None:
    for method, accept, kind in (
        ("GET", "text/html,*/*;q=0.8", "text/html"),
        ("HEAD", "text/html", "text/html"),
        ("GET", "*/*", "application/json"),
        ("POST", "text/html", "application/json"),
    ):
        answer = sent(method, path, headers={"Accept": accept}, keys=KEYS)
        assert answer.status_code == 401
        assert answer.headers["Content-Type"].startswith(kind)
        assert answer.headers["WWW-Authenticate"] == "Bearer"


def test_only_the_pages_own_files_need_no_key() -> None:
    for path in OPEN_FILES:
        assert sent("GET", path, keys=KEYS).status_code == 404  # not of this small application
        assert sent("POST", path, keys=KEYS).status_code == 401
    for path in ("/page/", "/page/index.html", "/page/../service.py", "/static_content/", "/pageX"):
        assert sent("GET", f"http://test{path}", keys=KEYS).status_code == 401


def test_a_full_service_says_when_to_come_back() -> None:
    gate, refused = gated(room=2), rise("refusals_total", reason="overloaded")
    answers = statuses(gate, *[("/work", None)] * 5, ("/heartbeat", None), ("/livez", None))
    assert [one.status_code for one in answers] == [200, 200, 429, 429, 429, 200, 200]
    assert answers[2].headers["Retry-After"] == "1"
    assert "too many requests" in answers[2].json()["message"]
    assert refused() == 3
    assert statuses(gate, ("/work", None))[0].status_code == 200


def test_a_full_service_tells_a_stranger_nothing() -> None:
    answers = statuses(gated(KEYS, room=0), ("/work", None), ("/work", b"Bearer first"))
    assert [one.status_code for one in answers] == [401, 429]


def test_a_failing_application_gives_its_room_back() -> None:
    async def fails(scope: object, receive: object, send: object) -> None:
        raise RuntimeError("broken")

    gate = Answers(Gate(fails, KeyRing(), 1, BodyReader(1000)))
    for _ in range(3):
        with pytest.raises(RuntimeError):
            statuses(gate, ("/work", None))


def sent(method: str, path: str = "/work", **more: Any) -> httpx.Response:
    async def ask() -> httpx.Response:
        transport = httpx.ASGITransport(app=gated(more.pop("keys", frozenset())))
        async with httpx.AsyncClient(transport=transport, base_url="http://test") as client:
            return await client.request(method, path, **more)

    return asyncio.run(ask())


@pytest.mark.parametrize(
    ("method", "content_type", "status"),
    [
        ("POST", "application/json", 200),
        ("PATCH", "application/json; charset=utf-8", 200),
        ("PATCH", MERGE_PATCH, 200),
        ("PATCH", "Application/Merge-Patch+JSON; charset=utf-8", 200),
        ("POST", MERGE_PATCH, 415),
        ("PATCH", "application/json-patch+json", 415),
        ("PATCH", "text/plain", 415),
    ],
)
def test_content_types(method: str, content_type: str, status: int) -> None:
    answer = sent(method, headers={"Content-Type": content_type})
    assert answer.status_code == status
    if status == 415:
        named = "application/json" + (f" or {MERGE_PATCH}" if method == "PATCH" else "")
        assert answer.json()["message"] == f"the Content-Type must be {named}"


def test_two_content_types_are_none() -> None:
    twice = [("Content-Type", "application/json")] * 2
    assert sent("POST", headers=twice).status_code == 415


@pytest.mark.parametrize("encoding", ["gzip", "br", "deflate, gzip", "x", ""])
def test_compressed_bodies_are_refused(encoding: str) -> None:
    answer = sent("POST", headers={"Content-Encoding": encoding}, json={})
    assert (answer.status_code, answer.json()["code"]) == (415, "encoded_body")
    assert sent("POST", headers={"Content-Encoding": "identity"}, json={}).status_code == 200


def test_two_keys_at_once_are_none() -> None:
    twice = [("Authorization", "Bearer first")] * 2
    assert sent("GET", headers=twice, keys=KEYS).status_code == 401
    assert sent("GET", headers=twice[:1], keys=KEYS).status_code == 200


@pytest.mark.parametrize("method", ["OPTIONS", "HEAD", "DELETE", "TRACE", "POST", "PUT"])
@pytest.mark.parametrize("path", ["/work", "/", "/nowhere", "/livez/", "/LIVEZ", "//livez"])
def test_every_method_and_path_needs_a_key(method: str, path: str) -> None:
    assert sent(method, f"http://test{path}", keys=KEYS).status_code == 401


class Scoped(KeyRing):
    """One key of each scope, without a file."""

    def __init__(self) -> None:
        super().__init__(["of-admin"])
        self._known = [
            *self._own,
            *(Key(f"a-{name}", scope, _digest(f"of-{name}".encode())) for name, scope in READERS),
        ]


READERS = (("read", KeyScope.READ), ("write", KeyScope.WRITE))


def asked(method: str, path: str, scope: str) -> tuple[httpx.Response, list[Caller]]:
    """A request with the key of a scope, and who the application saw."""
    seen: list[Caller] = []

    async def app(scope: object, receive: object, send: Any) -> None:
        seen.append(CALLER.get())
        await PlainTextResponse("ok")(scope, receive, send)  # type: ignore[arg-type]

    async def ask() -> httpx.Response:
        gate = Answers(Gate(app, Scoped(), 9, BodyReader(1000)))
        transport = httpx.ASGITransport(app=gate, client=("192.0.2.9", 1234))
        async with httpx.AsyncClient(transport=transport, base_url="http://test") as client:
            given = {"Authorization": f"Bearer of-{scope}"}
            return await client.request(method, path, headers=given)

    return asyncio.run(ask()), seen


@pytest.mark.parametrize(
    ("method", "path", "needed"),
    [
        ("GET", "/heartbeat", "read"),
        ("HEAD", "/images/x/image", "read"),
        ("POST", "/search_simmilar_images", "read"),
        ("POST", "/post_image_to_index", "write"),
        ("PATCH", "/images/x", "write"),
        ("POST", "/delete_images", "write"),
        ("POST", "/index/restore", "admin"),
        ("PUT", "/images", "admin"),
        ("OPTIONS", "/images/x", "admin"),
    ],
)
def test_a_scope_reaches_so_far(method: str, path: str, needed: str) -> None:
    order = ["read", "write", "admin"]
    for scope in order:
        answer, seen = asked(method, path, scope)
        if order.index(scope) < order.index(needed):
            assert (answer.status_code, seen) == (403, [])
            assert answer.json()["code"] == "forbidden"
            assert f"{needed!r}" in answer.json()["message"]
        else:
            assert answer.status_code == 200
            assert [(one.scope.name, one.address) for one in seen] == [(scope.upper(), "192.0.2.9")]
            assert seen[0].key == f"a-{scope}" or scope == "admin"
    assert CALLER.get().key is None


def test_what_is_not_declared_is_not_there_but_for_an_admin() -> None:
    for scope, status in (("read", 404), ("write", 404), ("admin", 200)):
        assert asked("POST", "/index/some-new-route", scope)[0].status_code == status


def test_a_foreign_page_sends_no_body_without_a_type_either() -> None:
    """A browser does not ask before that: a request without a body, or one of no type."""
    headers = {"Origin": "http://evil.example"}
    assert sent("POST", headers=headers).json()["code"] == "foreign_form"
    assert sent("POST", headers={"Origin": "http://test"}).status_code == 200
    assert sent("POST", headers=headers, json={}).status_code == 200  # a browser asks before
