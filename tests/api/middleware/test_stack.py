"""The front as a whole: request ids, safe headers, CORS, and no WebSockets."""

import asyncio
import re
from typing import Any

import httpx
import pytest
from starlette.applications import Starlette
from starlette.requests import Request
from starlette.responses import PlainTextResponse, Response
from starlette.routing import Route
from starlette.types import Message

from api.access.keys import KeyRing
from api.middleware.stack import with_middlewares
from api.settings import ApiSettings
from api.telemetry.logs import REQUEST_ID

ORIGIN = "https://shop.example"
BEARER = {"Authorization": "Bearer a-key-that-is-long"}


async def work(_: Request) -> Response:
    answer = PlainTextResponse(REQUEST_ID.get())
    answer.headers["Server"] = "BentoML Service/ImageSearch"
    answer.headers["X-BentoML-Request-ID"] = "c4c9d528bc796b80"
    return answer


def asked(method: str, path: str, headers: Any = None, **settings: Any) -> httpx.Response:
    routes = [Route("/work", work), Route("/", work)]
    given = ApiSettings(**settings)
    keys = KeyRing(given.api_keys)
    app = with_middlewares(Starlette(routes=routes), given, keys, 1 << 20)

    async def ask() -> httpx.Response:
        transport = httpx.ASGITransport(app=app)
        async with httpx.AsyncClient(transport=transport, base_url="http://localhost") as client:
            return await client.request(method, path, headers=headers)

    return asyncio.run(ask())


@pytest.mark.parametrize(
    "given", ["6f9e", "Root=1-67891233-abcdef012345678912345678", "a" * 128, "2026/01:x+y@z_."]
)
def test_a_sane_request_id_is_taken_over(given: str) -> None:
    answer = asked("GET", "/work", {"X-Request-ID": given})
    assert (answer.headers["X-Request-ID"], answer.text) == (given, given)


@pytest.mark.parametrize(
    "given", [b"", b"a" * 129, b"a b", b"<b>", b"a\xc3\xbc", b"'; --", b"$(x)", b"%0a", b"a\tb"]
)
def test_any_other_is_replaced(given: bytes) -> None:
    answer = asked("GET", "/work", {b"X-Request-ID": given})
    assert re.fullmatch(r"[0-9a-f]{32}", answer.headers["X-Request-ID"])
    assert answer.text == answer.headers["X-Request-ID"]


def test_of_two_request_ids_none_is_taken() -> None:
    answer = asked("GET", "/work", [("X-Request-ID", "a"), ("X-Request-ID", "b")])
    assert answer.headers.get_list("X-Request-ID") not in (["a"], ["b"], ["a, b"])


def test_outside_of_a_request_there_is_no_id() -> None:
    asked("GET", "/work")
    assert REQUEST_ID.get() == ""


@pytest.mark.parametrize(
    ("method", "path", "status"),
    [("GET", "/work", 200), ("GET", "/x", 404), ("PUT", "/work", 405), ("POST", "/work", 415)],
)
def test_every_answer_is_safe(method: str, path: str, status: int) -> None:
    headers = {"Content-Type": "text/html"} if status == 415 else None
    answer = asked(method, path, headers)
    assert answer.status_code == status
    assert answer.headers["X-Content-Type-Options"] == "nosniff"
    assert answer.headers["X-Frame-Options"] == "DENY"
    assert answer.headers["Referrer-Policy"] == "no-referrer"
    assert answer.headers["Cross-Origin-Resource-Policy"] == "same-origin"
    assert answer.headers["Content-Security-Policy"].startswith("default-src 'none'; frame-anc")
    assert answer.headers["Cache-Control"] == "no-store"
    assert "Bento" not in str(answer.headers)


def test_the_pages_load_their_own_files_alone() -> None:
    for path in ("/", "/docs"):
        policy = asked("GET", path).headers["Content-Security-Policy"]
        assert policy.startswith("default-src 'none'; ")
        assert "script-src 'self';" in policy
        assert "http" not in policy
    assert "unsafe" not in asked("GET", "/").headers["Content-Security-Policy"]
    assert "script-src" not in asked("GET", "/work").headers["Content-Security-Policy"]


def preflight(**settings: Any) -> httpx.Response:
    wanted = {"Origin": ORIGIN, "Access-Control-Request-Method": "POST"}
    return asked("OPTIONS", "/work", wanted, **settings)


def test_without_origins_there_is_no_cors() -> None:
    assert "access-control" not in str(asked("GET", "/work", {"Origin": ORIGIN}).headers)
    assert preflight().status_code == 405


@pytest.mark.parametrize("origins", [ORIGIN, f"https://other.example, {ORIGIN}", "*"])
def test_origins_that_are_let_in(origins: str) -> None:
    locked = {"cors_origins": origins, "api_keys": "a-key-that-is-long", "max_in_flight": 1}
    asking = preflight(**locked)  # browsers send no key with it
    assert asking.status_code == 200
    assert asking.headers["X-Request-ID"]
    for headers, status in (({}, 401), (BEARER, 200)):
        answer = asked("GET", "/work", {"Origin": ORIGIN, **headers}, **locked)
        assert answer.status_code == status
        assert answer.headers["Access-Control-Allow-Origin"] in (ORIGIN, "*")
        assert "X-Request-ID" in answer.headers["Access-Control-Expose-Headers"]
        assert "Access-Control-Allow-Credentials" not in answer.headers


@pytest.mark.parametrize(
    "origin", ["https://shop.example.evil.example", "http://shop.example", "null", "https://SHOP"]
)
def test_origins_that_are_not(origin: str) -> None:
    answer = asked("GET", "/work", {"Origin": origin}, cors_origins=ORIGIN)
    assert "Access-Control-Allow-Origin" not in answer.headers


@pytest.mark.parametrize("path", ["/work", "/", "/livez", "/metrics", "/page/main.js", "/nowhere"])
@pytest.mark.parametrize("method", ["GET", "POST", "OPTIONS", "HEAD", "TRACE"])
def test_without_keys_no_foreign_name_is_answered(path: str, method: str) -> None:
    wanted = {"Origin": ORIGIN, "Access-Control-Request-Method": "POST"}
    for more in ({}, {"cors_origins": ORIGIN}, {"hosts": "own.example", "open": True}):
        answer = asked(method, path, {"Host": "evil.example", **wanted}, **more)
        assert answer.status_code == 421
        assert answer.headers["X-Content-Type-Options"] == "nosniff"
        assert "access-control" not in str(answer.headers).lower()
        if method != "HEAD":
            assert answer.json()["code"] == "misdirected"
    assert asked("GET", "/work", {"Host": "own.example:81"}, hosts="own.example").status_code == 200


def test_with_keys_a_service_has_any_name() -> None:
    locked = {"api_keys": "a-key-that-is-long"}
    assert asked("GET", "/work", {"Host": "evil.example"}, **locked).status_code == 401
    assert asked("GET", "/work", {"Host": "evil.example", **BEARER}, **locked).status_code == 200


@pytest.mark.parametrize("path", ["/work", "/livez"])
def test_there_are_no_websockets(path: str) -> None:
    sent: list[Message] = []

    async def receive() -> Message:
        return {"type": "websocket.connect"}

    async def send(message: Message) -> None:
        sent.append(message)

    async def never(*_: Any) -> None:
        raise AssertionError("it came through")

    scope = {"type": "websocket", "path": path, "headers": []}

    async def connect() -> None:
        await with_middlewares(never, ApiSettings(), KeyRing(), 1 << 20)(scope, receive, send)

    asyncio.run(connect())
    assert sent == [{"type": "websocket.close", "code": 1008}]
