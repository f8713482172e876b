"""What the clients say where nobody answers as the service does; tests/serve has the rest."""

import socket
import subprocess
import sys
from pathlib import Path

import httpx
import pytest

from demo.process import free_port
from demo.server import PictureServer
from image_search import (
    AccessError,
    Client,
    ForbiddenError,
    ImageSearchError,
    MisdirectedError,
    Retries,
    TimedOutError,
    UnauthorizedError,
    UnexpectedAnswerError,
    UnreachableError,
)
from image_search.response import error_of


def test_nobody_listens() -> None:
    with Client(f"http://127.0.0.1:{free_port()}", retries=Retries(attempts=2)) as client:
        with pytest.raises(UnreachableError) as caught:
            client.heartbeat()
        assert not isinstance(caught.value, TimedOutError)


def test_somebody_listens_and_says_nothing() -> None:
    with socket.create_server(("127.0.0.1", 0)) as silent:
        url = f"http://127.0.0.1:{silent.getsockname()[1]}"
        with Client(url, timeout_s=0.2) as client, pytest.raises(TimedOutError):
            client.heartbeat()


def test_another_service_is_told_apart(pictures: PictureServer) -> None:
    pictures.add_file("heartbeat", b"welcome")
    with Client(pictures.url) as client:
        with pytest.raises(UnexpectedAnswerError, match="not one of an image search"):
            client.heartbeat()
        with pytest.raises(ImageSearchError) as caught:
            client.add("http://example.com/a.jpg")
        assert caught.value.status == 501


@pytest.mark.parametrize("server", ["127.0.0.1:3000", "ftp://a", "http://", "nonsense"])
def test_a_senseless_address_is_refused(server: str) -> None:
    with pytest.raises(ValueError, match="address"):
        Client(server)


def test_a_senseless_key_is_refused() -> None:
    with pytest.raises(ValueError, match="line break"):
        Client(api_key="a\r\nX-Other: b")


def test_numbers_that_json_has_not_are_told_before_anything_is_sent() -> None:
    with Client("http://127.0.0.1:1") as client, pytest.raises(ValueError, match="null is no val"):
        client.add("http://example.com/a.jpg", {"price": float("nan")})


@pytest.mark.parametrize(
    ("status", "kind"),
    [(401, UnauthorizedError), (403, ForbiddenError), (421, MisdirectedError)],
)
def test_who_is_not_let_in_is_told_why(status: int, kind: type[AccessError]) -> None:
    error = error_of(httpx.Response(status, json={"message": "why", "code": "a_code"}))
    assert type(error) is kind
    assert isinstance(error, AccessError)
    assert (error.message, error.code, error.status) == ("why", "a_code", status)


def test_importing_it_brings_nothing_heavy() -> None:
    code = (
        "import sys, image_search\n"
        "heavy = {'torch', 'lancedb', 'bentoml', 'pyarrow', 'numpy', 'api', 'store'}\n"
        "print(sorted(heavy & set(sys.modules)))"
    )
    done = subprocess.run(
        [sys.executable, "-c", code],
        cwd=Path(__file__).resolve().parents[2],
        capture_output=True,
        text=True,
        check=True,
    )
    assert done.stdout.strip() == "[]"
