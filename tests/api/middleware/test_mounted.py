"""Mounted routes, paths in metrics, and refusals in JSON, in a small application."""

import asyncio
import json
from types import SimpleNamespace
from typing import Any

import httpx
import pytest
from starlette.applications import Starlette
from starlette.requests import Request
from starlette.responses import JSONResponse, PlainTextResponse, Response
from starlette.routing import Route

from api.contract.requests import ImageRequest, ListRequest, PatchRequest
from api.limits.encoding import listed
from api.middleware.path_names import NOWHERE, AskedPaths, Shown, _under
from api.requests.base import JsonInput
from api.routes.mount import JsonRefusals, mounted


async def echo(service: Any, request: Any) -> Response:
    if isinstance(request, JsonInput):
        return JSONResponse({"service": service.name, **request.model_dump()})
    return JSONResponse({"message": str(request)}, status_code=request.status)


async def own_404(_: Request) -> Response:
    return PlainTextResponse("own words", status_code=503)


def application() -> Starlette:
    routes = [
        mounted("/images", GET=(ListRequest, echo)),
        mounted("/images/{id}", GET=(ImageRequest, echo), PATCH=(PatchRequest, echo)),
        Route("/broken", own_404),
    ]
    app = Starlette(routes=routes)
    app.state.service = SimpleNamespace(name="here")
    return app


def ask(method: str, path: str, **more: Any) -> httpx.Response:
    async def run() -> httpx.Response:
        transport = httpx.ASGITransport(app=JsonRefusals(application()))
        async with httpx.AsyncClient(transport=transport, base_url="http://test") as client:
            return await client.request(method, path, **more)

    return asyncio.run(run())


def test_the_address_is_the_request() -> None:
    assert ask("GET", "/images?limit=3&offset=4").json() == {
        "service": "here", "limit": 3, "offset": 4
    }  # fmt: skip
    assert ask("GET", "/images/a%20b").json()["id"] == "a b"


def test_path_and_body_are_one_request() -> None:
    answer = ask("PATCH", "/images/x", json={"metadata": {"a": None}}).json()
    assert answer == {"service": "here", "id": "x", "metadata": {"a": None}}


@pytest.mark.parametrize(
    ("method", "path", "body", "said"),
    [
        ("GET", "/images?limit=x", None, "limit must be an integer"),
        ("GET", "/images?limit=1e3", None, "limit must be an integer"),
        ("GET", "/images?a=1", None, "unknown field 'a'; known fields: limit, offset"),
        ("GET", "/images?limit=1&limit=1", None, "'limit' was given more than once"),
        ("GET", "/images/x?id=y", None, "id belongs into the path alone"),
        ("PATCH", "/images/x", {"id": "y", "metadata": None}, "id belongs into the path alone"),
        ("GET", f"/images?offset={10**20}", None, "offset must be less than or equal to 10000000"),
        ("GET", "/images?offset=10000001", None, "offset must be less than or equal to 10000000"),
        ("GET", f"/images?offset=-{10**20}", None, "offset must be greater than or equal to 0"),
        ("GET", f"/images?offset={'9' * 5000}", None, "offset must be an integer"),
        ("PATCH", "/images/x", {}, "metadata is missing"),
        ("PATCH", "/images/x", {"foo": 1}, "unknown field 'foo'; known fields: metadata"),
        ("PATCH", "/images/x", {"a": 1, "metadata": {}}, "unknown field 'a'; known fields: metad"),
    ],
)
def test_what_is_wrong_is_said(method: str, path: str, body: Any, said: str) -> None:
    answer = ask(method, path, json=body)
    assert answer.status_code == 400
    assert answer.json()["message"].startswith(said)


def test_plain_refusals_become_json() -> None:
    nowhere, method = ask("GET", "/nowhere"), ask("DELETE", "/images")
    assert (nowhere.status_code, nowhere.json()["code"]) == (404, "not_found")
    assert (method.status_code, method.json()["code"]) == (405, "method_not_allowed")
    assert set(method.headers["Allow"].split(", ")) == {"GET", "HEAD"}
    of_image = ask("POST", "/images/x", json={})
    assert set(of_image.headers["Allow"].split(", ")) == {"GET", "HEAD", "PATCH"}
    assert ask("HEAD", "/nowhere").content == b""
    assert ask("GET", "/broken").text == "own words"


SHOWN = Shown(["/images", "/images/{id}", "/index"])


@pytest.mark.parametrize(
    ("path", "name"),
    [
        ("/images", "/images"),
        ("/images/abc", "/images/{id}"),
        ("/images/a\nforged", "/images/{id}"),
        ("/images/{id}", "/images/{id}"),
        ("/images/", NOWHERE),
        ("/images/a/b", NOWHERE),
        ("/Index", NOWHERE),
    ],
)
def test_paths_have_few_names(path: str, name: str) -> None:
    assert SHOWN.name(path) == name


def test_the_asked_path_comes_back_behind_the_metrics() -> None:
    seen = []

    async def inner(scope: Any, receive: Any, send: Any) -> None:
        seen.append((scope["path"], scope["raw_path"]))

    for path in ("/images/a", "/made-up", "/index"):
        scope = {"type": "http", "path": path, "raw_path": path.encode()}
        asyncio.run(AskedPaths(inner)(_under(scope, SHOWN.name(path)), None, None))  # type: ignore[arg-type]
    assert seen == [("/images/a", b"/images/a"), (NOWHERE, NOWHERE.encode()), ("/index", b"/index")]


def test_a_long_answer_lets_others_run() -> None:
    async def run() -> tuple[bytes, int]:
        turns = 0

        async def other() -> None:
            nonlocal turns
            while True:
                turns += 1
                await asyncio.sleep(0)

        task = asyncio.create_task(other())
        items = ({"text": "é" * 100_000} for _ in range(30))
        answer = await listed("results", items, total=30)
        task.cancel()
        return bytes(answer.body), turns

    body, turns = asyncio.run(run())
    assert turns >= 9
    assert json.loads(body) == {"results": [{"text": "é" * 100_000}] * 30, "total": 30}


def test_an_empty_answer() -> None:
    body = bytes(asyncio.run(listed("images", iter([]), total=0)).body)
    assert json.loads(body) == {"images": [], "total": 0}
