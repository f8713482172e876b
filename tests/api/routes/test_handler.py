"""How routes run: mounted in a small application, before the backend is open, and when ready."""

import asyncio
from collections.abc import Awaitable, Callable
from pathlib import Path
from types import SimpleNamespace
from typing import Any, cast

import aiohttp
import httpx
import pytest
from starlette.applications import Starlette
from starlette.requests import Request
from starlette.responses import PlainTextResponse, Response
from starlette.routing import Route

from api.contract.requests.images import ImageRequest, ListRequest, PatchRequest
from api.contract.responses.fields import Answer
from api.middleware.stack import Answers
from api.pipeline.backend import Models
from api.requests.reader import JsonInput
from api.routes.handler import Handler
from api.settings import Settings
from tests.store.support import opened as open_index


class Echo(Answer):
    """What a route was given."""

    backend: str
    request: dict[str, Any]


async def echo(backend: Any, request: JsonInput) -> Echo:
    return Echo(backend=backend.name, request=request.model_dump())


async def own_404(_: Request) -> Response:
    return PlainTextResponse("own words", status_code=503)


async def opened(backend: object) -> Any:
    return backend


def application() -> Starlette:
    """With a backend that is open; made in an event loop."""
    handler = Handler(Settings.from_environment())
    handler._opening = asyncio.create_task(opened(SimpleNamespace(name="here")))
    routes = handler.mounted(
        {
            "/images": {"GET": (ListRequest, echo)},
            "/images/{id}": {"GET": (ImageRequest, echo), "PATCH": (PatchRequest, echo)},
        }
    )
    return Starlette(routes=[*routes, Route("/broken", own_404)])


def ask(method: str, path: str, **more: Any) -> httpx.Response:
    async def run() -> httpx.Response:
        transport = httpx.ASGITransport(app=Answers(application()))
        async with httpx.AsyncClient(transport=transport, base_url="http://test") as client:
            return await client.request(method, path, **more)

    return asyncio.run(run())


def test_the_address_is_the_request() -> None:
    answer = ask("GET", "/images?limit=3&offset=4").json()
    asked = {"limit": 3, "offset": 4, "url": None, "cursor": None}
    assert answer == {"backend": "here", "request": asked}
    assert ask("GET", "/images/a%20b").json()["request"] == {"id": "a b"}


def test_path_and_body_are_one_request() -> None:
    answer = ask("PATCH", "/images/x", json={"metadata": {"a": None}}).json()
    assert answer["request"] == {"id": "x", "metadata": {"a": None}}


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


async def yes() -> bool:
    return True


async def no() -> bool:
    return False


async def gone() -> bool:
    raise aiohttp.ClientConnectionError("no worker")


async def silent() -> bool:
    await asyncio.Event().wait()
    return True


def backend(index: object, embedder: Callable[[], Awaitable[bool]] = yes) -> SimpleNamespace:
    """An open index, with models that answer as a test wants."""
    none: Any = None
    clients = SimpleNamespace(is_ready=embedder), SimpleNamespace(is_ready=yes)
    return SimpleNamespace(index=index, models=Models(clients, *[none] * 6))


def unopened() -> Handler:
    """A handler whose backend is not open yet."""
    handler: Any = Handler(Settings.from_environment())
    handler._opening = asyncio.get_running_loop().create_future()
    return cast(Handler, handler)


def opening(handler: Handler) -> asyncio.Future[Any]:
    return handler._opening


def test_it_is_ready_as_long_as_writes_go_through(tmp_path: Path) -> None:
    async def states() -> list[bool]:
        handler = unopened()
        seen = [await handler.is_ready()]
        async with open_index(tmp_path) as index:
            opening(handler).set_result(backend(index))
            seen.append(await handler.is_ready())
        return [*seen, await handler.is_ready()]

    assert asyncio.run(states()) == [False, True, False]


def test_it_is_not_ready_where_the_table_could_not_be_opened() -> None:
    async def state() -> bool:
        handler = unopened()
        opening(handler).set_exception(OSError("no table"))
        return bool(await handler.is_ready())

    assert asyncio.run(state()) is False


@pytest.mark.parametrize("embedder", [no, gone, silent])
def test_it_is_not_ready_without_a_model(
    embedder: Callable[[], Awaitable[bool]], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("api.pipeline.backend._READY_S", 0.05)

    async def state() -> bool:
        handler = unopened()
        index = SimpleNamespace(healthy=True, answers=yes)
        opening(handler).set_result(backend(index, embedder))
        return bool(await handler.is_ready())

    assert asyncio.run(state()) is False


def test_it_is_not_ready_without_the_store_of_the_table() -> None:
    async def state(store: Callable[[], Awaitable[bool]]) -> bool:
        handler = unopened()
        opening(handler).set_result(backend(SimpleNamespace(healthy=True, answers=store)))
        return bool(await handler.is_ready())

    assert [asyncio.run(state(store)) for store in (yes, no)] == [True, False]
