"""Who gets in at a model service: by a TCP port with the token alone, and with a pickle never."""

import asyncio
from typing import Any

import pytest
from starlette.types import Message, Receive, Scope, Send

from api.middleware.model_port import ModelPort
from api.telemetry.logs import REQUEST_ID
from runners.serving.wire import MAX_BODY_BYTES, MEDIA_TYPE

TOKEN = "0123456789abcdef"
PICKLE = "application/vnd.bentoml+pickle"
TCP, UNIX = ("10.0.0.1", 3000), ("/tmp/x/1.sock", None)


def status(
    path: str,
    headers: dict[str, str],
    method: str = "POST",
    server: Any = TCP,
    token: str = TOKEN,
) -> int:
    """The answer's status, 200 where the application was reached with the whole body."""

    async def app(scope: Scope, receive: Receive, send: Send) -> None:
        if scope["method"] == "POST":
            assert (await receive())["body"] == b"body"
        await send({"type": "http.response.start", "status": 200, "headers": []})

    async def receive() -> Message:
        return {"type": "http.request", "body": b"body", "more_body": False}

    sent: list[Message] = []

    async def send(message: Message) -> None:
        sent.append(message)

    raw = [(name.encode(), value.encode()) for name, value in headers.items()]
    scope = {"type": "http", "path": path, "method": method, "headers": raw, "server": server}
    asyncio.run(ModelPort(app, token, ["/detect"])(scope, receive, send))
    return int(sent[0]["status"])


def with_token(kind: str, token: str = TOKEN) -> dict[str, str]:
    return {"content-type": kind, "authorization": f"Bearer {token}"}


@pytest.mark.parametrize(
    "path", ["/detect", "/describe", "/", "/livez", "/metrics", "/encode_texts"]
)
@pytest.mark.parametrize("token", [TOKEN, "", "wrong"])
@pytest.mark.parametrize("kind", [PICKLE, f"{PICKLE}; a=b", PICKLE.upper()])
def test_a_pickle_is_refused_as_such(path: str, token: str, kind: str) -> None:
    assert status(path, with_token(kind, token)) == 415


def test_the_token_lets_in() -> None:
    assert status("/detect", with_token(MEDIA_TYPE)) == 200
    assert status("/describe", with_token("application/json")) == 200
    assert status("/metrics", with_token("text/plain"), "GET") == 200


@pytest.mark.parametrize(
    "headers",
    [
        {},
        {"authorization": ""},
        {"authorization": "Bearer"},
        {"authorization": "Bearer "},
        {"authorization": TOKEN},
        {"authorization": f"Basic {TOKEN}"},
        {"authorization": f"Bearer {TOKEN[:-1]}"},
        {"authorization": f"Bearer {TOKEN}x"},
        {"authorization": "Bearer \xe4"},
    ],
)
def test_without_it_nobody_gets_in(headers: dict[str, str]) -> None:
    assert status("/detect", {"content-type": MEDIA_TYPE, **headers}) == 401
    assert status("/metrics", headers, "GET") == 401
    assert status("/detect", {"content-type": MEDIA_TYPE, **headers}, token="") == 401
    # An address of which nothing is known is no Unix socket.
    assert status("/detect", {"content-type": MEDIA_TYPE, **headers}, server=None) == 401


def test_probes_need_none() -> None:
    assert [status(path, {}, "GET") for path in ("/livez", "/readyz")] == [200, 200]


def test_the_unix_socket_takes_what_bentoml_sends() -> None:
    assert status("/detect", {"content-type": PICKLE}, server=UNIX) == 200


@pytest.mark.parametrize(
    ("path", "method", "kind"),
    [("/", "GET", ""), ("/docs.json", "GET", ""), ("/other", "POST", MEDIA_TYPE),
     ("/metrics", "POST", MEDIA_TYPE), ("/detect", "GET", ""), ("/detect", "PUT", MEDIA_TYPE)],
)  # fmt: skip
def test_nothing_else_is_there(path: str, method: str, kind: str) -> None:
    assert status(path, with_token(kind), method) == 404


@pytest.mark.parametrize("kind", ["application/json", "text/plain", "multipart/form-data"])
def test_a_batch_has_one_type(kind: str) -> None:
    assert status("/detect", with_token(kind)) == 415


def test_a_body_is_bounded() -> None:
    too_large = {**with_token(MEDIA_TYPE), "content-length": str(MAX_BODY_BYTES + 1)}
    assert status("/detect", too_large) == 413


@pytest.mark.parametrize(("given", "kept"), [("a,b-1", "a,b-1"), ("a b", ""), ("a\nb", "")])
def test_the_requests_ids_are_in_the_log(given: str, kept: str) -> None:
    seen = []

    async def app(scope: Scope, receive: Receive, send: Send) -> None:
        seen.append(REQUEST_ID.get())

    async def never() -> Message:
        return {"type": "http.request", "body": b""}

    async def nowhere(message: Message) -> None:
        pass

    headers = {**with_token(MEDIA_TYPE), "x-request-id": given}
    raw = [(name.encode(), value.encode()) for name, value in headers.items()]
    scope = {"type": "http", "path": "/detect", "method": "POST", "headers": raw, "server": TCP}
    asyncio.run(ModelPort(app, TOKEN, ["/detect"])(scope, never, nowhere))
    assert seen == [kept]
